"""What the report says of painted slices and of copy and paste: sentences with their direction, and the page."""

import re
from pathlib import Path
from typing import get_args

import pytest
from report_records import (
    build_summary,
    difference,
    estimate,
    full_summary,
    learning,
    lesions,
    memorisation,
    painted_copies,
    painted_summary,
    permuted,
    to_copy_paste,
    traced,
    transfer,
    ways,
    write_pictures,
)

from data_contracts.results import (
    Arm,
    Difference,
    MemorisationScores,
    PastedUtility,
    Picture,
    RunSummary,
    TransferScores,
    Way,
)
from reports import figures, lights, numbers, tables, wording
from reports.limits import limits
from reports.render import render


def plain(text: str) -> str:
    return text.replace(numbers.NBSP, " ").replace(numbers.MINUS, "-").replace("’", "'")


# --- copy and paste ---

GAIN = {"difference": difference(0.042, 0.017, 0.067)}
NOTHING = {
    "difference": difference(0.0, -0.01, 0.01),
    "difference_to_duplicates": difference(0.0, -0.01, 0.01, reference="real+classic+duplicates"),
}
PASTE_HELPS = {
    **NOTHING,
    "copy_paste": PastedUtility(verdict="gain", difference=difference(0.05, 0.02, 0.08, arm="real+classic+copy_paste")),
}
BETTER, OPEN, WORSE = to_copy_paste(), to_copy_paste(0.004, -0.015, 0.023), to_copy_paste(-0.05, -0.07, -0.03)


def test_every_arm_and_way_has_a_name() -> None:
    assert set(wording.names.ARM_NAMES) == set(get_args(Arm))
    assert set(wording.ways.WAY_NAMES) == set(get_args(Way))


@pytest.mark.parametrize(
    ("verdict", "made", "to_paste", "choice", "said"),
    [
        ("gain", GAIN, BETTER, "synthetic",
         "Recommended: painted slices. They did better than copy and paste (+3.1 points, 95 % interval +0.9 to +5.3)."),
        ("gain", GAIN, OPEN, "copy_paste",
         ("Recommended: copy and paste of real lesions. Painted slices are not shown to do better than copy and paste "
         "(+0.4 points, 95 % interval -1.5 to +2.3).")),
        ("gain", GAIN, to_copy_paste(0.02, 0.0, 0.04), "copy_paste", "are not shown to do better"),
        ("gain", GAIN, WORSE, "copy_paste", "Painted slices did worse than copy and paste (-5.0 points"),
        ("insufficient_evidence", PASTE_HELPS, WORSE, "copy_paste",
         ("Recommended: copy and paste of real lesions. It is shown to help (+5.0 points against no added slices, 95 % "
         "interval +2.0 to +8.0), whereas painted slices are not; they did worse")),
        ("insufficient_evidence", NOTHING, WORSE, "neither", "Neither is shown to help."),
        ("equivalent", NOTHING, OPEN, "neither",
         ("Recommended: neither painted slices nor copy and paste of real lesions. Neither is shown to help. Painted "
         "slices are not shown to do better")),
        ("harm", NOTHING, BETTER, "neither", "Painted slices did better than copy and paste"),
    ],
)  # fmt: skip
def test_what_is_recommended_follows_from_the_intervals(
    verdict: str, made: dict[str, object], to_paste: Difference, choice: str, said: str
) -> None:
    summary = painted_summary(verdict=verdict, difference_to_copy_paste=to_paste, folds=1, **made)
    assert wording.paste.recommended(summary) == choice
    assert said in plain(wording.paste.recommendation(summary))


def test_nothing_is_recommended_without_the_arm_or_where_a_control_failed() -> None:
    without = build_summary()
    failed = painted_summary(folds=1, controls=(permuted(0.71, passed=False),))
    for summary in (without, failed):
        assert wording.paste.recommended(summary) is None
        assert wording.paste.recommendation(summary) == ""


def test_slices_that_were_not_painted_are_called_synthetic() -> None:
    summary = build_summary(difference_to_copy_paste=BETTER)
    assert wording.paste.recommendation(summary).startswith("Recommended: synthetic slices.")


@pytest.mark.parametrize(
    ("to_paste", "said"),
    [(BETTER, "worth adding"), (OPEN, "may do as well"), (WORSE, "But copy and paste of real lesions, which needs no")],
)
def test_advice_does_not_praise_what_is_not_recommended(to_paste: Difference, said: str) -> None:
    advice = wording.verdict.advice(painted_summary(folds=1, difference_to_copy_paste=to_paste))
    assert said in advice
    assert ("worth adding" in advice) == (to_paste.low > 0)


