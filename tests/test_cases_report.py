"""What the classifier looks at, wrong cases and the map of features on the page: each sentence in each direction."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from report_records import (
    build_summary,
    case_pictures,
    feature_map,
    full_summary,
    occlusion_case,
    occlusions,
    write_pictures,
    wrong,
    wrong_case,
)

from data_contracts.results import Picture, RunSummary
from reports import case_tables, figures
from reports.render import render
from reports.wording import cases as words
from reports.wording import pictures as picture_words
from reports.wording.feature_map import map_limits, map_reading

SVG = "{http://www.w3.org/2000/svg}"


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")


# --- maps of what classifiers look at ---


def test_the_method_says_how_wide_the_square_is_and_what_colour_means() -> None:
    assert plain(words.looks_method(occlusions())) == (
        "A square 19 % as wide as the slice was moved over each slice, and what lay under it was replaced by a "
        "blurred copy of it. Colour marks where that lowers the probability of the answer that the classifier gave: "
        "there it looks. The lighter, the more; a line runs at half of the greatest effect, and is missing where no "
        "place matters much."
    )


def test_the_choice_is_by_lot_with_its_n() -> None:
    assert plain(words.looks_choice(occlusions())) == (
        "Of the 833 slices that fold 0 tests, the first classifier with synthetic slices called 831 right and 2 wrong; "
        "those shown were drawn by lot from both."
    )
    none = occlusions(n_wrong={"tumour": 0, "no_tumour": 0}, fold=2)
    assert plain(words.looks_choice(none)) == (
        "The first classifier with synthetic slices called all 831 slices that fold 2 tests right; those shown were "
        "drawn by lot."
    )


def test_the_effect_says_whether_any_one_place_decides() -> None:
    assert plain(words.looks_effect(occlusions())) == (
        "In half of the 10 slices, covering the place that matters most lowers that probability by 31.0 points or more "
        "(31.0 points at most); without synthetic slices by 24.0 points or more."
    )
    pale = occlusions(*(occlusion_case(largest_fall=fall) for fall in (0.02, 0.03, 0.6)))
    assert plain(words.looks_effect(pale)) == (
        "In half of the 3 slices, covering any one place lowers that probability by 3.0 points or less (60.0 points at "
        "most); without synthetic slices by 24.0 points or less. No single place decides there, and pale colour says "
        "little."
    )


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        (0.5, "more than chance would put there (without synthetic slices: 40 %)."),
        (0.12, "about what chance would put there (without synthetic slices: 40 %)."),
        (
            0.02,
            (
                "less than chance would put there, so these answers rest on something else (without synthetic slices: "
                "40 %)."
            ),
        ),
    ],
)
def test_how_much_lies_in_the_lesion_stands_beside_chance(inside: float, said: str) -> None:
    shown = occlusions(*(occlusion_case(in_lesion=inside) for _ in range(2)), occlusion_case("no_tumour"))
    assert plain(words.lesion_reading(shown)) == (
        f"In 2 tumour slices that both classifiers called tumour, {100 * inside:.0f} % of what is coloured lies in the "
        f"lesion, which is 10 % of the head: {said}"
    )


def test_without_masks_nothing_is_said_of_lesions() -> None:
    bare = occlusions(occlusion_case(lesion_share=None, in_lesion=None, reference_in_lesion=None))
    assert words.lesion_reading(bare) == ""
    assert not words.has_outlines(bare)
    assert words.has_outlines(occlusions())
    assert "lesion" not in " ".join(case_tables.looks_table(bare).columns)


def test_a_sheet_of_maps_says_what_stands_where() -> None:
    right, wrong_one, other = case_pictures(occlusions(), wrong())[:3]
    assert plain(picture_words.picture_text(right)) == (
        "4 real tumour slices that the classifier with synthetic slices calls right, one a row: left the slice, in the "
        "middle what that classifier looks at, right what the one without synthetic slices looks at (fold 0)."
    )
    assert "2 real tumour slices that the classifier with synthetic slices calls wrong, one a row" in plain(
        picture_words.picture_text(wrong_one)
    )
    assert "4 real no-tumour slices" in plain(picture_words.picture_text(other))
    single = right.model_copy(update={"n": 1})
    assert plain(picture_words.picture_text(single)).startswith("1 real tumour slice that the classifier with")
    assert "one a row" not in picture_words.picture_text(single)


def test_the_table_of_maps_has_a_row_a_slice_and_dashes_where_there_is_no_share() -> None:
    found = case_tables.looks_table(occlusions())
    assert [row[0] for row in found.rows] == [f"file-{i:04d}" for i in range(10)]
    cells = [tuple(plain(cell) for cell in row) for row in found.rows]
    assert cells[0][1:] == ("tumour", "right", "91 % / 88 %", "31.0 / 24.0", "50 % / 40 %", "10 %")
    assert cells[4][1:] == ("tumour", "wrong", "12 % / 14 %", "31.0 / 24.0", "– / –", "5 %")
    assert cells[6][1:] == ("no tumour", "right", "12 % / 14 %", "31.0 / 24.0", "– / –", "–")
    assert {len(row) for row in found.rows} == {len(found.columns)}


# --- wrong cases ---


def test_counts_of_wrong_slices_say_what_was_mended_and_what_broken() -> None:
    assert plain(words.wrong_reading(wrong(), known=True)) == (
        "Of 833 real test slices of 56 subjects, 31 are called wrong with synthetic slices and without. Synthetic "
        "slices mended 14 that are called wrong without them, and broke 9 that are called right."
    )
    assert "of 56 image groups" in plain(words.wrong_reading(wrong(), known=False))


@pytest.mark.parametrize(
    ("mended", "broken", "said"),
    [
        (14, 9, "More were mended than broken: 5 slices fewer wrong."),
        (1, 2, "More were broken than mended: 1 slice more wrong."),
        (4, 4, "As many were broken as mended."),
        (0, 0, "None changed sides."),
    ],
)
def test_the_direction_of_change_is_said_and_what_it_rests_on(mended: int, broken: int, said: str) -> None:
    told = plain(words.wrong_direction(wrong(mended=mended, broken=broken)))
    assert told == (
        f"{said} A slice counts by its mean probability over 3 trainings of each arm; other trainings would call some "
        "of them otherwise, so the verdict rests on intervals and not on these counts."
    )
    one = plain(words.wrong_direction(wrong(n_trainings=1)))
    assert "A slice counts by the one training of each arm; another training" in one


def test_which_of_the_wrong_slices_are_shown_is_said() -> None:
    assert plain(words.worst_reading(wrong(), known=True)) == (
        "Of 40 slices that are called wrong with synthetic slices, the 12 that are called so most surely, one of each "
        "subject, the surest first."
    )
    assert "one of each image group, the surest first." in words.worst_reading(wrong(), known=False)
    assert plain(words.worst_reading(wrong(both=2, broken=1, n_cases=3), known=True)) == (
        "All 3 slices that are called wrong with synthetic slices, the surest first."
    )
    assert plain(words.worst_reading(wrong(both=1, broken=0, n_cases=1), known=True)) == (
        "The one slice that is called wrong with synthetic slices."
    )
    assert words.worst_reading(wrong(both=0, broken=0, n_cases=0), known=True) == (
        "With synthetic slices no slice is called wrong."
    )


@pytest.mark.parametrize(
    ("diagnosis", "reference_wrong", "said"),
    [
        (
            "tumour",
            True,
            "Tumour, called no tumour: probability of tumour 10 %. Without synthetic slices 4 %, wrong too.",
        ),
        ("tumour", False, "Tumour, called no tumour: probability of tumour 10 %. Without synthetic slices 4 %, right."),
        ("no_tumour", True, "No tumour, called tumour: probability 87 %. Without synthetic slices 91 %, wrong too."),
        ("no_tumour", False, "No tumour, called tumour: probability 87 %. Without synthetic slices 91 %, right."),
    ],
)
def test_each_wrong_slice_says_what_it_is_and_how_sure_both_are(
    diagnosis: str, reference_wrong: bool, said: str
) -> None:
    assert plain(words.case_text(wrong_case(diagnosis, reference_wrong=reference_wrong))) == said


def test_the_table_of_wrong_slices_parts_missed_tumours_from_false_alarms() -> None:
    found = case_tables.wrong_table(wrong(), known=True)
    assert [row[1:] for row in found.rows] == [("31", "11", "10", "21"), ("14", "11", "4", "10"), ("9", "9", "3", "6")]
    assert [row[0] for row in found.rows] == [
        "Wrong with and without synthetic slices",
        "Mended: wrong only without them",
        "Broken: wrong only with them",
    ]
    assert "Of image groups" in case_tables.wrong_table(wrong(), known=False).columns


# --- the map of features ---


def test_the_map_says_how_many_are_drawn_and_how_much_it_cannot_show() -> None:
    assert plain(map_reading(feature_map())) == (
        "Each sign is one slice, drawn by lot: 81 of 449 training slices, 27 of 431 held-out real ones, 36 of 440 "
        "synthetic ones. The two directions are those in which real training slices vary most; they hold 49 % of that "
        "variance."
    )
    assert plain(map_limits(feature_map())) == (
        "Nearness here proves nothing: two slices that lie together may be far apart in the other 51 % of the "
        "variance, which is not drawn. The figures above measure in all of it."
    )


def drawn(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Places of the markers of each shape, in the order drawn."""
    found: dict[str, list[tuple[float, float]]] = {}
    for element in ET.fromstring(svg).iter(f"{SVG}use"):  # noqa: S314 - drawn by the code under test
        name = element.get("{http://www.w3.org/1999/xlink}href") or element.get("href") or ""
        found.setdefault(name, []).append((float(element.get("x", "nan")), float(element.get("y", "nan"))))
    return found


