"""What the report says of painted slices and of copy and paste: sentences with their direction, and the page."""

import re
from pathlib import Path
from typing import get_args

import pytest
from report_records import (
    LOST,
    build_summary,
    difference,
    dreamt_copies,
    dreamt_summary,
    estimate,
    fidelity,
    full_summary,
    learning,
    lesions,
    memorisation,
    of_diagnosis,
    painted_copies,
    painted_summary,
    permuted,
    recorded,
    to_copy_paste,
    traced,
    transfer,
    ways,
    write_pictures,
)

from data_contracts.results import (
    Arm,
    Difference,
    FidelityScores,
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


def pasted(verdict: str, estimate: float, low: float, high: float) -> dict[str, PastedUtility]:
    made = difference(estimate, low, high, arm="real+classic+copy_paste")
    return {"copy_paste": PastedUtility.model_validate({"verdict": verdict, "difference": made})}


PASTE_HELPS = pasted("gain", 0.05, 0.02, 0.08)
PASTE_HARMS = pasted("harm", -0.04, -0.06, -0.02)
BETTER, OPEN, WORSE = to_copy_paste(), to_copy_paste(0.004, -0.015, 0.023), to_copy_paste(-0.05, -0.07, -0.03)


def test_every_arm_and_way_has_a_name() -> None:
    assert set(wording.names.ARM_NAMES) == set(get_args(Arm))
    assert set(wording.ways.WAY_NAMES) == set(get_args(Way))


@pytest.mark.parametrize(
    ("verdict", "made", "to_paste", "choice", "said"),
    [
        ("gain", GAIN, BETTER, "synthetic",
         "Recommended: painted slices. They did better than copy and paste (+3.1 points, 95 % interval +0.9 to +5.3)."),
        ("gain", GAIN | PASTE_HELPS, BETTER, "synthetic", "Recommended: painted slices. They did better than copy"),
        ("gain", GAIN | PASTE_HELPS, OPEN, "copy_paste",
         ("Recommended: copy and paste of real lesions. It helped as well (+5.0 points against no added slices, 95 % "
         "interval +2.0 to +8.0) and needs no network; painted slices are not shown to do better than copy and paste "
         "(+0.4 points, 95 % interval -1.5 to +2.3).")),
        ("gain", GAIN | PASTE_HELPS, to_copy_paste(0.02, 0.0, 0.04), "copy_paste", "are not shown to do better"),
        ("gain", GAIN | PASTE_HELPS, WORSE, "copy_paste", "painted slices did worse than copy and paste (-5.0 points"),
        ("gain", GAIN, OPEN, "synthetic",
         ("Recommended: painted slices. They helped; that they are needed beyond copy and paste is not shown (+0.4 "
         "points, 95 % interval -1.5 to +2.3), nor that copy and paste helps by itself (+1.1 points against no added "
         "slices, 95 % interval -1.2 to +3.4).")),
        ("gain", GAIN | PASTE_HARMS, OPEN, "synthetic", "copy and paste helps by itself (-4.0 points against no added"),
        ("gain", GAIN | {"copy_paste": None}, OPEN, "synthetic", "nor that copy and paste helps by itself."),
        ("gain", GAIN, WORSE, "synthetic",
         ("They helped and did worse than copy and paste (-5.0 points, 95 % interval -7.0 to -3.0), but that this "
         "helps by itself is not shown (+1.1 points")),
        ("insufficient_evidence", NOTHING | PASTE_HELPS, WORSE, "copy_paste",
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
    ("by_itself", "to_paste", "said"),
    [
        ({}, BETTER, "the synthetic set is worth adding to training. Confirm"),
        (PASTE_HELPS, BETTER, "the synthetic set is worth adding to training. Confirm"),
        (
            PASTE_HELPS,
            OPEN,
            "But copy and paste of real lesions, which needs no network, helped too and may do as well",
        ),
        (PASTE_HELPS, WORSE, "But copy and paste of real lesions, which needs no network, did better."),
        ({}, OPEN, "worth adding to training, but whether it takes a network is open. Confirm it on scans of another"),
        (PASTE_HARMS, OPEN, "but whether it takes a network is open."),
        ({}, WORSE, "but whether it takes a network is open."),
    ],
)
def test_advice_does_not_praise_what_is_not_recommended(
    by_itself: dict[str, PastedUtility], to_paste: Difference, said: str
) -> None:
    summary = painted_summary(folds=1, difference_to_copy_paste=to_paste, **by_itself)
    advice = wording.verdict.advice(summary)
    assert said in advice
    assert ("worth adding" in advice) == (wording.paste.recommended(summary) == "synthetic")


@pytest.mark.parametrize(
    ("by_itself", "to_paste", "level", "word"),
    [
        ({}, BETTER, "good", "Helped"),
        (PASTE_HELPS, BETTER, "good", "Helped"),
        (PASTE_HELPS, OPEN, "caution", "Copy and paste may do"),
        (PASTE_HELPS, WORSE, "caution", "Copy and paste may do"),
        ({}, OPEN, "caution", "Helped, may not be needed"),
        (PASTE_HARMS, to_copy_paste(0.02, 0.0, 0.04), "caution", "Helped, may not be needed"),
    ],
)
def test_the_utility_light_is_green_only_where_copy_and_paste_is_beaten(
    by_itself: dict[str, PastedUtility], to_paste: Difference, level: str, word: str
) -> None:
    summary = painted_summary(folds=1, difference_to_copy_paste=to_paste, **by_itself)
    light = lights.utility_light(summary)
    assert (light.level, light.word) == (level, word)
    assert f"Against copy and paste of real lesions: {numbers.points_interval(to_paste)}." in light.why
    assert summary.copy_paste is not None
    assert light.why.count(f"Copy and paste by itself: {numbers.points_interval(summary.copy_paste.difference)}.") == 1
    alone = lights.utility_light(summary.model_copy(update={"copy_paste": None}))
    assert "by itself" not in alone.why
    assert "copy and paste" not in lights.utility_light(build_summary()).why


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
        "6 of 800 were near-copies (0.8 %); of 500 regions of held-out real slices the same rule calls 1.0 % so. "
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
        "The same rule would call 1.0 % of 250 regions of held-out real slices near-copies. The median painted region "
        "lies farther from a training slice than a region of a held-out real one does (relative" in said
    )
    in_features = plain(wording.copies.feature_copies_reading(scores))
    assert " inside the painted region: 1.3 % of 400 painted" in in_features
    assert "among 250 regions of held-out real slices (0.9 %)" in in_features
    attack = wording.copies.membership_reading(scores)
    assert "training slices against 250 regions of held-out real slices" in attack
    assert "the anatomy around it shows its patient in any case" in attack
    table = tables.memorisation_table((scores, memorisation()))
    assert table.columns[-1] == "Outside the painted region, copy rate"
    assert {"Regions of held-out real by the same rule", "Median distance, regions of held-out real"} <= {
        *table.columns
    }
    assert [row[-1] for row in table.rows] == ["1", "–"]


def test_regions_painted_into_dreamt_slices_stand_beside_regions_too() -> None:
    dreamt = painted_copies("no_tumour", contains_patient_anatomy=False)
    assert "250 regions of held-out real slices" in plain(wording.copies.copies_reading(dreamt))
    light = lights.copies_light((dreamt,))
    assert (light.level, light.word) == ("good", "No sign of copying")
    assert "; regions of held-out real slices by the same rule 1.0 %." in plain(light.why)
    near = lights.copies_light((dreamt.model_copy(update={"median_distance_synthetic": 0.03}),))
    assert "Painted regions lie much nearer to training slices than regions of held-out real slices do." in near.why
    whole = lights.copies_light((memorisation(median=0.03),))
    assert "Synthetic slices lie much nearer to training slices than held-out real slices do." in whole.why
    assert "regions" not in whole.why


# --- diversity ---


@pytest.mark.parametrize("scores", [(of_diagnosis(0, "tumour")[0],), (fidelity(collapse=LOST),)])
def test_real_heads_tell_nothing_of_the_variety_of_what_was_painted(scores: tuple[FidelityScores, ...]) -> None:
    light = lights.diversity_light(scores, (), painted=True)
    assert (light.level, light.word) == ("unknown", "Not told by real heads")
    assert plain(light.why) == (
        "Whole heads are compared, and those of painted slices are their sources' own; whether the painted regions "
        "vary is not told by that."
    )
    assert lights.diversity_light(scores, ()).level != "unknown"
    assert lights.diversity_light((), (), painted=True).word == "Not measured"


# --- transfer ---

FLAGGED = transfer(1, 0.21, shortcuts=True, synthetic_inside=0.945)


def test_the_worst_fold_tells_of_shortcuts() -> None:
    milder = transfer(0, 0.12, shortcuts=True, blurred_to=16)
    said = plain(wording.transfer.transfer_reading((milder, FLAGGED, transfer(2))))
    assert said.startswith("The synthetic set carries its generator's shortcuts (in 2 of 3 folds)")
    assert (
        "fold 1, images as they are: a classifier that learned from synthetic slices reaches 94.5 % balanced accuracy "
        "on other synthetic ones and 68.1 % on real ones. Learned from real slices it reaches 89.1 % on these: a loss "
        "of 21.0 points (18.0 to 24.0)." in said
    )
    assert "so no classifier for real scans should learn from it alone" in said
    assert plain(wording.transfer.transfer_count((FLAGGED,))) == (
        "The set carries its generator's shortcuts in 1 of 1 fold: no classifier for real scans should learn from it "
        "alone."
    )
    assert wording.transfer.transfer_count((transfer(),)) == ""


@pytest.mark.parametrize(("half", "shown"), [(0.05, False), (0.03, True)])
def test_no_shortcut_is_no_proof_and_has_its_interval(half: float, shown: bool) -> None:
    said = plain(wording.transfer.transfer_reading((transfer(0, 0.031, half=half), transfer(1, 0.0, half=half))))
    assert said.startswith("No shortcut of the synthetic set was found.")
    assert (
        "In 1 of 2 folds learning from it in place of real slices is shown to do worse on real ones" in said
    ) == shown
    assert (
        f"That learning from it in place of real slices costs up to {3.1 + 100 * half:.1f} points of balanced accuracy "
        "on real ones is not ruled out (fold 0, images as they are, 167 real test slices)." in said
    )


def test_where_every_fold_gained_no_loss_is_left_open() -> None:
    said = plain(wording.transfer.transfer_reading((transfer(0, -0.05), transfer(1, -0.04, blurred_to=16))))
    assert said == (
        "No shortcut of the synthetic set was found. Learning from it in place of real slices did better on real ones, "
        "by at least 1.0 points (fold 1, images blurred to 16 pixels, 167 real test slices)."
    )


def test_the_loss_has_its_direction_at_each_sharpness() -> None:
    said = plain(
        wording.transfer.transfer_means((transfer(0, 0.02), transfer(1, 0.04), transfer(0, -0.01, blurred_to=16)))
    )
    assert "mean over 2 folds: 86.1 % against 89.1 %, images as they are (3.0 points lost)" in said
    assert "90.1 % against 89.1 %, images blurred to 16 pixels (1.0 points gained)" in said
    assert "the price of synthetic slices in place of real ones" in said


@pytest.mark.parametrize(("reached", "said"), [(0.853, "less clearly than"), (0.9, "no worse than")])
def test_classifiers_of_real_slices_say_how_synthetic_ones_look_to_them(reached: float, said: str) -> None:
    told = transfer(0, real_to_synthetic=reached), transfer(1, real_to_synthetic=reached)
    text = plain(wording.transfer.transfer_means((*told, transfer(0, blurred_to=16, real_to_synthetic=0.1))))
    assert (
        f"a classifier of real slices reaches {100 * reached:.1f} % on synthetic ones and 88.4 % on other real" in text
    )
    assert f"they show their diagnosis {said} real ones do." in text


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


@pytest.mark.parametrize(
    ("utility", "said"),
    [
        ({"way": "pretrain"}, "fixed beforehand: synthetic ones first, then real ones alone."),
        ({"way": "balance"}, "fixed beforehand: only as many as even out the diagnoses."),
        ({"way": "mix"}, ""),
        ({"way": "best"}, ""),
        ({"way": 3}, ""),
        ({}, ""),
        ("pretrain", ""),
    ],
)
def test_a_way_fixed_beforehand_is_told_unless_it_is_mixing(utility: object, said: str) -> None:
    found = wording.ways.fixed_way({"utility": utility})
    assert found.endswith(said)
    assert bool(found) == bool(said)
    assert wording.ways.fixed_way({}) == ""


def test_where_lesions_were_known_from_is_said_and_that_nobody_checked_found_ones() -> None:
    assert wording.data.lesions_reading((lesions(0), lesions(1, n_usable=439))) == (
        "Where lesions lie was known from masks given with the scans: usable in 440 of 449 tumour slices of the "
        "training part (mean over 2 folds)."
    )
    drawn, found = lesions(0, "drawn"), lesions(1, "found", n_usable=160)
    said = wording.data.lesions_reading((drawn, found))
    assert "outlines drawn by hand: usable in 441 of 449" in said
    assert said.endswith(
        "usable in 160 of 449 tumour slices of the training part. Nobody checked these outlines, so some may lie "
        "beside the lesion; how well the search did where masks are known stands in docs/painting.md. Added slices "
        "without a tumour were therefore made of slices without one, changed where a lesion might be."
    )
    assert said.count("Nobody checked") == 1
    assert "slices without a tumour" not in wording.data.lesions_reading((drawn,))
    assert wording.data.lesions_reading(()) == ""


# --- painted on generated slices ---


def test_copies_are_told_of_what_was_painted_on_of_whole_slices_and_of_regions() -> None:
    scores = dreamt_copies(near=3, inside=2)
    whole, canvases, regions = (plain(wording.copies.copies_reading(s)) for s in wording.copies.all_compared([scores]))
    assert whole.startswith(
        "Of 400 generated tumour slices, 0 (0.0 %) were too near to a training slice and 1 was broken; all of these "
        "were refused and 397 were kept. 2 of them had a painted region that was too near to one of a training slice, "
        "and were refused too. The same rule"
    )
    assert canvases.startswith(
        "Of 410 slices without a tumour, generated to paint tumour slices on, 3 (0.7 %) were too near to a training "
        "slice and 1 was broken; all of these were refused and 406 were kept. The same rule would call 1.0 % of 250 "
        "held-out real slices near-copies."
    )
    assert regions.startswith("Of 400 painted tumour slices, 2 (0.5 %) were too near to a training slice inside the pa")
    assert "250 regions of held-out real slices" in regions
    assert "had a painted region" not in plain(wording.copies.copies_reading(dreamt_copies()))
    one = plain(wording.copies.copies_reading(dreamt_copies(inside=1)))
    assert "1 of them had a painted region that was too near to one of a training slice, and was refused too." in one
    assert wording.copies.anatomy_reading((scores,)) == ""
    in_features = traced(diagnosis="tumour", compared="canvases")  # which show no tumour yet
    assert "1.3 % of 400 generated no-tumour slices" in plain(wording.copies.feature_copies_reading(in_features))


@pytest.mark.parametrize(
    ("scores", "level", "worst"),
    [
        (dreamt_copies(), "good", "Worst, tumour slices: 0.0 %; held-out real slices by the same rule 1.0 %."),
        (dreamt_copies(near=82), "problem", "Worst, tumour slices before painting: 20.0 %; held-out real slices by"),
        (dreamt_copies(inside=80), "problem", "painted regions of tumour slices: 20.0 %; regions of held-out real"),
    ],
)
def test_the_light_takes_the_worst_of_slices_what_they_were_painted_on_and_regions(
    scores: MemorisationScores, level: str, worst: str
) -> None:
    light = lights.copies_light((scores,))
    assert light.level == level
    assert worst in plain(light.why)
    n = scores.parts[0].n_near_copies
    assert plain(light.why).startswith(f"{n} of 810 slices generated were near-copies and refused.")
    assert "patient data" not in light.why


def test_which_of_them_lie_too_near_is_said_of_each() -> None:
    scores = dreamt_copies()
    canvases, regions = scores.parts
    near = regions.model_copy(update={"median_distance_synthetic": 0.03})
    light = lights.copies_light((scores.model_copy(update={"parts": (canvases, near)}),))
    assert light.level == "caution"
    assert "Painted regions lie much nearer" in light.why
    assert "Synthetic slices lie much nearer" not in light.why
    whole = scores.model_copy(update={"median_distance_synthetic": 0.03})
    assert "Painted regions lie much nearer" not in lights.copies_light((whole,)).why


def test_the_table_of_copies_has_a_row_for_each_part() -> None:
    table = tables.memorisation_table((dreamt_copies(near=3, inside=2),))
    assert [row[0] for row in table.rows] == ["tumour", "tumour, before painting", "tumour, painted regions"]
    assert [row[3] for row in table.rows] == ["0", "3", "2"]
    assert "Outside the painted region, copy rate" not in table.columns
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_heads_that_were_generated_are_judged_for_their_variety_and_no_patient_is_said_to_be_in_them(
    tmp_path: Path,
) -> None:
    summary = dreamt_summary()
    assert not wording.names.is_painted(summary)
    assert wording.names.on_generated(summary)
    html = page_of(summary, tmp_path)
    text = text_of(html)
    for said in (
        "Training of the generators",
        "Training of the painters",
        "Do the synthetic slices show the variety of the real ones?",
        "Copies is set by the worst of the slices before painting, the painted slices and the painted regions.",
        "Painted regions have the outlines of training lesions",
        "It was generated, then one region of it was painted anew; beside it stands a mask of its lesion.",
        "Not by design: painted slices stand on generated heads.",
        "By a generative adversarial network of slices without a tumour, and by painters",
        "1 generator was trained",
        "2 painters were trained",
        "the family “lean, painter” of this program",
        "Each painted slice has the mask of its lesion.",
    ):
        assert said in text, said
    for wrong in (
        "real patient's slice but for",
        "Treat the set as patient data",
        "theirs are their sources'",
        "Painted slices show no new heads",
        "real ones into which a lesion was painted",
        "holds the anatomy of patients",
        "It was generated as a whole",
    ):
        assert wrong not in text, wrong
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    made = [wording.names.by_painter(record, painted=False) for record in summary.training]
    assert made == [False, True, True]


def test_what_trained_is_told_by_the_record_and_where_it_is_silent_by_the_strategy() -> None:
    records = painted_summary(folds=1).training
    assert wording.training.by_maker(records, painted=True) == ((True, records),)
    assert wording.training.by_maker(records, painted=False) == ((False, records),)
    assert wording.training.by_maker((), painted=True) == ((True, ()),)


# --- what speaks of generators of whole slices ---


@pytest.mark.parametrize(
    ("config", "scores", "painted"),
    [
        ({"synthesis": {"strategy": "paint"}}, memorisation(), True),
        ({"synthesis": {"strategy": "dream_and_paint"}}, dreamt_copies(), False),  # its heads are generated
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
    assert "No watch looks on while a painter learns" in wording.watch.watch_reading(record, painted=True)
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
        "Not told by real heads",
        "what the figures below say of variety is of the list of sources",
        "Likeness to the same real training slices.",
        "Variety within each set of whole heads.",
        "Diversity of painted slices is not told",
    ):
        assert said in text, said
    for wrong in ("latents", "GAN", "birthday", "noise-to-image", "generator of tumour", "would reach", "best to hope"):
        assert wrong not in text, wrong
    assert "collapse" not in text.lower()
    assert not re.findall(r"\b(None|nan|Undefined)\b", text)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)


def test_the_page_never_calls_repeated_sources_a_mode_collapse(tmp_path: Path) -> None:
    lost = tuple(fidelity(fold=fold, collapse=LOST) for fold in (0, 1))
    other = lost[0].model_copy(update={"extractor": "texture"})
    changed = {**NO_FIGURES, "fidelity": (*lost, other)}
    text = text_of(page_of(painted_summary(folds=1, **changed), tmp_path)).lower()
    assert "collapse" not in text
    assert "repeats itself" not in text
    assert "the same in other features: texture" in text
    assert "mode collapse, the generator" in text_of(page_of(full_summary(**changed), tmp_path)).lower()


def test_the_page_tells_a_way_that_was_fixed_beforehand(tmp_path: Path) -> None:
    summary = painted_summary(folds=1, ways=(), **NO_FIGURES)
    config = {**summary.provenance.config, "utility": {"way": "pretrain"}}
    fixed = recorded(summary, config=config)
    told = "they were used in one way, fixed beforehand: synthetic ones first"
    assert told in text_of(page_of(fixed, tmp_path))
    assert told not in text_of(page_of(summary, tmp_path))


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
