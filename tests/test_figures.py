"""Figures as SVG: whole, the same bytes twice, right way round, safe with any name, and without fixed colours."""

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from report_records import arm, difference, dose, estimate, fidelity, learning, set_scores, training

from data_contracts.results import ARMS, Alarm, CurvePoint, TrainingRecord
from reports import figures
from reports.language import LANGUAGES, speak

SVG = "{http://www.w3.org/2000/svg}"


def tick(images_seen: int, attempt: int = 0, share: float = 0.5, **changes: object) -> CurvePoint:
    """A look of the watch at a generator that reaches `share` of what real slices do."""
    fields: dict[str, object] = {
        "images_seen": images_seen,
        "attempt": attempt,
        "generator_loss": 1.0,
        "discriminator_loss": 0.5,
        "discriminator_accuracy": 0.6,
        "verdict": "healthy",
        "coverage": 0.4 * share,
        "coverage_real": 0.4,
        "diversity": 0.3 * share,
        "diversity_real": 0.3,
        "kid": 0.05 * (1 - share),
        "kid_real": 0.002,
    }
    return CurvePoint.model_validate({**fields, **changes})


WAY = (*(tick(1000 * i) for i in range(1, 9)), *(tick(1000 * i, 1, 0.8) for i in range(5, 13)))
BACK = Alarm(images_seen=8000, reasons=(), return_to=4000)


def watched(curve: tuple[CurvePoint, ...] = WAY, diagnosis: str = "tumour", **changes: object) -> TrainingRecord:
    """By default back from 8,000 images to 4,000, and then to 12,000, of which 10,000 are kept."""
    fields = {"curve": curve, "watched": True, "images_seen": 12_000, "alarms": (BACK,), "kept_at": 10_000}
    return training([], diagnosis=diagnosis).model_copy(update={**fields, **changes})


DOSES = dose(estimate(0.004), estimate(0.012), estimate(0.021), estimate(0.024))


def draw(name: str) -> str:
    return {
        "forest": lambda: figures.forest([arm(a) for a in ARMS]),
        "differences": lambda: figures.differences((difference(0.021, 0.004, 0.038), difference(-0.01, -0.04, 0.02))),
        "diversity": lambda: figures.diversity(fidelity()),
        "dose": lambda: figures.dose(DOSES, margin=0.02),
        "learning": lambda: figures.learning(learning(estimate(0.034), estimate(0.026), estimate(0.021)), known=True),
        "curves": lambda: figures.curves(training([0.5] * 20)),
        "curves, watched": lambda: figures.curves(watched()),
        "health": lambda: figures.health(watched()),
    }[name]()


FIGURES = pytest.mark.parametrize(
    "name", ["forest", "differences", "diversity", "dose", "learning", "curves", "curves, watched", "health"]
)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn a line above, by the code under test


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parse(svg).iter(f"{SVG}text")]


def marker_places(svg: str) -> list[float]:
    """Horizontal places of the markers, in the order drawn; ticks are markers too and come first or last."""
    used = parse(svg).iter(f"{SVG}use")
    return [float(element.get("x", "nan")) for element in used]


@FIGURES
def test_same_record_gives_same_bytes(name: str) -> None:
    assert draw(name) == draw(name)


@FIGURES
def test_figure_is_one_whole_svg_that_says_what_it_shows(name: str) -> None:
    root = parse(draw(name))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert len(root.get("aria-label") or "") > 40
    assert not list(root.iter(f"{SVG}metadata"))


@FIGURES
def test_every_colour_is_one_of_the_page(name: str) -> None:
    svg = draw(name)
    assert "var(--accent)" in svg
    assert not re.findall(r"(?:fill|stroke): ?(?:#|rgb)", svg)


@FIGURES
def test_drawing_leaves_no_setting_behind(name: str) -> None:
    before = dict(mpl.rcParams)
    draw(name)
    assert dict(mpl.rcParams) == before


def test_forest_names_every_arm_with_its_interval_in_per_cent() -> None:
    said = " ".join(texts(draw("forest"))).replace("\N{NO-BREAK SPACE}", " ")
    for name in ("Real:", "Real + classic augmentation:", "Real + classic + duplicates:", "Synthetic only:"):
        assert f"{name} 80.0 % (78.0 to 82.0)" in said


def test_better_lies_to_the_right() -> None:
    worse, better = (
        figures.differences((difference(value, value - 0.01, value + 0.01), difference(0.0, -0.09, 0.09)))
        for value in (-0.05, 0.05)
    )
    moved = [b - a for a, b in zip(marker_places(worse), marker_places(better), strict=True) if abs(b - a) > 1]
    assert len(moved) == 1
    assert moved[0] > 0