@pytest.mark.parametrize(("to_paste", "level"), [(BETTER, "good"), (OPEN, "caution"), (WORSE, "caution")])
def test_the_utility_light_is_green_only_where_copy_and_paste_is_beaten(to_paste: Difference, level: str) -> None:
    light = lights.utility_light(painted_summary(folds=1, difference_to_copy_paste=to_paste))
    assert light.level == level
    assert f"Against copy and paste of real lesions: {numbers.points_interval(to_paste)}." in light.why


def test_copy_and_paste_stands_in_every_table_and_figure_of_arms_that_has_it() -> None:
    summary = painted_summary(folds=1)
    compared = wording.paste.compared(summary)
    assert [row[0] for row in tables.arms_table(summary.arms, summary.difference, known=True).rows][3] == (
        "Real + classic + copy and paste"
    )
    table = tables.differences_table(compared, known=True)
    assert len(table.rows) == 3
    assert "copy and paste" in table.caption
    assert "against copy and paste +3.1" in plain(figures.differences(compared))
    assert "Real + classic + copy and paste 87.2" in plain(figures.forest(summary.arms))
    with_paste = tuple(
        point.model_copy(update={"arms": {**point.arms, "real+classic+copy_paste": estimate(0.8)}})
        for point in learning(estimate(0.03), estimate(0.02))
    )
    assert "Real + classic + copy and paste" in tables.learning_table(with_paste, known=True).columns
    assert "Real + classic + copy and paste" in figures.learning(with_paste, known=True)
    assert "copy and paste" not in figures.learning(learning(estimate(0.03), estimate(0.02)), known=True)
    assert len(wording.paste.compared(build_summary())) == 2


# --- patients in painted slices ---


def test_painted_slices_are_said_to_be_patients() -> None:
    assert plain(wording.copies.anatomy_reading((painted_copies("tumour"), painted_copies("no_tumour")))) == (
        "Each painted slice is a real patient's slice but for the painted region (copy rate outside of it: 1). Inside: "
        "6 of 800 were near-copies (0.8 %); of such regions in held-out real slices the same rule calls 1.0 % so. "
        "Treat the set as patient data."
    )
    unmeasured = (painted_copies(outside_copy_share=None, n_held_out_real=0),)
    said = plain(wording.copies.anatomy_reading(unmeasured))
    assert "but for the painted region. Inside: 3 of 400 were near-copies (0.8 %). Treat" in said
    assert wording.copies.anatomy_reading((memorisation(),)) == ""


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "1"), (0.9996, "0.9996"), (0.98, "0.98"), (0.999_999, "just below 1"), (0.0, "0.00")]
)
def test_a_copy_rate_is_one_only_where_every_slice_is_a_copy(share: float, text: str) -> None:
    assert wording.copies.copy_rate(share) == text


@pytest.mark.parametrize(
    ("scores", "level", "word"),
    [
        (painted_copies(), "caution", "Holds patient anatomy"),
        (painted_copies(n_near_copies=0), "caution", "Holds patient anatomy"),
        (painted_copies(n_near_copies=80), "problem", "Copies its patients"),
        (memorisation(0), "good", "No sign of copying"),
    ],
)
def test_the_light_of_copies_is_never_green_for_painted_slices(
    scores: MemorisationScores, level: str, word: str
) -> None:
    light = lights.copies_light((scores,))
    assert (light.level, light.word) == (level, word)
    assert ("Treat the set as patient data." in light.why) == scores.contains_patient_anatomy


def test_copies_of_painted_slices_are_those_inside_of_the_painted_region() -> None:
    scores = traced().model_copy(update={"contains_patient_anatomy": True, "outside_copy_share": 1.0})
    said = plain(wording.copies.copies_reading(scores))
    assert said.startswith(
        "Of 400 painted no-tumour slices, 4 (1.0 %) were too near to a training slice inside the pain"
    )
    assert (
        "The same rule would call 1.0 % of 250 held-out real slices near-copies in such a region. Inside, the" in said
    )
    assert " inside the painted region: 1.3 % of 400 painted" in plain(wording.copies.feature_copies_reading(scores))
    attack = wording.copies.membership_reading(scores)
    assert "the anatomy around it shows its patient in any case" in attack
    table = tables.memorisation_table((scores, memorisation()))
    assert table.columns[-1] == "Outside the painted region, copy rate"
    assert [row[-1] for row in table.rows] == ["1", "–"]


# --- transfer ---

FLAGGED = transfer(1, 0.21, shortcuts=True, synthetic_inside=0.945)