def test_the_map_draws_every_point_in_one_of_three_shapes_the_right_way_round() -> None:
    shown = feature_map()
    svg = figures.feature_map(shown)
    assert svg == figures.feature_map(shown)
    sizes = sorted(len(places) for places in drawn(svg).values())
    assert sizes[-3:] == [27 + 1, 36 + 1, 81 + 1]  # and one each in the legend
    moved = figures.feature_map(feature_map(synthetic=((3.0, 4.0),)))
    (one,) = [places for places in drawn(moved).values() if len(places) == 2]
    grid = next(places for places in drawn(moved).values() if len(places) == 82)
    xs, ys = zip(*grid[:81], strict=True)
    assert one[0][0] > sorted(xs)[40]
    assert one[0][1] < sorted(ys)[40]  # upwards is less
    steps = (max(xs) - min(xs)) / 8, (max(ys) - min(ys)) / 8
    assert steps[0] == pytest.approx(steps[1], rel=0.01), "both axes on one scale"
    label = ET.fromstring(svg).get("aria-label") or ""  # noqa: S314
    assert plain(label).startswith("Map of the features of tumour slices, fold 0. Each sign is one slice")
    assert not re.findall(r"(?:fill|stroke): ?(?:#|rgb)", svg)


# --- the page ---


@pytest.fixture
def page(tmp_path: Path) -> str:
    summary = full_summary()
    write_pictures(summary, tmp_path)
    return render(summary=summary, run_root=tmp_path)