def test_an_estimate_of_nothing_still_has_an_axis() -> None:
    none = difference(0.0, 0.0, 0.0)
    assert "against no added slices: 0.0 (0.0 to 0.0)" in texts(figures.differences((none,)))


def test_density_above_one_stays_inside_the_axis() -> None:
    crowded = fidelity(synthetic=set_scores(density=1.4), collapsed=set_scores())
    ticks = [float(t) for t in texts(figures.diversity(crowded)) if re.fullmatch(r"\d\.\d+", t)]
    assert max(ticks) >= 1.2


def upright(svg: str) -> list[tuple[float, float, float]]:
    """Place, lower and upper end of every upright line in the middle of a figure, left to right; y grows downwards."""
    found = [(points[0][0], *sorted(y for _, y in points)) for _, points in lines(svg) if len(points) == 2]
    of = [p for _, p in lines(svg) if len(p) == 2 and p[0][0] == p[1][0]]
    places = {p[0][0] for p in of}
    return sorted((x, low, high) for x, low, high in found if x in places and high - low > 20)


def test_doses_stand_in_order_as_far_apart_as_they_are_doubled_and_better_is_higher() -> None:
    places, tops, _ = zip(*upright(draw("dose")), strict=True)
    steps = [b - a for a, b in pairwise(places)]
    assert len(steps) == 3
    assert max(steps) - min(steps) < 0.01
    assert list(tops) == sorted(tops, reverse=True)
    label = (parse(draw("dose")).get("aria-label") or "").replace("\N{NO-BREAK SPACE}", " ")
    assert "at 0.25 synthetic slices a real one +0.4 points (-1.6 to +2.4)".replace("-", "\N{MINUS SIGN}") in label


def test_the_learning_curve_has_both_arms_apart_at_every_share() -> None:
    bars = upright(draw("learning"))
    assert len(bars) == 6
    assert all(without[0] < with_[0] for without, with_ in zip(bars[::2], bars[1::2], strict=True))
    assert all(with_[1] < without[1] for without, with_ in zip(bars[::2], bars[1::2], strict=True))  # higher up
    label = (parse(draw("learning")).get("aria-label") or "").replace("\N{NO-BREAK SPACE}", " ")
    assert "Real + classic augmentation: 25 % 78.6 % (75.6 to 81.6), 50 %" in label
    one_arm = learning(estimate(0.02))[0].model_copy(update={"arms": {"real+classic": estimate(0.8)}})
    assert "synthetic:" not in (parse(figures.learning((one_arm,), known=False)).get("aria-label") or "")


def test_the_references_stand_beside_the_synthetic_set() -> None:
    said = texts(draw("diversity"))
    assert {"synthetic", "held-out real", "a few repeated", "noise"} <= set(said)
    far, near = (figures.diversity(fidelity(noise=set_scores(precision=p))) for p in (0.0, 0.7))
    moved = [b - a for a, b in zip(marker_places(far), marker_places(near), strict=True) if abs(b - a) > 1]
    assert len(moved) == 1
    assert moved[0] > 0


def test_a_single_tick_of_training_is_drawn_without_a_warning() -> None:
    assert "images seen" in " ".join(texts(figures.curves(training([0.5]))))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><b onload="x">', "$\\frac{1}{2}$ & $", "x" * 2_000])
def test_a_name_is_only_a_name(name: str) -> None:
    for svg in (
        figures.diversity(fidelity(diagnosis=name)),
        figures.curves(training([0.5] * 20, diagnosis=name)),
        figures.health(watched(diagnosis=name)),
    ):
        root = parse(svg)
        assert name.replace(" ", "-") in (root.get("aria-label") or "").replace(" ", "-")
        assert not list(root.iter(f"{SVG}script"))


def lines(svg: str) -> list[tuple[str, list[tuple[float, float]]]]:
    """Every open line: its style, and its points in the order drawn."""
    found = []
    for path in parse(svg).iter(f"{SVG}path"):
        numbers = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path.get("d") or "")
        if "fill: none" in (path.get("style") or "") and len(numbers) > 1:
            found.append((path.get("style") or "", [(float(x), float(y)) for x, y in numbers]))
    return found


def solid(svg: str) -> list[list[tuple[float, float]]]:
    """The generator's lines on the way that led to the end."""
    return [points for style, points in lines(svg) if "var(--accent)" in style]