def test_the_worst_fold_tells_of_shortcuts() -> None:
    milder = transfer(0, 0.12, shortcuts=True, blurred_to=16)
    said = plain(wording.transfer.transfer_reading((milder, FLAGGED, transfer(2))))
    assert said.startswith("The synthetic set carries its generator's shortcuts (in 2 of 3 folds)")
    assert (
        "fold 1, images as they are: among synthetic slices 94.5 % balanced accuracy, carried to real ones 68.1 %"
        in said
    )
    assert "a loss of 21.0 points (18.0 to 24.0)" in said
    assert plain(wording.transfer.transfer_count((FLAGGED,))) == (
        "The set carries its generator's shortcuts in 1 of 1 fold."
    )
    assert wording.transfer.transfer_count((transfer(),)) == ""


@pytest.mark.parametrize(("half", "shown"), [(0.05, False), (0.03, True)])
def test_no_shortcut_is_no_proof_and_has_its_interval(half: float, shown: bool) -> None:
    said = plain(wording.transfer.transfer_reading((transfer(0, 0.031, half=half), transfer(1, 0.0, half=half))))
    assert said.startswith("No shortcut of the generators was found.")
    assert ("A loss on real slices is shown in 1 of 2 folds, but none" in said) == shown
    assert f"A loss of up to {3.1 + 100 * half:.1f} points is not ruled out (fold 0, 167 real test slices)." in said


def test_the_loss_has_its_direction_at_each_sharpness() -> None:
    said = plain(
        wording.transfer.transfer_means((transfer(0, 0.02), transfer(1, 0.04), transfer(0, -0.01, blurred_to=16)))
    )
    assert "mean over 2 folds: 86.1 % against 89.1 %, images as they are (3.0 points lost)" in said
    assert "90.1 % against 89.1 %, images blurred to 16 pixels (1.0 points gained)" in said


@pytest.mark.parametrize(
    ("scores", "said"),
    [((FLAGGED,), "learns something that real scans do not have"), ((transfer(),), "is not ruled out"), ((), "")],
)
def test_what_the_transfer_leaves_open_is_a_limit(scores: tuple[TransferScores, ...], said: str) -> None:
    assert said in wording.transfer.transfer_limit(scores)
    found = limits(painted_summary(folds=1, transfer=scores))
    assert any(said in text for text in found)
    assert "" not in found


def test_the_table_of_transfer_has_a_row_a_fold_and_sharpness() -> None:
    table = tables.transfer_table((FLAGGED, transfer(2, -0.01, blurred_to=16)))
    assert [plain(row[0]) for row in table.rows] == ["fold 1, as they are", "fold 2, blurred to 16 pixels"]
    assert [plain(row[-2]) for row in table.rows] == ["21.0 points (18.0 to 24.0)", "-1.0 points (-4.0 to 2.0)"]
    assert [row[-1] for row in table.rows] == ["carried", "not found"]


def test_shortcuts_are_told_beside_the_utility_light_and_change_no_level() -> None:
    light = lights.utility_light(painted_summary(folds=1, transfer=(FLAGGED,)))
    assert "carries its generator's shortcuts in 1 of 1 fold" in plain(light.why)
    assert light.level == "good"


# --- ways and lesions ---


def test_the_chosen_ways_are_counted_and_not_taken_for_results() -> None:
    tried = (*ways(0, "curriculum"), *ways(1, "mix"), *ways(2, "mix"))
    said = plain(wording.ways.ways_reading(tried))
    assert "mixed with real ones (2 of 3 folds), fewer and fewer synthetic ones step by step (1 of 3 folds)" in said
    assert "flatter what they chose" in said
    assert "none could be tried" in wording.ways.ways_reading(ways(0, "nothing"))
    table = tables.ways_table((*ways(0, "curriculum"), *ways(1, "mix")[:2]))
    assert [plain(cell) for cell in table.rows[0]] == [
        "fold 0", "53", "87.1 %", "86.8 %", "85.9 %", "87.4 %, chosen", "84.6 %",
    ]  # fmt: skip
    assert [plain(cell) for cell in table.rows[1]] == ["fold 1", "53", "87.1 %, chosen", "86.8 %", "–", "–", "–"]


def test_where_lesions_were_known_from_is_said_with_how_good_found_ones_are() -> None:
    assert wording.data.lesions_reading((lesions(0), lesions(1, n_usable=439))) == (
        "Where lesions lie was known from masks given with the scans: usable in 440 of 449 tumour slices of the "
        "training part (mean over 2 folds)."
    )
    drawn, found = lesions(0, "drawn"), lesions(1, "found", n_usable=160)
    said = wording.data.lesions_reading((drawn, found))
    assert "outlines drawn by hand: usable in 441 of 449" in said
    assert said.endswith("How well these match the true lesions is not known: no true mask was at hand.")
    checked = (found.model_copy(update={"dice": 0.4}), found.model_copy(update={"dice": 0.5, "hit_rate": 0.8}))
    said = plain(wording.data.lesions_reading(checked))
    assert "Dice 0.45 (1 is the same outline), the most suspicious point lies in the lesion in 80 % of slices" in said
    assert wording.data.lesions_reading(()) == ""


