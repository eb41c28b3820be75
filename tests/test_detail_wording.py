"""ROC, calibration and confusion counts as the page tells and draws them: sentence by sentence, mark by mark."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from report_records import arm_detail, estimate, statistics

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmDetail, Confusion, Secondary, Statistics
from reports import figures, numbers, tables
from reports.wording import detail

SVG = "{http://www.w3.org/2000/svg}"
BOTH = (arm_detail(REFERENCE_ARM, 0.80), arm_detail("real+classic+duplicates", 0.81), arm_detail(PRIMARY_ARM, 0.83))


def plain(text: str) -> str:
    return text.replace(numbers.NBSP, " ").replace(numbers.MINUS, "-")


def asked(gain: float, p_holm: float) -> Statistics:
    one = Secondary(metric="sensitivity_at_specificity", difference=estimate(gain, 0.01), p=p_holm / 6, p_holm=p_holm)
    return statistics(secondaries=(one,))


@pytest.mark.parametrize(
    ("gain", "p_holm", "said"),
    [
        (
            0.03,
            0.049,
            "At the same false alarms it finds more tumours with synthetic slices: +3.0 points (+2.0 to +4.0).",
        ),
        (
            -0.03,
            0.049,
            "At the same false alarms it finds fewer tumours with synthetic slices: -3.0 points (-4.0 to -2.0).",
        ),
        (
            0.03,
            0.05,  # the interval leaves out 0, the correction does not
            (
                "That one finds more than the other at the same false alarms is not shown: +3.0 points (+2.0 to +4.0), "
                "corrected for all further measures asked."
            ),
        ),
    ],
)
def test_which_arm_finds_more_at_the_same_false_alarms(gain: float, p_holm: float, said: str) -> None:
    assert plain(detail.roc_reading(BOTH, asked(gain, p_holm))) == (
        "Where 10 % of the slices without a tumour raise a false alarm, the classifier finds 83.0 % of tumour slices "
        f"with synthetic slices and 80.0 % without. {said}"
    )


def test_arms_that_were_not_compared_at_one_rate_are_not_told_apart() -> None:
    assert detail.roc_reading(BOTH, None) == ""
    assert detail.roc_reading(BOTH, statistics()) == ""  # no such measure asked
    assert detail.roc_reading(BOTH[:2], asked(0.03, 0.01)) == ""
    assert detail.roc_reading(BOTH, asked(0.03, 0.01).model_copy(update={"at_specificity": 0.93})) == ""


@pytest.mark.parametrize(
    ("gap", "first", "last"),
    [
        (0.05, "over-confident", "85.0 % are right; it is surer than right by +5.0 points (+2.0 to +8.0)."),
        (
            -0.05,
            "under-confident",
            "95.0 % are right; confidence less what is right: -5.0 points (-8.0 to -2.0).",
        ),
        (
            0.03,
            "whether it is over- or under-confident cannot be told",
            "87.0 % are right; confidence less what is right: +3.0 points (0.0 to +6.0).",
        ),
        (
            -0.0304,  # the interval ends just below 0, and is written as if it ended there
            "whether it is over- or under-confident cannot be told",
            "93.0 % are right; confidence less what is right: -3.0 points (-6.0 to 0.0).",
        ),
    ],
)
def test_how_sure_and_how_right(gap: float, first: str, last: str) -> None:
    of = arm_detail(PRIMARY_ARM, surer=estimate(gap, 0.03))
    middle = "The classifier is on average 90.0 % sure of what it calls a slice, and"
    assert plain(detail.calibration_reading(of)) == f"Real + classic + synthetic: {first}. {middle} {last}"


def counts(missed: float, false_alarms: float, n: int = 383) -> Confusion:
    return Confusion(
        found=n - missed,
        missed=missed,
        cleared=n - false_alarms,
        false_alarms=false_alarms,
        n_tumour_subjects=54 if n > 1 else 1,
        n_no_tumour_subjects=56 if n > 1 else 1,
    )


def arms(reference: Confusion, primary: Confusion) -> tuple[ArmDetail, ...]:
    return arm_detail(REFERENCE_ARM, confusion=reference), arm_detail(PRIMARY_ARM, confusion=primary)


MISSED = "Of 383 tumour slices of 54 subjects, 83 are missed without synthetic slices and "
ALARMS = "Of 383 slices without a tumour, of 56 subjects, 50.3 raise a false alarm without synthetic slices and "


@pytest.mark.parametrize(
    ("missed", "false_alarms", "said"),
    [
        (70.7, 61, f"{MISSED}70.7 with them: 12.3 fewer. {ALARMS}61 with them: 10.7 more."),
        (1083 - 999, 20.3, f"{MISSED}84 with them: 1 more. {ALARMS}20.3 with them: 30 fewer."),
        (83.04, 50.3, f"{MISSED}as many with them. {ALARMS}as many with them."),
    ],
)
def test_what_was_missed_in_counts(missed: float, false_alarms: float, said: str) -> None:
    both = arms(counts(83, 50.3), counts(missed, false_alarms))
    assert plain(detail.confusion_reading(both, known=True)) == said


def test_one_slice_of_each_diagnosis_and_groups_whose_subjects_are_unknown() -> None:
    one = counts(0.5, 0.25, 1)
    assert plain(detail.confusion_reading(arms(one, one), known=False)) == (
        "Of 1 tumour slice of 1 image group, 0.5 is missed without synthetic slices and as many with them. "
        "Of 1 slice without a tumour, of 1 image group, 0.2 raises a false alarm without synthetic slices and as many "
        "with them."
    )
    worse, better = counts(0.7, 0.7, 1), counts(0.2, 0.2, 1)
    for first, second, change in ((worse, better, "0.5 fewer"), (better, worse, "0.5 more")):
        said = plain(detail.confusion_reading(arms(first, second), known=False))
        assert said.count(change) == 2
        assert "is missed" in said
        assert "raises a false alarm" in said
    assert detail.confusion_reading(BOTH[:1], known=True) == ""


def test_the_table_of_counts_has_every_arm_with_its_shares_of_a_row() -> None:
    table = tables.confusion_table(BOTH, known=True)
    assert [plain(cell) for cell in table.rows[2]] == [
        "Real + classic + synthetic",
        "383 slices of 54 subjects",
        "300 (78.3 %)",
        "83 (21.7 %)",
        "450 slices of 56 subjects",
        "400 (88.9 %)",
        "50 (11.1 %)",
    ]
    assert len(table.rows) == 3
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_tables_of_the_curves_have_every_point_and_bin() -> None:
    roc, bins = tables.roc_table(BOTH), tables.calibration_table(BOTH)
    assert [plain(cell) for cell in roc.rows[2]] == [
        "10 %",
        "80.0 % (75.0 to 84.0)",
        "81.0 % (76.0 to 85.0)",
        "83.0 % (78.0 to 87.0)",
    ]
    assert len(roc.rows) == 6
    assert [plain(cell) for cell in bins.rows[5]] == ["Real + classic + synthetic", "34.0 %", "20.0 %", "12", "3.7"]
    assert len(bins.rows) == 8  # of the two arms that are compared


# --- figures ---


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn by the code under test


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parse(svg).iter(f"{SVG}text")]


def lines(svg: str, colour: str) -> list[list[tuple[float, float]]]:
    """Open lines of at least four points in this colour."""
    found = []
    for path in parse(svg).iter(f"{SVG}path"):
        points = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.get("d") or "")
        drawn = path.get("style") or ""
        if "fill: none" in drawn and f"var(--{colour})" in drawn and len(points) >= 4:
            found.append([(float(x), float(y)) for x, y in points])
    return found


def use_places(svg: str, colour: str) -> list[tuple[float, float, str]]:
    """Place and style of every mark in this colour."""
    return [
        (float(use.get("x", "nan")), float(use.get("y", "nan")), use.get("style") or "")
        for use in parse(svg).iter(f"{SVG}use")
        if f"stroke: var(--{colour})" in (use.get("style") or "")
    ]


@pytest.mark.parametrize("draw", [figures.roc, figures.calibration])
def test_a_figure_is_the_same_twice_whole_and_of_the_pages_colours(draw) -> None:
    before = dict(mpl.rcParams)
    svg = draw(BOTH)
    assert svg == draw(BOTH)
    assert dict(mpl.rcParams) == before
    assert parse(svg).get("role") == "img"
    assert not re.findall(r"(?:fill|stroke): ?(?:#|rgb)", svg)
    assert {"Real + classic augmentation", "Real + classic + synthetic"} <= set(texts(svg))
    assert "Real + classic + duplicates" not in texts(svg)


def test_more_found_is_higher_and_the_arms_differ_in_more_than_colour() -> None:
    svg = figures.roc(BOTH)
    (synthetic,) = [line for line in lines(svg, "accent") if len(line) == 6]
    reference = [line for line in lines(svg, "ink") if len(line) == 6]
    assert len(reference) == 3  # the curve, and its band between two lines
    curve = sorted(reference, key=lambda line: line[2][1])[1]
    assert all(x == also for (x, _), (also, _) in zip(synthetic, curve, strict=True))
    assert all(higher < lower for (_, higher), (_, lower) in zip(synthetic, curve, strict=True))  # y grows downwards
    assert "stroke-dasharray" in svg
    shapes = {path.get("d") for path in parse(svg).iter(f"{SVG}path") if path.get("id")}
    assert len(shapes) >= 2
    assert "var(--band)" in svg


def test_a_bin_of_few_subjects_is_hollow_and_bars_stand_apart() -> None:
    svg = figures.calibration(BOTH)
    for colour in ("accent", "ink"):
        hollow = [style for _, _, style in use_places(svg, colour) if "fill: var(--card)" in style]
        assert len(hollow) == 1
    many = [one.model_copy(update={"n_subjects": 5}) for one in BOTH[0].calibration]
    full = figures.calibration([one.model_copy(update={"calibration": tuple(many)}) for one in BOTH])
    assert not [style for *_, style in use_places(full, "accent") if "fill: var(--card)" in style]
    bars = [p for p in parse(svg).iter(f"{SVG}path") if (p.get("d") or "").strip().endswith("z") and p.get("clip-path")]
    starts = sorted(float(re.findall(r"M (-?[\d.]+)", bar.get("d") or "")[0]) for bar in bars)
    assert len(starts) == 8
    assert min(later - earlier for earlier, later in pairwise(starts)) > 5


def test_figures_say_aloud_what_they_show() -> None:
    assert plain(parse(figures.roc(BOTH)).get("aria-label") or "") == (
        "ROC curves: tumour slices found at each share of false alarms among slices without a tumour, with 95 % bands. "
        "Real + classic augmentation: 68.0 % (63.0 to 72.0) at 5 %, 80.0 % (75.0 to 84.0) at 10 %, 83.0 % (78.0 to "
        "87.0) at 20 %; Real + classic + synthetic: 71.0 % (66.0 to 75.0) at 5 %, 83.0 % (78.0 to 87.0) at 10 %, "
        "86.0 % (81.0 to 90.0) at 20 %."
    )
    assert plain(parse(figures.calibration(BOTH)).get("aria-label") or "") == (
        "Calibration curves: share of slices that show a tumour at each probability given, with the number of slices "
        "below. Real + classic augmentation: of slices given 6 % on average, 2 % show a tumour; of those given 95 %, "
        "97 %; Real + classic + synthetic: of slices given 6 % on average, 2 % show a tumour; of those given 95 %, "
        "97 %."
    )