def test_what_an_alarm_went_back_on_is_thin_and_apart_from_the_way_that_led_on() -> None:
    svg = figures.health(watched())
    first, second = solid(svg)[:2]  # of coverage: to 4,000 images, and from 5,000 after the alarm
    assert len(first) >= 2
    assert first[-1][0] < second[0][0]
    assert second[0][1] < first[-1][1]  # better lies higher
    muted = {points[0]: points for style, points in lines(svg) if "var(--muted)" in style}
    left = [points for start, points in muted.items() if start[0] == second[0][0] and start[1] == first[-1][1]]
    assert len(left) == 1, "5,000 to 8,000 images of the first attempt, as flat as before"
    assert first[-1][0] < left[0][0][0] < left[0][-1][0] < second[-1][0]


def test_after_a_stop_nothing_was_gone_back_on() -> None:
    way = tuple(tick(1000 * i) for i in range(1, 9))
    stopped = figures.health(watched(way, stopped=True, images_seen=8000, kept_at=4000))
    back = figures.health(watched(way, images_seen=8000, kept_at=4000))
    assert solid(stopped)[0][-1][0] > solid(back)[0][-1][0] + 50  # to the end, and not only to 4,000 images


def test_an_alarm_at_the_end_of_the_budget_is_drawn_as_the_end() -> None:
    way = (*(tick(1000 * i) for i in range(1, 8)), tick(8000, verdict="alarm"))
    over = figures.health(watched(way, images_seen=8000, kept_at=4000))
    stopped = figures.health(watched(way, images_seen=8000, kept_at=4000, stopped=True))
    assert over == stopped  # the same signs; the caption says which it was


def test_every_alarm_has_its_word_and_its_line_and_the_kept_moment_its_sign() -> None:
    two = watched(alarms=(BACK, Alarm(images_seen=11_000, reasons=(), return_to=None)), stopped=True)
    said = texts(figures.health(two))
    assert [word for word in said if word.startswith("alarm") or word == "kept"] == ["alarm 1", "alarm 2", "kept"]
    for draw_one in (figures.health, figures.curves):
        upright = [p for _, p in lines(draw_one(two)) if len(p) == 2 and p[0][0] == p[1][0]]
        assert len({points[0][0] for points in upright}) >= 2
    calm = texts(figures.health(watched(alarms=())))
    assert "kept" in calm
    assert not [word for word in calm if word.startswith("alarm")]


def test_health_says_aloud_what_it_shows() -> None:
    label = (parse(figures.health(watched())).get("aria-label") or "").replace("\N{NO-BREAK SPACE}", " ")
    assert label == (
        "Coverage, diversity and kernel distance over the training of tumour slices, beside what real slices reach: "
        "alarms at 8,000 images seen; kept at 10,000: coverage 32 % (real against real: 40 %), diversity, share of "
        "real 80 %, kernel distance 0.0100."
    )
    calm = watched(tuple(tick(1000 * i, judged=True, n=64) for i in range(1, 4)), alarms=(), confirm=3)
    said = parse(figures.health(calm)).get("aria-label") or ""
    assert "beside what real slices reach (n = 64 each): no alarm." in said
    young = calm.model_copy(update={"confirm": 4})
    assert "(n = 64 each): no alarm was possible" in (parse(figures.health(young)).get("aria-label") or "")


def test_of_two_ticks_at_as_many_images_the_nearer_one_is_kept() -> None:
    label = parse(figures.health(watched(kept_at=6000))).get("aria-label") or ""
    assert "kept at 6,000: coverage 32" in label  # the second attempt's, not the first's 20 %


def test_measures_that_were_not_taken_leave_gaps_and_no_warning() -> None:
    poor = {"coverage": None, "diversity": None, "kid": None, "diversity_real": 0.0, "kid_real": None}
    svg = figures.health(watched((tick(1000), tick(2000, **poor), tick(3000)), alarms=(), kept_at=2000))
    assert "nan" not in svg.lower().replace("nance", "")
    assert "images seen, thousands" in texts(svg)
    figures.health(watched((tick(1000),), alarms=(), kept_at=None))


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", ["forest", "differences"])
def test_no_label_above_an_interval_is_wider_than_its_figure(name: str, lang: str) -> None:
    with speak(lang):
        root = ET.fromstring(draw(name))  # noqa: S314  # our own figure
    right = float((root.get("viewBox") or "").split()[2])
    texts = list(root.iter(f"{SVG}text"))
    assert len(texts) > 5
    for text in texts:
        css = dict(part.split(": ", 1) for part in (text.get("style") or "").split("; "))
        size = float(css["font-size"].removesuffix("px"))
        weight = "bold" if css.get("font-weight") in ("700", "bold") else "normal"
        font = FontProperties(family="DejaVu Sans", weight=weight, size=size)
        width = TextPath((0, 0), text.text, prop=font).get_extents().width
        behind = {"start": 1.0, "middle": 0.5, "end": 0.0}[css.get("text-anchor", "start")]
        assert float(text.get("x") or 0) + behind * width <= right, text.text