# --- what speaks of generators of whole slices ---


@pytest.mark.parametrize(
    ("config", "scores", "painted"),
    [
        ({"synthesis": {"strategy": "paint"}}, memorisation(), True),  # on dreamt canvases no patient is in them
        ({"synthesis": {"strategy": "joint"}}, memorisation(), False),
        ({"synthesis": "paint"}, memorisation(), False),
        ({}, painted_copies(), True),
        ({}, memorisation(), False),
    ],
)
def test_a_painted_set_is_known_by_its_strategy_or_by_its_patients(
    config: dict[str, object], scores: MemorisationScores, painted: bool
) -> None:
    provenance = build_summary().provenance.model_copy(update={"config": config})
    assert wording.names.is_painted(build_summary(provenance=provenance, memorisation=(scores,))) is painted


def test_painters_have_their_own_words() -> None:
    record = painted_summary(folds=1).training[0]
    said = plain(wording.training.training_reading(record, known=True, painted=True))
    assert (
        "painting lesions into real no-tumour slices), shown 118,000 images; 1,204,113 weights in the painter" in said
    )
    assert "told real from painted in 74 % of images" in said
    assert "No collapse watch looks on while a painter learns" in wording.watch.watch_reading(record, painted=True)
    table = tables.training_table((record,), known=True, painted=True)
    assert table.columns[0] == "Painter of"
    assert len(table.columns) == len(table.rows[0]) == 6
    assert "painter" in figures.curves(record, painted=True)
    assert any("Painters were trained once a fold" in text for text in limits(painted_summary(folds=1)))
    for kind in ("training", "film", "nearest_pairs", "slices"):
        shown = Picture.model_validate(
            {"kind": kind, "fold": 0, "diagnosis": "tumour", "origin": "synthetic", "path": "x", "n": 8}
        )
        text = wording.pictures.picture_text(shown, painted=True)
        assert "paint" in text
        assert "latent" not in text
        assert "generator" not in text


# --- the page ---

NO_FIGURES = {"pictures": (), "fidelity": (), "training": (), "dose": (), "learning": ()}  # quicker


def page_of(summary: RunSummary, root: Path) -> str:
    write_pictures(summary, root)
    return render(summary=summary, run_root=root)


def text_of(html: str) -> str:
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return plain(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


def test_the_page_of_a_painted_study_says_what_it_is(tmp_path: Path) -> None:
    summary = painted_summary(folds=2)
    html = page_of(summary, tmp_path)
    again = RunSummary.model_validate_json(summary.model_dump_json())
    assert html == render(summary=again, run_root=tmp_path)
    first = text_of(html[html.index('<section id="verdict"') : html.index('<section id="data"')])
    assert "Recommended: painted slices." in first
    assert "Copy and paste: a real lesion moved, turned and blended" in first
    assert "Treat the set as patient data." in first
    text = text_of(html)
    for said in (
        "Transfer to real slices",
        "How the synthetic slices were used",
        "Where lesions lie was known from masks",
        "Training of the painters",
        "Painted slices keep real heads",
    ):
        assert said in text, said
    for wrong in ("latents", "GAN", "birthday", "noise-to-image", "Collapse watch", "generator of tumour"):
        assert wrong not in text, wrong
    assert not re.findall(r"\b(None|nan|Undefined)\b", text)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


@pytest.mark.parametrize("absent", ["transfer", "ways", "lesions", "difference_to_copy_paste"])
def test_each_part_of_a_painted_study_stands_without_the_others(tmp_path: Path, absent: str) -> None:
    nothing = None if absent == "difference_to_copy_paste" else ()
    html = page_of(painted_summary(folds=1, **NO_FIGURES, **{absent: nothing}), tmp_path)
    marks = {
        "transfer": 'id="transfer"',
        "ways": "How the synthetic slices were used",
        "lesions": "Where lesions lie",
        "difference_to_copy_paste": "Recommended:",
    }
    assert {name for name, mark in marks.items() if mark not in html} == {absent}
    assert ('href="#transfer"' in html) == (absent != "transfer")


def test_a_study_without_any_of_it_says_nothing_of_it(tmp_path: Path) -> None:
    text = text_of(page_of(full_summary(**NO_FIGURES), tmp_path)).lower()
    for word in ("paint", "copy and paste", "recommended", "transfer"):
        assert word not in text, word