def test_the_page_has_both_sections_and_the_map(page: str) -> None:
    for anchor in ("looks", "wrong"):
        assert page.count(f'id="{anchor}"') == 1
        assert f'href="#{anchor}"' in page
    assert page.count("<h3>Map of features</h3>") == 1
    assert page.count("Map of the features of") == 2
    assert page.count('alt="A real slice with') == 12
    assert "<code>augment-mri ingest SOURCE --locate NUMBER</code>" in page


def test_a_run_without_them_has_neither_section_nor_link(tmp_path: Path) -> None:
    page = render(summary=build_summary(), run_root=tmp_path)
    assert 'id="looks"' not in page
    assert 'id="wrong"' not in page
    assert "#looks" not in page
    assert "Map of features" not in page


def test_wrong_slices_of_every_fold_are_shown_with_their_own_words(tmp_path: Path) -> None:
    cases = (wrong_case(slice_id="file-0001", fold=3), wrong_case("no_tumour", slice_id="file-0002", fold=1))
    few = wrong(both=2, broken=0, n_cases=0, cases=cases)
    summary = full_summary(wrong=few, pictures=case_pictures(occlusions(), few))
    write_pictures(summary, tmp_path)
    (tmp_path / summary.pictures[-1].path).unlink()
    shown = render(summary=summary, run_root=tmp_path)
    section = shown[shown.index('<section id="wrong"') :]
    first, second = section.index("file-0001"), section.index("file-0002")
    assert "A real slice with a tumour that is called no tumour." in section[:first]
    assert "file is missing from the run folder" in section[first:second]


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_a_number_of_a_slice_is_only_text(hostile: str, tmp_path: Path) -> None:
    shown = occlusions(occlusion_case(slice_id=hostile))
    cases = wrong(cases=(wrong_case(slice_id=hostile),))
    page = render(summary=full_summary(occlusions=shown, wrong=cases, pictures=()), run_root=tmp_path)
    assert hostile not in page
    assert "&lt;" in page


def test_older_summaries_are_read_and_new_ones_come_back(tmp_path: Path) -> None:
    old = build_summary().model_dump(mode="json")
    for name in ("maps", "occlusions", "wrong"):
        del old[name]
    assert RunSummary.model_validate(old) == build_summary()
    again = RunSummary.model_validate_json(full_summary().model_dump_json())
    assert (again.maps, again.occlusions, again.wrong) == (
        (feature_map(), feature_map("no_tumour")),
        occlusions(),
        wrong(),
    )
    assert Picture.model_validate(case_pictures(occlusions(), wrong())[0].model_dump()).kind == "looks_right"
