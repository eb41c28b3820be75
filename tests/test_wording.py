"""Every sentence that depends on a number: its direction, its unit, its n, and its edge cases."""

from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from report_records import (
    LOST,
    WITHIN,
    arm,
    build_summary,
    collapse_reason,
    collapse_verdict,
    collapsed_generator,
    data,
    difference,
    discriminator,
    dose,
    estimate,
    external,
    fidelity,
    learning,
    memorisation,
    permuted,
    recorded,
    set_scores,
    shortcut,
    statistics,
    traced,
    training,
)

from data_contracts.results import (
    Alarm,
    AlarmReason,
    AlarmRule,
    ClassCount,
    CollapseReason,
    CurvePoint,
    Difference,
    Estimate,
    FidelityScores,
    MemorisationScores,
    Picture,
    Provenance,
    RuleCount,
    RunSummary,
    TrainingRecord,
    Watched,
)
from data_contracts.splits import Fold
from flows import summary as summaries
from pipeline.run_dir import RunDir, write_record, write_table
from pipeline.synthesis import collapse, health, model_dir, recipes
from pipeline.synthesis.conditions import Condition, Conditions
from reports import lights, numbers, tables, wording
from reports.limits import limits


def plain(text: str) -> str:
    return text.replace(numbers.NBSP, " ").replace(numbers.MINUS, "-")


OPEN = difference(0.003, -0.03, 0.036)
UP = difference()
DOWN = difference(-0.021, -0.038, -0.004)


def classes(fewest: int) -> tuple[ClassCount, ...]:
    counts = {"slices": 9, "train_subjects": 1, "train_slices": 1, "test_subjects": 1, "test_slices": 1}
    return tuple(
        ClassCount(diagnosis=name, subjects=n, **counts) for name, n in (("tumour", 500), ("no_tumour", fewest))
    )


def summary(
    verdict: str, to_reference: Difference = UP, to_duplicates: Difference = UP, **changes: object
) -> RunSummary:
    """Only the parts that a sentence reads; the whole record is tested in test_render."""
    fields = {"verdict": verdict, "difference": to_reference, "difference_to_duplicates": to_duplicates, "data": data()}
    fields |= {"shortcuts": (), "memorisation": (), "provenance": Provenance.model_construct(config={})}
    return RunSummary.model_construct(**{**fields, **changes})


def reason(rule: str, value: float, limit: float) -> AlarmReason:
    return AlarmReason.model_validate({"rule": rule, "value": value, "limit": limit})


def alarm(at: int = 42_000, return_to: int | None = 38_000, *reasons: AlarmReason) -> Alarm:
    return Alarm(images_seen=at, reasons=reasons or (reason("repeats", 0.21, 0.4),), return_to=return_to)


def watched(looks: int = 20, *alarms: Alarm, **changes: object) -> TrainingRecord:
    """A training at whose every tick the watch looked."""
    record = training([0.6] * looks)
    curve = tuple(point.model_copy(update={"verdict": "healthy"}) for point in record.curve)
    return record.model_copy(update={"curve": curve, "watched": True, "alarms": alarms, "kept_at": 1_500, **changes})


def look(images_seen: int, verdict: str = "healthy", **changes: object) -> CurvePoint:
    fields = {"images_seen": images_seen, "generator_loss": 1, "discriminator_loss": 1, "discriminator_accuracy": 0.6}
    return CurvePoint.model_validate({**fields, "verdict": verdict, **changes})


def judged(*ages: bool | None, start: int = 1, **changes: object) -> tuple[CurvePoint, ...]:
    """A look a thousand images, from `start` thousand on, each old enough for an alarm or not."""
    return tuple(look(1000 * (start + i)).model_copy(update={"judged": old, **changes}) for i, old in enumerate(ages))


# --- numbers ---


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.021, "+2.1"), (-0.021, "-2.1"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0004, "0.0"), (1.0, "+100.0")],
)
def test_points_carry_their_sign_unless_they_round_to_nothing(value: float, text: str) -> None:
    assert plain(numbers.points(value)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(312.4, "312"), (12.34, "12.3"), (4.5, "4.50"), (0.01234, "0.0123"), (0.0, "0.00"), (1e-9, "0.000000"),
     (-2.5, "-2.50"), (1234.5, "1234")],
)  # fmt: skip
def test_three_digits_tell_what_has_no_usual_size(value: float, text: str) -> None:
    assert plain(numbers.significant(value)) == text


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 slices"), (1, "1 slice"), (2, "2 slices"), (1786, "1,786 slices"), (12.5, "12.5 slices")]
)
def test_counts_have_their_noun(n: float, text: str) -> None:
    assert plain(numbers.slices(n)) == text


def test_unknown_subjects_are_image_groups() -> None:
    assert plain(numbers.units(1, known=True)) == "1 subject"
    assert plain(numbers.units(57, known=True)) == "57 subjects"
    assert plain(numbers.units(1, known=False)) == "1 image group"
    assert plain(numbers.units(57, known=False)) == "57 image groups"


def test_intervals_stand_beside_their_estimate() -> None:
    value = Estimate(estimate=0.86, low=0.812, high=0.901)
    assert plain(numbers.percent_interval(value)) == "86.0 % (81.2 to 90.1)"
    assert plain(numbers.plain_interval(value)) == "0.860 (0.812 to 0.901)"
    assert plain(numbers.points_interval(DOWN)) == "-2.1 points (-3.8 to -0.4)"


LESS_VARIED = collapse_verdict(
    reasons=(*WITHIN[:-1], collapse_reason("dissimilarity", 0.329, 0.331, 0.44, beyond=True))
)


# --- verdict ---


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        ("gain", "Adding synthetic slices helped: the classifier became more accurate on real scans."),
        ("equivalent", "Adding synthetic slices did not help and did not harm: it made no difference that matters."),
        ("harm", "Adding synthetic slices did harm: the classifier became less accurate on real scans."),
        (
            "insufficient_evidence",
            "Not shown to help: this study cannot tell whether adding synthetic slices helps or harms.",
        ),
    ],
)
def test_headline_says_the_verdict(verdict: str, sentence: str) -> None:
    assert wording.verdict.headline(summary(verdict, OPEN, OPEN)) == sentence


def test_headline_names_the_duplicates_where_they_are_the_doubt() -> None:
    assert wording.verdict.headline(summary("insufficient_evidence", UP, OPEN)) == (
        "Not shown to help: accuracy rose, but perhaps no more than with repeated copies of the real slices."
    )


def test_advice_follows_the_verdict_and_the_duplicates() -> None:
    assert "worth adding" in wording.verdict.advice(summary("gain", UP, UP))
    assert "repeated copies of the real slices may do as well" in wording.verdict.advice(summary("gain", UP, OPEN))
    assert wording.verdict.advice(summary("harm")) == "Do not add this synthetic set to training."
    assert wording.verdict.advice(summary("equivalent")).startswith("There is no reason")
    assert wording.verdict.advice(summary("insufficient_evidence")).startswith("Do not rely on")


def test_a_study_of_few_subjects_says_of_how_few_beside_its_difference() -> None:
    def learning_from(subjects: object) -> str:
        return plain(wording.verdict.few_reading(recorded(build_summary(), config={"split": {"subjects": subjects}})))

    assert learning_from(12) == (
        "Every network learned from only 12 subjects, drawn by lot: with more to learn from, the change may be another."
    )
    assert learning_from(None) == wording.verdict.few_reading(build_summary()) == ""


def test_difference_sentence_has_unit_interval_n_and_runs() -> None:
    assert plain(wording.verdict.difference_sentence(DOWN, known=True)) == (
        "Real + classic + synthetic against real + classic augmentation: -2.1 percentage points of balanced accuracy "
        "(95 % interval -3.8 to -0.4), on 833 slices of 56 subjects kept for testing, 3 training runs an arm."
    )
    one = difference(0.0, -0.01, 0.01, n_subjects=1, n_slices=1, n_seeds=1)
    assert plain(wording.verdict.difference_sentence(one, known=False)).endswith(
        "0.0 percentage points of balanced accuracy (95 % interval -1.0 to +1.0), on 1 slice of 1 image group kept for "
        "testing, 1 training run an arm."
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.004, 0.038, "above zero"),
        (-0.038, -0.004, "below zero"),
        (-0.03, 0.03, "includes zero"),
        (0.0, 0.03, "includes zero"),
        (-0.03, 0.0, "includes zero"),
        (-0.012, 0.014, "within ±2.0 points"),
        (-0.02, 0.02, "within ±2.0 points"),
        (0.004, 0.012, "above zero, a gain that chance alone would rarely give, but within ±2.0 points: too small"),
        (-0.012, -0.004, "below zero, a loss that chance alone would rarely give, but within ±2.0 points: too small"),
    ],
)
def test_interval_reading_says_where_the_interval_lies(low: float, high: float, said: str) -> None:
    assert said in wording.verdict.interval_reading(difference((low + high) / 2, low, high))


def test_smallest_difference_is_in_percentage_points() -> None:
    assert wording.verdict.smallest_difference(UP) == (
        "The smallest true difference to real + classic augmentation this study could have seen is 5.1 percentage "
        "points (found in 80 % of repetitions). A gain needs a second difference as well, to duplicates, so it takes "
        "more to find."
    )
    blind = UP.model_copy(update={"minimum_detectable_effect": 1.18})  # no two accuracies lie so far apart
    assert plain(wording.verdict.smallest_difference(blind)).startswith(
        "No true difference to real + classic augmentation, how"
    )
    table = tables.differences_table((UP, blind), known=True)
    assert [plain(row[-1]) for row in table.rows] == [plain(table.rows[0][-1]), "none"]


@pytest.mark.parametrize(
    ("compared", "said"), [(UP, "did better than"), (DOWN, "did worse than"), (OPEN, "are not shown to do better than")]
)
def test_duplicates_sentence_has_a_direction(compared: Difference, said: str) -> None:
    assert f"Synthetic slices {said} as many repeated copies of real slices" in wording.verdict.duplicates_sentence(
        compared
    )


# --- per 1,000 ---


def test_errors_per_thousand_count_down_when_sensitivity_rises() -> None:
    missed, alarms = wording.verdict.per_thousand(
        (arm("real+classic", 0.842, 0.9), arm("real+classic+synthetic", 0.858, 0.897))
    )
    assert (missed.event, missed.among) == ("Missed tumours", "per 1,000 scans with a tumour")
    assert [plain(t) for t in (missed.reference, missed.primary, missed.change)] == [
        "158 (138 to 178)",
        "142 (122 to 162)",
        "16 fewer",
    ]
    assert (alarms.event, alarms.among) == ("False alarms", "per 1,000 scans without a tumour")
    assert plain(alarms.change) == "3 more"


def test_errors_per_thousand_without_change_and_without_an_arm() -> None:
    same = (arm("real+classic", 0.8, 0.9), arm("real+classic+synthetic", 0.8, 0.9))
    assert [row.change for row in wording.verdict.per_thousand(same)] == ["no change", "no change"]
    assert wording.verdict.per_thousand(same[:1]) == ()


def test_note_on_errors_says_their_n_and_how_far_to_trust_them() -> None:
    assert plain(wording.verdict.per_thousand_note(summary("gain"))) == (
        "Each scan read as one slice; expected from 833 slices of 56 subjects, 95 % interval in brackets. "
        "The changes are best estimates; the interval of the gain says how sure they are."
    )
    assert wording.verdict.per_thousand_note(summary("insufficient_evidence")).endswith(
        "The changes may be chance alone."
    )


# --- data ---


def test_data_sentences() -> None:
    assert plain(wording.data.data_sentence(data())) == "1,786 files found; 1,722 slices of 109 subjects used."
    assert wording.data.kept_out_sentence(data()) == "Nothing was kept out."
    rules = (
        RuleCount(outcome="quarantined", rule="unreadable", count=1, example=""),
        RuleCount(outcome="left_out", rule="tumour_too_small", count=1061, example=""),
    )
    assert plain(wording.data.kept_out_sentence(data(out=rules))) == (
        "Kept out: 1 file or slice quarantined as unusable, 1,061 sound but outside what the study asks for."
    )
    assert wording.data.rule_name("tumour_too_small") == "tumour too small"


def test_review_and_labels_are_said() -> None:
    assert "No slice is used" in wording.data.review_sentence(data())
    rules = tuple(RuleCount(outcome="review", rule=rule, count=2, example="") for rule in ("frame", "text"))
    assert plain(wording.data.review_sentence(data(review=rules))).startswith("4 scans or slices are used although")
    said = wording.data.label_sentence(data(label_rules=("folder", "mask")))
    assert said == "Diagnosis from the class folder and from the mask beside the image."


@pytest.mark.parametrize(
    ("what", "suspected", "said"),
    [
        ("file_facts", True, "came by different roads"),
        ("file_facts", False, "No shortcut was found in the files"),
        ("border", True, "every accuracy on this page may be too high"),
        ("border", False, "No shortcut was found at the edge"),
    ],
)
def test_a_shortcut_is_read_with_its_numbers(what: str, suspected: bool, said: str) -> None:
    text = plain(wording.data.shortcut_reading(shortcut(what=what, suspected=suspected)))
    assert said in text
    assert "73 % balanced accuracy on 67 slices held out, 95 % interval 65 % to 81 %" in text
    assert "shuffled diagnoses reach 60 %, guessing 50 %" in text


def test_duplicates_found_counts_both_kinds() -> None:
    assert wording.data.duplicates_found(data()) == "No duplicate slices were found."
    text = plain(wording.data.duplicates_found(data(exact_duplicates=1, near_duplicate_pairs=72)))
    assert text.startswith("1 exact duplicate and 72 pairs of near-duplicates were found;")


# --- diversity, copies, training, pictures ---


def test_diversity_reading_sets_synthetic_beside_held_out_real() -> None:
    text = plain(wording.diversity.diversity_reading(fidelity(0.53, 0.42)))
    assert text.startswith(
        "Synthetic tumour slices cover 42 % of the real training slices; held-out real slices cover 40 %. "
        "53 % of the real training slices lie within reach of the synthetic ones (held-out real: 60 %)."
    )
    assert text.endswith("n = 300 slices of each, 5 neighbours.")
    assert "They lie 0.93 times as far apart as the training slices do (held-out real: 1.02)." in text


def test_copies_reading_counts_refusals_and_agrees_in_number() -> None:
    assert plain(wording.copies.copies_reading(memorisation())) == (
        "Of 400 generated no-tumour slices, 4 (1.0 %) were too near to a training slice and 1 was broken; all of these "
        "were refused and 395 were kept. The same rule would call 1.0 % of 250 held-out real slices near-copies. The "
        "median synthetic slice lies farther from a training slice than a held-out real one does (relative distance "
        "0.090 and 0.080; 0 is a copy, 1 is no nearer to one patient than to the next)."
    )
    assert (
        wording.copies.copies_reading(memorisation(n_near_copies=0, n_generated=0))
        == "No no-tumour slices were generated."
    )
    assert "lies nearer to a training slice than" in wording.copies.copies_reading(memorisation(median=0.05))
    assert "lies just as far from a training slice as" in wording.copies.copies_reading(memorisation(median=0.08))


def test_training_reading_judges_the_end_not_the_start() -> None:
    calm, won = training([0.99] * 18 + [0.6] * 2), training([0.5] * 18 + [0.97] * 2)
    assert plain(wording.training.training_reading(calm, known=True)) == (
        "Learned from 1 slice of 1 subject, shown 2,000 images; 10 weights in the generator, 20 in the discriminator. "
        "At the end the discriminator told real from synthetic in 60 % of images (50 % is a draw)."
    )
    assert "had all but won" in wording.training.training_reading(won, known=True)
    assert wording.training.training_reading(training([]), known=True).endswith("No curve was recorded.")


@pytest.mark.parametrize(
    ("kind", "origin", "n", "text"),
    [
        ("slices", "real", 24, "24 real no-tumour slices (fold 2)."),
        ("review", "real", 1, "1 real no-tumour slice that quality control wants a person to look at"),
        ("slices", "synthetic", 1, "1 synthetic no-tumour slice (fold 2)."),
        ("training", "synthetic", 8, "What the generator of no-tumour slices made of the same 8 latents"),
        ("film", "synthetic", 4, "Film: what the generator of no-tumour slices made of the same 4 latents"),
        (
            "nearest_pairs",
            "both",
            8,
            "The 8 pairs of no-tumour slices most alike: left synthetic, right the nearest real",
        ),
    ],
)
def test_picture_text_says_what_is_seen(kind: str, origin: str, n: int, text: str) -> None:
    fields = {"kind": kind, "origin": origin, "n": n, "fold": 2, "diagnosis": "no_tumour", "path": "a.png"}
    assert plain(wording.pictures.picture_text(Picture.model_validate(fields))).startswith(text)


# --- the references, collapse, traces of copies, the discriminator ---


def test_diversity_in_other_words_stands_beside_its_references() -> None:
    scores = fidelity()
    assert plain(wording.diversity.variety_reading(scores)) == (
        "Synthetic tumour slices are as varied as 42.0 different slices of 300 (held-out real: 88.1; a few repeated: "
        "3.0; noise: 290.2). 1.2 % of them all but repeat another (held-out real: 0.5 %): the generator may know about "
        "4,012 different slices (birthday estimate)."
    )
    alone = fidelity(synthetic=set_scores(support=None, duplicate_share=0.0))
    assert wording.diversity.variety_reading(alone).endswith(
        "No two of them are all but alike, so how many different ones the generator may know cannot be told from 300."
    )


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (300, "too few for a Frechet distance that can be compared elsewhere."),
        (1999, "too few for a Frechet distance that can be compared elsewhere."),
        (2000, "compare it only with one of as many slices in the same features."),
    ],
)
def test_a_frechet_distance_has_its_n(n: int, said: str) -> None:
    text = plain(wording.diversity.frechet_reading(fidelity(n=n)))
    assert text == (
        f"Frechet distance 12.3 at n = {n:,} (held-out real: 4.50; a few repeated: 61.2; noise: 312): {said}"
    )


def test_a_mode_collapse_in_features_that_do_not_decide_is_told_and_one_nowhere_is_not() -> None:
    sound, lost = fidelity(extractor="texture"), fidelity(extractor="texture", collapse=LOST, fold=3)
    assert wording.diversity.elsewhere_reading((sound, sound)) == ""
    assert wording.diversity.elsewhere_reading((sound, lost)) == (
        "In features that do not decide, a mode collapse was found in 1 of 2 sets (texture: Tumour slices, fold 3). "
        "The light of diversity does not follow from them."
    )


def test_the_collapse_verdict_gives_value_limit_and_real_of_what_is_beyond() -> None:
    assert plain(wording.diversity.collapse_reading(fidelity(collapse=LOST))) == (
        "Mode collapse, the generator of tumour slices repeats itself: coverage 12 % (collapse: below 31 %; real "
        "slices: 40 %); as varied as 14 different slices of 300 (collapse: below 30; real slices: 88); 30.0 % all but "
        "repeat another (collapse: above 6.0 %; real slices: 0.5 %)."
    )
    assert wording.diversity.collapse_reading(fidelity()) == "No mode collapse of tumour slices was found."
    less = plain(wording.diversity.collapse_reading(fidelity(collapse=LESS_VARIED)))
    assert less.startswith("No mode collapse of tumour slices was found, but less variety than in real ones:")
    assert "0.329 (collapse: below 0.331; real slices: 0.440)" in less  # never reads as its limit
    together = wording.diversity.collapse_reading(fidelity(collapse=collapse_verdict(lost=True)))
    assert together.endswith("its measures together, none of them beyond its limit alone.")
    assert "would not show" in wording.diversity.collapse_basis(fidelity())
    assert plain(wording.diversity.collapse_basis(fidelity(collapse=LOST))) == (
        "Limits from 200 draws of 300 real slices, whole ones and ones with modes taken away."
    )


def test_every_measure_of_a_collapse_has_a_phrase_a_column_and_its_side() -> None:
    measures = get_args(CollapseReason.model_fields["measure"].annotation)
    reasons = [collapse_reason(name, 0.1, 0.2, 0.3, beyond=True) for name in measures]
    assert len({wording.diversity.collapse_phrase(one, 300) for one in reasons}) == len(measures)
    assert {one.measure for one in reasons if wording.diversity.collapsed_side(one) == "above"} == {"duplicate_share"}
    assert set(tables.MEASURE_COLUMNS) == set(measures)


def test_the_collapse_table_marks_what_is_beyond_in_words() -> None:
    table = tables.collapse_table((fidelity(), fidelity(collapse=LOST)))
    well, ill = (dict(zip(table.columns, map(plain, row), strict=True)) for row in table.rows)
    assert (well["Mode collapse"], ill["Mode collapse"]) == ("none found", "mode collapse")
    assert well["Coverage"] == "42 % (below 31 %; real 40 %)"
    assert ill["Coverage"] == "12 %, beyond (below 31 %; real 40 %)"
    assert ill["All but repeat another"] == "30.0 %, beyond (above 6.0 %; real 0.5 %)"
    assert ill["Spread"] == "–"  # not among its reasons
    few = collapse_verdict(lost=False).model_copy(
        update={"reasons": (collapse_reason("recall", 0.04, -0.19, 0.55, beyond=False),)}
    )
    row = tables.collapse_table((fidelity(collapse=few),)).rows[0]
    assert plain(row[-1]) == "4 % (no limit at this n; real 55 %)"


def test_tables_of_diversity_have_a_row_for_each_reference_and_a_column_for_the_features() -> None:
    for build in (tables.fidelity_table, tables.variety_table):
        table = build((fidelity(), fidelity(extractor="classifier")))
        assert [row[0] for row in table.rows[:4]] == [
            "tumour, synthetic", "tumour, held-out real", "tumour, a few repeated", "tumour, noise",
        ]  # fmt: skip
        at = table.columns.index("Features")
        assert [row[at] for row in table.rows[::4]] == ["random-conv-480", "classifier"]


def test_the_primary_feature_space_is_used_or_else_the_first() -> None:
    a, b = fidelity(extractor="classifier"), fidelity()
    assert wording.diversity.primary_fidelity((a, b)) == (b,)
    assert wording.diversity.primary_fidelity((a, a.model_copy(update={"extractor": "texture"}))) == (a,)
    assert wording.diversity.primary_fidelity(()) == ()


def test_moved_copies_are_told_apart() -> None:
    assert "2 of the near-copies were found only by shifting" in wording.copies.copies_reading(traced(n_moved_copies=2))
    assert "1 of the near-copies was found only by shifting" in wording.copies.copies_reading(traced())
    assert "No near-copy had to be shifted" in wording.copies.copies_reading(traced(n_moved_copies=0))
    assert "shifted" not in wording.copies.copies_reading(memorisation(n_near_copies=0, n_moved_copies=0))


def test_copies_in_features_and_authenticity_stand_beside_held_out_real() -> None:
    assert plain(wording.copies.feature_copies_reading(traced())) == (
        "In features of random-conv-480: 1.3 % of 400 generated no-tumour slices lie nearer to a training slice than "
        "slices of different subjects almost ever do, more than among 250 held-out real slices (0.9 %). 91 % are "
        "authentic, farther from their nearest training slice than that one is from other subjects, fewer than among "
        "the held-out real slices (94 %); many fewer would speak of copying."
    )
    same = traced(feature_copy_share=0.009, authenticity=None)
    assert "do, as many as among 250" in plain(wording.copies.feature_copies_reading(same))
    assert "authentic" not in wording.copies.feature_copies_reading(same)
    assert wording.copies.feature_copies_reading(memorisation()) == ""


@pytest.mark.parametrize(
    ("auc", "half", "said"),
    [
        (0.52, 0.05, "This attack could not tell who was in the training part: AUC 0.520 (0.470 to 0.570)"),
        (0.55, 0.05, "This attack could not tell who was in the training part"),
        (0.60, 0.05, "One can tell, better than by guessing, who was in the training part"),
        (0.40, 0.05, "Held-out slices lie nearer to synthetic ones than training slices do, so no one is given away"),
    ],
)
def test_an_attack_could_not_tell_only_where_the_interval_holds_a_half(auc: float, half: float, said: str) -> None:
    text = plain(wording.copies.membership_reading(traced((auc, half))))
    assert text.startswith(said)
    assert "training slices against 250 held-out real slices" in text
    assert ("not ruled out" in text) == ("could not" in said)
    assert wording.copies.membership_reading(memorisation()) == ""


def test_the_table_of_traces_is_there_only_where_something_was_measured() -> None:
    assert tables.traces_table((memorisation(),)) is None
    table = tables.traces_table((memorisation(), traced()))
    assert table is not None
    assert set(table.rows[0][4:]) == {"–"}
    assert [plain(cell) for cell in table.rows[1][3:]] == [
        "400 and 250", "1 of 4", "1.3 %", "0.9 %", "91 %", "94 %", "0.520 (0.470 to 0.570)",
    ]  # fmt: skip


def test_the_discriminator_is_told_of_as_many_slices_as_it_judged() -> None:
    def told(**changes: object) -> tuple[str, int, int] | None:
        tick = look(1000, accuracy_training=0.7, accuracy_synthetic=0.8, n_judged_training=192, n_judged_synthetic=256)
        kept = training([], images_seen=1000, n_held_out=31, curve=(tick.model_copy(update=changes),))
        scores = summaries._discriminator(kept)
        return None if scores is None else (scores.on, scores.n_real, scores.n_synthetic)

    assert told() == ("training", 192, 256)
    assert told(accuracy_held_out=0.6) == ("held_out_real", 31, 256)
    assert told(n_judged_synthetic=None) is None  # a run that did not note it


def test_the_discriminator_is_told_with_both_its_sides() -> None:
    assert plain(wording.training.discriminator_reading(discriminator())) == (
        "At the moment that is kept the discriminator was right on 71 % of slices (error rate 29 %; 50 % is a draw): "
        "it called 80 % of 96 synthetic tumour slices synthetic (sensitivity) and 62 % of 31 real slices held out from "
        "its training real (specificity). Its threshold is the middle between its mean answers to training slices and "
        "to these synthetic ones."
    )
    assert "which it may know by heart" in wording.training.discriminator_reading(discriminator(on="training"))
    row = tables.discriminators_table((discriminator(),)).rows[0]
    assert [plain(cell) for cell in row[2:]] == ["31 held out from it", "96", "29.0 %", "71.0 %", "80.0 %", "62.0 %"]


# --- controls, statistics, doses, learning, the external test ---

ILL = {"controls": (permuted(0.71, passed=False), collapsed_generator())}
BOTH_ILL = {"controls": (permuted(0.71, passed=False), collapsed_generator(0.03, passed=False))}


def test_a_control_that_did_not_come_out_null_takes_the_place_of_the_verdict() -> None:
    for verdict in ("gain", "equivalent", "harm", "insufficient_evidence"):
        ill = summary(verdict, UP, UP, **ILL)
        assert wording.verdict.headline(ill).startswith("This study is not to be believed")
        assert wording.verdict.verdict_name(ill).endswith(", not to be believed")
        assert plain(wording.verdict.advice(ill)) == (
            "The figures of this study are not to be believed, because a classifier that learned diagnoses dealt anew "
            "at random did not do as guessing does: its balanced accuracy is 71.0 % (66.0 to 76.0), where 50 % is "
            "guessing. Neither the verdict nor any accuracy on this page can be relied on."
        )
        assert wording.verdict.per_thousand_note(ill).endswith("These counts are not to be believed either.")
        light = lights.utility_light(ill)
        assert (light.level, light.word) == ("problem", "Not to be believed")
        assert plain(light.why).startswith("1 of 2 controls did not come out null. +2.1 points")
    assert plain(wording.controls.disbelief(summary("gain", **BOTH_ILL))).endswith(
        "and because three synthetic slices of each diagnosis, repeated, came out as a gain, although they show next "
        "to nothing new: +3.0 points (+1.5 to +4.5) against real + classic augmentation."
    )


def test_controls_that_came_out_null_change_nothing_and_prove_little() -> None:
    for n, controls in ((1, (permuted(),)), (2, (permuted(), collapsed_generator()))):
        well = summary("gain", controls=controls)
        assert wording.controls.disbelief(well) == wording.controls.controls_count(well) == ""
        assert wording.verdict.headline(well) == wording.verdict.headline(summary("gain"))
        assert wording.verdict.verdict_name(well) == "Gain"
        assert lights.utility_light(well) == lights.utility_light(summary("gain"))
        assert ("The control that" if n == 1 else "The 2 controls that") in wording.controls.controls_reading(well)
        assert wording.controls.controls_reading(well).endswith("a fault smaller than the intervals would not show.")


def test_a_control_that_could_not_tell_is_told_and_changes_no_verdict() -> None:
    unsure = summary("gain", controls=(permuted(passed=None), collapsed_generator()))
    assert wording.controls.disbelief(unsure) == wording.controls.controls_count(unsure) == ""
    assert wording.verdict.verdict_name(unsure) == "Gain"
    assert wording.controls.controls_level(unsure) == "caution"
    assert plain(wording.controls.controls_reading(unsure)) == (
        "1 of 2 controls could not tell. Too few groups of a diagnosis were tested, or the interval is wider than ±10 "
        "points: it shows neither that the method is sound nor that it is not. 1 came out null."
    )
    light, sure = lights.utility_light(unsure), lights.utility_light(summary("gain"))
    assert (light.level, light.word) == (sure.level, sure.word) == ("good", "Helped")
    assert plain(light.why) == plain(sure.why) + " 1 of 2 controls could not tell."
    both = summary("gain", controls=(permuted(0.71, passed=False), collapsed_generator(passed=None)))
    assert wording.controls.controls_level(both) == "problem"
    assert plain(wording.controls.controls_reading(both)).endswith("is guessing. 1 of 2 controls could not tell.")


@pytest.mark.parametrize(
    ("found", "suspected", "level"),
    [
        (estimate(0.52, 0.09), False, "good"),
        (estimate(0.72, 0.09), True, "problem"),
        (estimate(0.72, 0.15), True, "problem"),
        (estimate(0.52, 0.11), False, "caution"),
    ],
)
def test_the_edge_of_normalised_images_is_a_control_and_the_files_are_not(
    found: Estimate, suspected: bool, level: str
) -> None:
    files = shortcut(what="file_facts", suspected=True)
    edge = shortcut(what="border", suspected=suspected, balanced_accuracy=found)
    ours = summary("gain", controls=(permuted(),), shortcuts=(files, edge))
    assert [control.control for control in wording.controls.all_controls(ours)] == ["permuted_diagnoses", "border"]
    assert wording.controls.controls_level(ours) == level
    assert bool(wording.controls.failed_controls(ours)) == suspected
    assert ("corners and border of the normalised images alone give" in wording.controls.disbelief(ours)) == suspected
    assert wording.verdict.verdict_name(ours).endswith("not to be believed") == suspected


def test_the_table_of_controls_says_passed_or_not_and_what_each_can_see() -> None:
    edge = shortcut(balanced_accuracy=estimate(0.52, 0.11))
    found = summary("gain", controls=(permuted(0.71, passed=False), collapsed_generator()), shortcuts=(edge,))
    table = tables.controls_table(wording.controls.all_controls(found))
    rows = [[plain(cell) for cell in row[1:4]] for row in table.rows]
    assert rows == [
        ["71.0 % (66.0 to 76.0)", "50 %, as by guessing", "NOT passed"],
        ["-0.4 points (-1.9 to +1.1)", "no gain over 0.0 points", "passed"],
        ["52.0 % (41.0 to 63.0)", "50 %, as by guessing, or what shuffled diagnoses reach", "could not tell"],
    ]
    assert table.columns[-2:] == ("It sees", "It does not see")
    assert "No control sees a generator that learned from test slices" in table.caption
    assert all("synthetic slices" in table.rows[i][-1] for i in (0, 2))


def test_statistics_say_that_they_do_not_decide_and_whether_they_agree() -> None:
    text = plain(wording.further.statistics_reading(statistics(), UP))
    assert text == (
        "Nothing here decides; the verdict follows from the two differences above alone. Asked in other ways: sign "
        "flips of whole groups p = 0.013, a corrected t-test over folds and runs p = 0.041; in line with the interval."
    )
    assert "not all in line" in wording.further.statistics_reading(statistics(), OPEN)
    assert "not all in line" in wording.further.statistics_reading(statistics(nadeau_bengio_p=0.2), UP)
    one = plain(wording.further.statistics_reading(statistics(nadeau_bengio_p=None, sign_flip_p=0.0002), DOWN))
    assert one.endswith("sign flips of whole groups p < 0.001; in line with the interval.")
    assert "t-test" not in one


def test_belief_is_in_per_cent_and_beyond_the_margin() -> None:
    assert plain(wording.further.belief_reading(statistics(), UP)) == (
        "Given these runs, a true gain of more than 2.0 points has 60 % of the belief, no difference that matters "
        "38 %, a loss of more than 2.0 points 2 % (correlated Bayesian t-test)."
    )
    assert wording.further.belief_reading(statistics(belief=None), UP) == ""
    assert len(tables.statistics_table(statistics(), UP).rows) == 5
    assert len(tables.statistics_table(statistics(belief=None, nadeau_bengio_p=None), UP).rows) == 1


def test_secondaries_have_their_direction_and_count_only_after_correction() -> None:
    assert plain(wording.further.secondaries_reading(statistics(0.03, 0.02, 0.04))) == (
        "Of 3 further measures, corrected for asking 3 times (Holm), 3 differ: accuracy is better, Brier score is "
        "better, sensitivity at 90 % specificity is worse."
    )
    assert "1 differs: Brier score is better." in wording.further.secondaries_reading(statistics(0.3, 0.02, 0.4))
    assert "not one differs" in wording.further.secondaries_reading(statistics(0.06))  # p by itself is 0.02
    assert wording.further.secondaries_reading(statistics()) == ""
    rows = tables.secondaries_table(statistics(0.03, 0.0003)).rows
    assert [plain(cell) for cell in rows[0]] == ["accuracy", "+1.9 points (+0.9 to +2.9)", "p = 0.010", "p = 0.030"]
    assert plain(rows[1][1]) == "-0.012 (-0.022 to -0.002)"
    assert plain(rows[1][3]) == "p < 0.001"


def test_further_measures_are_columns_only_where_measured() -> None:
    bare = arm("real")
    assert tables.further_table((bare,), statistics()) is None
    some = tables.further_table((bare, arm("real+classic", ppv=estimate(0.4), brier=estimate(0.1))), statistics())
    assert some is not None
    assert [plain(name) for name in some.columns] == ["Arm", "PPV at prevalence 10 %", "Brier score"]
    assert [plain(cell) for cell in some.rows[0][1:]] == ["–", "–"]
    assert [plain(cell) for cell in some.rows[1][1:]] == ["40.0 % (38.0 to 42.0)", "0.100 (0.080 to 0.120)"]


def test_no_dose_is_chosen_by_its_result() -> None:
    near = dose(estimate(0.004), estimate(0.012), estimate(0.021), estimate(0.024))
    assert plain(wording.further.dose_reading(near)) == (
        "The dose that decides, 1 synthetic slice a real one, was fixed beforehand. The best estimate is that at 2 "
        "synthetic slices a real one, +2.4 points (+0.4 to +4.4); all intervals overlap, so which dose is best cannot "
        "be told."
    )
    apart = dose(estimate(0.05), estimate(0.01), estimate(0.0))
    assert "that at 0.25 synthetic slices" in wording.further.dose_reading(apart)
    assert wording.further.dose_reading(apart).endswith("some intervals lie apart, so the dose matters.")
    assert [row[0] for row in tables.dose_table(near).rows] == ["0.25", "0.5", "1 (decides)", "2"]


@pytest.mark.parametrize(
    ("fewest", "said"),
    [
        (0.03, "the intervals overlap, so whether they do more with fewer cannot be told"),
        (0.09, "they did more where there was less to learn from"),
        (-0.09, "they did less where there was less to learn from"),
    ],
)
def test_a_learning_curve_is_read_from_its_ends(fewest: float, said: str) -> None:
    text = plain(
        wording.further.learning_reading(learning(estimate(fewest), estimate(0.5), estimate(0.02)), known=True)
    )
    assert text.endswith(f"with 100 % of those in training (52 subjects a fold) +2.0 points (0.0 to +4.0); {said}.")
    assert "with 25 % of those in training (13 subjects a fold)" in text
    assert "image groups" in wording.further.learning_reading(learning(estimate(0.02)), known=False)


def test_the_learning_table_has_the_arms_that_there_are() -> None:
    table = tables.learning_table(learning(estimate(0.03), estimate(0.02)), known=False)
    assert table.columns[1:4] == ("Image groups, a fold", "Real + classic augmentation", "Real + classic + synthetic")
    assert [plain(row[0]) for row in table.rows] == ["50 %", "100 %"]


@pytest.mark.parametrize(
    ("verdict", "low", "high", "said"),
    [
        ("gain", 0.001, 0.045, "a gain is shown. It bears out the verdict."),
        ("gain", -0.01, 0.045, "neither a gain nor a loss is shown. It does not bear out the verdict."),
        ("gain", -0.04, -0.01, "a loss is shown. It contradicts the verdict."),
        ("harm", -0.04, -0.01, "a loss is shown. It bears out the verdict."),
        ("harm", 0.01, 0.04, "a gain is shown. It contradicts the verdict."),
        ("equivalent", 0.01, 0.04, "a gain is shown. Two-sided:"),
    ],
)
def test_an_external_test_bears_out_the_verdict_or_does_not(verdict: str, low: float, high: float, said: str) -> None:
    text = plain(wording.further.external_reading(external(low, high), verdict))
    assert said in text
    assert "40 slices of 40 subjects" in text
    assert "locked until the end and opened once in this run" in text
    assert "2 slices of patients or pictures that the study has were left out" in text
    assert text.endswith("McNemar’s test of accuracy p = 0.210, DeLong’s test of AUC p = 0.030; one slice a subject.")


def test_tests_for_one_slice_a_subject_are_not_made_of_several() -> None:
    several = external(mcnemar_p=None, delong_p=None, left_out=0)
    text = wording.further.external_reading(several, "gain")
    assert text.endswith("hold for one slice a known subject only, and were not made.")
    assert "left out" not in text


@pytest.mark.parametrize("development_known", [True, False])
def test_an_external_set_is_counted_by_its_own_unit(development_known: bool) -> None:
    for known, unit in ((True, "40 subjects"), (False, "40 groups whose patients are unknown")):
        found = external(subjects_known=known)
        assert f"40 slices of {unit}" in plain(wording.further.external_reading(found, "gain"))
        whole = summary("gain", external=found, data=data(subjects_known=development_known))
        assert plain(lights.utility_light(whole).why).endswith(f", {unit}.")


def test_an_external_loss_dims_the_utility_light_and_an_external_gain_changes_only_its_words() -> None:
    borne, lost = (summary("gain", external=external(*ends)) for ends in ((0.001, 0.045), (-0.04, -0.01)))
    assert lights.utility_light(borne).level == "good"
    assert plain(lights.utility_light(borne).why).endswith("External test: +2.3 points (+0.1 to +4.5), 40 subjects.")
    assert (lights.utility_light(lost).level, lights.utility_light(lost).word) == ("caution", "Not at another test")
    unsure = summary("gain", external=external(-0.01, 0.045))
    assert lights.utility_light(unsure).level == "good"  # its words tell
    assert "the external test apart" in " ".join(limits(borne))
    assert "the external test apart" not in " ".join(limits(summary("gain")))


@pytest.mark.parametrize(
    ("changes", "level", "said"),
    [
        ({}, "good", ""),
        ({"membership_auc": estimate(0.6, 0.05)}, "caution", "can be told from 1 of 1 sets: AUC 0.600"),
        ({"membership_auc": estimate(0.4, 0.05)}, "good", ""),
        ({"feature_copy_share": 0.08}, "caution", "In features, copies are 7.1 points more frequent"),
        ({"feature_copy_share": 0.05}, "good", ""),
    ],
)
def test_traces_of_copies_dim_their_light(changes: dict[str, object], level: str, said: str) -> None:
    light = lights.copies_light((memorisation(), traced(**changes)))
    assert light.level == level
    assert said in light.why
    assert ("features" in light.why or "told" in light.why) == bool(said)


def test_the_most_telling_of_several_attacks_is_said_to_be_that() -> None:
    several = [traced(membership_auc=estimate(share, 0.05)) for share in (0.52, 0.7, 0.6)]
    why = plain(lights.copies_light(several).why)
    assert "can be told from 2 of 3 sets: AUC 0.700 (0.650 to 0.750) at most, 0.5 is guessing." in why


def test_the_diversity_light_names_what_collapsed_and_how_many_more() -> None:
    light = lights.diversity_light((fidelity(), fidelity(fold=1, collapse=LOST), fidelity(fold=2, collapse=LOST)), ())
    assert (light.level, light.word) == ("problem", "Collapsed")
    assert plain(light.why).startswith("The generator of tumour slices lost modes (fold 1): coverage 12 % (collapse:")
    assert light.why.endswith("n = 300. So did 1 more of 3 sets.")
    less = lights.diversity_light((fidelity(0.6, 0.4, collapse=LESS_VARIED),), ())
    assert (less.level, less.word) == ("caution", "Less varied")
    assert "Tumour slices, fold 0: dissimilarity of two slices 0.329" in plain(less.why)


# --- the collapse watch ---


def test_the_report_knows_every_rule_and_verdict_of_the_watch() -> None:
    assert wording.watch.SMALLEST_HELD_OUT == health.SMALLEST_HELD_OUT
    assert set(get_args(AlarmRule)) == set(get_args(collapse.Rule))
    assert set(get_args(Watched)) == set(get_args(collapse.Verdict))


def test_watch_reading_counts_looks_and_alarms_or_says_that_none_looked() -> None:
    assert plain(wording.watch.watch_reading(watched(60))) == "The collapse watch raised no alarm in 60 looks."
    assert plain(wording.watch.watch_reading(watched(1))) == "The collapse watch raised no alarm in 1 look."
    assert plain(wording.watch.watch_reading(watched(60, alarm(), alarm()))) == (
        "The collapse watch raised 2 alarms in 60 looks: a training at fault several looks in a row."
    )
    assert wording.watch.watch_reading(training([0.5])) == (
        "No collapse watch looked on during this training: whether the generator repeats itself can only be read from "
        "what it made in the end."
    )


IN_VAIN = "too early or too seldom for an alarm; this says nothing for or against the generator."


@pytest.mark.parametrize(
    ("ages", "confirm", "said"),
    [
        ((False, True, True), 3, f"The collapse watch looked 3 times, {IN_VAIN}"),
        ((False,), 1, f"The collapse watch looked 1 time, {IN_VAIN}"),
        ((), 3, f"The collapse watch looked 0 times, {IN_VAIN}"),
        ((True, True, True), 3, "The collapse watch raised no alarm in 3 looks."),
        ((False, True), 1, "The collapse watch raised no alarm in 2 looks."),
        ((None, True), 3, "The collapse watch raised no alarm in 2 looks."),  # resumed from before it was noted
        ((False, False), None, "The collapse watch raised no alarm in 2 looks."),
    ],
)
def test_no_alarm_is_said_only_where_one_was_possible(
    ages: tuple[bool | None, ...], confirm: int | None, said: str
) -> None:
    record = watched(curve=judged(*ages), confirm=confirm)
    assert plain(wording.watch.watch_reading(record)) == said
    possible = "no alarm" in said
    assert wording.watch.alarm_possible(record) == possible
    cell = plain(tables.training_table((record,), known=True).rows[0][-2])
    assert cell.endswith("too early or too seldom for one") != possible


def test_the_looks_at_a_copy_are_not_those_at_its_joint_generator() -> None:
    shared = {"confirm": 2, "joint_until": 3000, "images_seen": 5000}
    both = watched(curve=judged(True, True, True, True), joint_ticks=3, **shared)
    assert plain(wording.watch.watch_reading(both)) == (
        f"The collapse watch raised no alarm in 4 looks. Of these, 1 was at the copy that is used, {IN_VAIN}"
    )
    neither = both.model_copy(update={"curve": judged(False, False, True, True)})
    assert plain(wording.watch.watch_reading(neither)) == f"The collapse watch looked 4 times, {IN_VAIN}"
    enough = both.model_copy(update={"curve": judged(True, True, True, True, True)})
    assert plain(wording.watch.watch_reading(enough)) == "The collapse watch raised no alarm in 5 looks."
    ill = (*judged(False, True), look(3000, "alarm", judged=True), *judged(True, start=4))
    alarmed = both.model_copy(update={"curve": ill, "alarms": (alarm(3000, 1000),)})
    assert plain(wording.watch.watch_reading(alarmed)).endswith(f"Of these, 1 was at the copy that is used, {IN_VAIN}")
    not_noted = both.model_copy(update={"joint_ticks": None})  # then by the images seen
    assert wording.watch.watch_reading(not_noted) == wording.watch.watch_reading(both)


def test_no_light_is_better_for_a_watch_without_an_alarm() -> None:
    in_vain, on_guard = watched(curve=judged(False), confirm=3), watched(curve=judged(True), confirm=1)
    without = lights.diversity_light((GOOD,), ())
    assert lights.diversity_light((GOOD,), (in_vain,)) == lights.diversity_light((GOOD,), (on_guard,)) == without
    assert "watch" not in without.why
    assert "Diversity is no better for a collapse watch that raised no alarm." in lights.rules()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            reason("repeats", 0.21, 0.4),
            (
                "the generator repeated a few heads: the distance from one of its slices to the nearest other was 21 % "
                "of what it is among equally varied real slices (alarm below 40 %)"
            ),
        ),
        (
            reason("alike", 0.07, 0.1),
            "its slices hardly differed from one another, 7 % as much as real slices do (alarm below 10 %)",
        ),
        (
            reason("uncovered", 0.18, 0.25),
            "most kinds of real heads were missing: 18 % of what real slices cover was covered (alarm below 25 %)",
        ),
        (
            reason("fallen", 0.3, 0.41),
            (
                "its slices differed less, or covered less, than at this training's own best: 30 % of what real slices "
                "reach (alarm below 41 %, a share of that best)"
            ),
        ),
        (
            reason("copies", 0.18, 0.11),
            "slices of patients came out again: 18 % of its slices were near-copies (alarm above 11 %)",
        ),
        (
            reason("discriminator_wins", 0.99, 0.97),
            (
                "the discriminator was right about nearly everything, so the generator learned nothing from it: right "
                "on 99 % of the images it knew least (alarm from 97 %)"
            ),
        ),
        (
            reason("discriminator_overfits", 0.31, 0.2),
            (
                "the discriminator knew its training slices by heart: it was right about them 31 percentage points "
                "more often than about real slices it had never seen, chance allowed for (alarm above 20)"
            ),
        ),
    ],
)
def test_every_rule_has_its_phrase_with_value_and_limit(broken: AlarmReason, said: str) -> None:
    assert plain(wording.watch.alarm_phrase(broken)) == said


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (reason("alike", 0.397, 0.4), "39.7 % as much as real slices do (alarm below 40.0 %)"),
        (reason("repeats", 0.39996, 0.4), "was 39.996 % of what it is among equally varied real slices"),
        (reason("copies", 0.004, 0.0), "0.4 % of its slices were near-copies (alarm above 0.0 %)"),
        (reason("discriminator_wins", 0.97, 0.97), "right on 97 % of the images it knew least (alarm from 97 %)"),
        (reason("discriminator_overfits", 0.203, 0.2), "20.3 percentage points more often than about real slices"),
        (reason("discriminator_overfits", 0.203, 0.2), "chance allowed for (alarm above 20.0)"),
        (
            reason("fallen", 1.2, 1.24),
            "at this training's own best: 120 % of what real slices reach (alarm below 124 %, a share of that best)",
        ),
    ],
)
def test_a_value_never_reads_as_its_limit(broken: AlarmReason, said: str) -> None:
    assert said in plain(wording.watch.alarm_phrase(broken))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("repeats", "; n = 64)"),
        ("alike", "; n = 64)"),
        ("uncovered", "; n = 64)"),
        ("fallen", ", a share of that best; n = 64)"),
        ("copies", "; n = 64 or more)"),
        ("discriminator_wins", "; n = 39 held out)"),
        ("discriminator_overfits", "; n = 39 held out)"),
    ],
)
def test_every_alarm_has_its_n(rule: str, said: str) -> None:
    broken = reason(rule, 0.1, 0.2)
    assert plain(wording.watch.alarm_phrase(broken, n=64, n_held_out=39)).endswith(said)
    curve = (look(1000), look(2000, "alarm", n=64), look(3000, attempt=1, n=32))
    record = watched(20, alarm(2000, 1000, broken), curve=curve, n_held_out=39)
    assert f"{said}. Training went back" in plain(wording.watch.alarm_readings(record)[0])
    # its joint training held out others, of which nothing is known here
    of_joint = record.model_copy(update={"joint_until": 2000, "joint_ticks": 2, "images_seen": 3000})
    assert "39 held out" not in plain(wording.watch.alarm_readings(of_joint)[0])
    of_copy = of_joint.model_copy(update={"joint_until": 1000, "joint_ticks": 1})
    assert f"{said}. Training went back" in plain(wording.watch.alarm_readings(of_copy)[0])


def test_without_held_out_slices_a_discriminator_wins_over_the_generated() -> None:
    said = plain(wording.watch.alarm_phrase(reason("discriminator_wins", 1.0, 0.97), n=64, n_held_out=0))
    assert said.endswith("; n = 64 or more)")


def test_every_rule_of_the_watch_has_a_phrase() -> None:
    assert len({wording.watch.alarm_phrase(reason(rule, 0.1, 0.2)) for rule in get_args(AlarmRule)}) == 7


def test_each_alarm_says_when_what_and_what_was_done() -> None:
    back, anew = alarm(), alarm(50_000, None, reason("alike", 0.07, 0.1))
    first, second = (plain(text) for text in wording.watch.alarm_readings(watched(20, back, anew, augmented=True)))
    assert first.startswith("Alarm 1, at 42,000 images: the generator repeated a few heads")
    assert first.endswith(
        "Training went back to its last healthy moment, at 38,000 images, and went on more slowly and with stronger "
        "augmentation."
    )
    assert second.startswith("Alarm 2, at 50,000 images: its slices hardly differed")
    assert second.endswith(
        "No healthy moment had been seen, so training began anew from another random start, more slowly and with "
        "stronger augmentation."
    )


@pytest.mark.parametrize("augmented", [False, None])
def test_nothing_is_augmented_more_strongly_where_it_is_not_or_is_not_known(augmented: bool | None) -> None:
    record = watched(20, alarm(), alarm(50_000, None), augmented=augmented)
    assert [plain(text).rpartition(", ")[2] for text in wording.watch.alarm_readings(record)] == [
        "and went on more slowly.",
        "more slowly.",
    ]


def test_after_an_alarm_at_the_end_of_the_budget_nothing_was_done_again() -> None:
    end = (*judged(True, True), look(3000, "alarm", judged=True))
    for return_to in (1000, None):
        record = watched(20, alarm(3000, return_to), curve=end, images_seen=3000)
        (text,) = wording.watch.alarm_readings(record)
        assert text.endswith("Training ended there: the budget was over.")
        assert "went on" not in text
        assert "anew" not in text
        assert "went back" not in wording.training.training_reading(record, known=True)
        caption = wording.watch.health_caption(record)
        assert "Cross: alarm at which the budget was over." in caption
        assert "Triangle" not in caption
    onward = watched(20, alarm(3000, 1000), curve=(*end, look(2000, attempt=1)), images_seen=2000)
    assert "Training went back" in wording.watch.alarm_readings(onward)[0]
    assert "an alarm went back on" in wording.training.training_reading(onward, known=True)
    stopped = watched(20, alarm(3000), curve=(*end[:2], look(3000, "stop")), images_seen=3000, stopped=True)
    assert wording.watch.alarm_readings(stopped)[0].endswith("Training was stopped.")


def test_only_the_last_alarm_stops_a_training() -> None:
    first, last = wording.watch.alarm_readings(watched(20, alarm(), alarm(60_000), stopped=True))
    assert "Training went back" in first
    assert last.endswith("Training was stopped, for going back had not helped.")
    assert "went back" not in last
    assert wording.watch.alarm_readings(watched(20, alarm(), stopped=True))[0].endswith("Training was stopped.")


def test_of_several_measures_of_one_rule_the_worst_is_told() -> None:
    mixed = alarm(1, 0, reason("alike", 0.3, 0.35), reason("alike", 0.02, 0.1), reason("copies", 0.5, 0.1))
    (text,) = (plain(text) for text in wording.watch.alarm_readings(watched(20, mixed)))
    assert text.count("hardly differed") == 1
    assert "2 % as much as real slices do (alarm below 10 %); slices of patients came out again: 50 %" in text


@pytest.mark.parametrize(
    ("best_wrong", "stopped", "kept", "doubt"),
    [
        (0, False, "it was healthy, and no later healthy moment was clearly nearer to real slices", ""),
        (
            0,
            True,
            "it was healthy, and no later healthy moment was clearly nearer",
            "Use the generator of tumour slices with caution: the watch",
        ),
        (
            1,
            False,
            "no moment was healthy, and of the poor ones no later one was clearly nearer",
            "Distrust the generator of tumour slices",
        ),
        (
            1,
            True,
            "no moment was healthy, and of the poor ones no later one was clearly nearer",
            "Distrust the generator of tumour slices",
        ),
        (
            2,
            False,
            "every moment was at fault, and no later one was clearly nearer",
            "Do not trust the generator of tumour slices",
        ),
        (
            2,
            True,
            "every moment was at fault, and no later one was clearly nearer",
            "Do not trust the generator of tumour slices",
        ),
    ],
)
def test_what_is_kept_and_how_far_to_trust_it(best_wrong: int, stopped: bool, kept: str, doubt: str) -> None:
    record = watched(20, alarm(), best_wrong=best_wrong, stopped=stopped)
    assert plain(wording.watch.kept_reading(record)).startswith(
        f"The generator is used as it was at 1,500 images: {kept}"
    )
    assert wording.watch.doubt(record).startswith(doubt)
    assert bool(wording.watch.doubt(record)) == bool(doubt)


def test_a_training_that_ended_for_want_of_improvement_says_so_and_another_does_not() -> None:
    record = watched(20, images_seen=237_568, unimproved_since=173_000)
    assert plain(wording.watch.ended_reading(record)) == (
        "Training ended early, at 237,568 images: the kernel distance to real slices of the training part had not "
        "become clearly less since 173,000 images, and with longer training more samples are near-copies of patients."
    )
    assert wording.watch.ended_reading(watched(20)) == ""


def test_an_unwatched_training_claims_no_choice_and_no_doubt() -> None:
    record = training([0.5]).model_copy(update={"kept_at": 2000})
    assert plain(wording.watch.kept_reading(record)) == "The generator is used as it was at 2,000 images."
    assert wording.watch.kept_reading(training([0.5])) == ""
    assert wording.watch.doubt(record) == ""
    assert wording.watch.alarm_readings(record) == ()


def test_the_end_of_a_training_is_that_of_its_last_attempt() -> None:
    points = [(0, 0.99)] * 30 + [(1, 0.6)]
    curve = tuple(
        CurvePoint(images_seen=i, attempt=a, generator_loss=1, discriminator_loss=1, discriminator_accuracy=value)
        for i, (a, value) in enumerate(points)
    )
    text = plain(wording.training.training_reading(watched(20, alarm(), curve=curve), known=True))
    assert "told real from synthetic in 60 % of images" in text
    assert "2,000 images (without those that an alarm went back on)" in text


def test_the_caption_of_the_watch_explains_only_signs_that_are_there() -> None:
    calm = wording.watch.health_caption(watched())
    assert "Diamond" in calm
    assert "Triangle" not in calm
    assert "Cross" not in calm
    one = wording.watch.health_caption(watched(20, alarm(), stopped=True))
    assert "Cross" in one
    assert "Triangle" not in one
    both = wording.watch.health_caption(watched(20, alarm(), alarm(), stopped=True))
    assert "Cross" in both
    assert "Triangle" in both


@pytest.mark.parametrize(
    ("n", "held_out", "said"),
    [
        (64, 39, "; kernel distance to 39 slices held out from the generator."),
        (64, 300, "; kernel distance to up to 300 slices held out from the generator."),
        (64, 15, "; kernel distance to training slices too, for fewer than 16 were held out."),
        (64, None, "of the training part."),
    ],
)
def test_the_caption_of_the_watch_has_its_n(n: int, held_out: int | None, said: str) -> None:
    caption = plain(wording.watch.health_caption(watched(curve=judged(True, n=n), n_held_out=held_out)))
    assert f"n = {n} generated against as many real slices of the training part" in caption
    assert said + " Diamond" in caption
    assert "n =" not in plain(wording.watch.health_caption(watched(n_held_out=held_out)))


def test_the_caption_tells_the_n_of_a_copy_from_that_of_its_joint_training() -> None:
    curve = (*judged(True, True, n=128), *judged(True, start=3, n=64))
    copy = watched(curve=curve, n_held_out=39, joint_until=2000, joint_ticks=2, images_seen=3000)
    caption = plain(wording.watch.health_caption(copy))
    assert "n = 64 generated against" in caption
    assert "In the training of all diagnoses, up to 2,000 images: n = 128, generated and real slices of all" in caption


def test_the_table_of_trainings_has_alarms_and_the_kept_moment() -> None:
    records = (training([0.5]), watched(60), watched(60, alarm(), alarm(), stopped=True))
    rows = tables.training_table(records, known=True).rows
    assert [tuple(plain(cell) for cell in row[-2:]) for row in rows] == [
        ("not watched", "–"),
        ("0 in 60 looks", "at 1,500 images"),
        ("2 in 60 looks; stopped", "at 1,500 images"),
    ]


# --- limits ---


def test_limits_follow_from_the_numbers() -> None:
    many = plain(" ".join(limits(summary("gain", difference(n_seeds=5)))))
    assert "folds were evaluated" not in many
    assert "was trained" not in many
    assert "Generators were trained once a fold: their luck shows only between folds" in many
    assert "name its subjects" not in many
    assert "64 × 64 pixels" in many
    assert "The test rests on 56 subjects. The smallest true difference to real + classic augmentation" in many
    assert many.endswith("For research only: not a medical device, not for the diagnosis of any person.")
    poor = data(folds_evaluated=1, subjects_known=False, label_rules=("folder",))
    few = plain(" ".join(limits(summary("gain", difference(n_seeds=1), data=poor))))
    assert "Only one fold of 5 drawn was evaluated" in few
    assert "Each arm was trained 1 time:" in few
    assert "their luck cannot be told from their merit" in few
    assert "does not name its subjects" in few
    assert "The test rests on 56 image groups." in few
    assert "taken from folder names" in few
    assert "3 of 5 folds were evaluated" in " ".join(limits(summary("gain", data=data(folds_evaluated=3))))


# --- lights ---


@pytest.mark.parametrize(
    ("verdict", "level", "word"),
    [
        ("gain", "good", "Helped"),
        ("equivalent", "caution", "No difference"),
        ("harm", "problem", "Harmed"),
        ("insufficient_evidence", "caution", "Not shown"),
    ],
)
def test_utility_light_follows_the_verdict(verdict: str, level: str, word: str) -> None:
    light = lights.utility_light(summary(verdict, DOWN, OPEN))
    assert (light.level, light.word) == (level, word)
    assert plain(light.why) == (
        "-2.1 points (-3.8 to -0.4), 56 subjects tested. Against repeated copies of real slices: +0.3 points."
    )


@pytest.mark.parametrize(
    ("scores", "level"),
    [
        (fidelity(0.6, 0.4), "good"),
        (fidelity(0.4, 0.4), "caution"),
        (fidelity(0.6, 0.1), "problem"),
        (fidelity(0.6, 0.4, collapse=LOST), "problem"),
        (fidelity(0.6, 0.4, collapse=LESS_VARIED), "caution"),
        (fidelity(0.6, 0.1, collapse=LESS_VARIED), "problem"),
        (fidelity(0.6, 0.4, reference=(0.0, 0.0)), "unknown"),
    ],
)
def test_diversity_light_takes_the_weaker_of_recall_and_coverage(scores: FidelityScores, level: str) -> None:
    assert lights.diversity_light((fidelity(0.6, 0.4, reference=(0.0, 0.0)), scores), ()).level == level


def test_diversity_light_names_the_weakest_with_its_numbers() -> None:
    light = lights.diversity_light((fidelity(0.6, 0.4), fidelity(0.4, 0.39)), (watched(20, alarm()),))
    assert plain(light.why) == (
        "Weakest, tumour slices: coverage 39 % beside 40 % for held-out real, recall 40 % beside 60 %; n = 300 each."
    )


GOOD, LESS, MISSING, NONE = fidelity(0.6, 0.4), fidelity(0.4, 0.4), fidelity(0.6, 0.1), ()


@pytest.mark.parametrize(
    ("scores", "best_wrong", "stopped", "level", "word"),
    [
        (GOOD, 0, False, "good", "As varied as real"),
        (GOOD, 0, True, "caution", "Training was stopped"),
        (GOOD, 1, False, "caution", "Poor in training"),
        (GOOD, 2, False, "problem", "At fault in training"),
        (GOOD, 2, True, "problem", "At fault in training"),
        (LESS, 0, True, "caution", "Less varied"),
        (LESS, 2, False, "problem", "At fault in training"),
        (MISSING, 0, True, "problem", "Much is missing"),
        (MISSING, 2, True, "problem", "Much is missing"),
        (NONE, 0, False, "unknown", "Not measured"),
        (NONE, 0, True, "caution", "Training was stopped"),
        (NONE, 2, False, "problem", "At fault in training"),
    ],
)
def test_diversity_light_is_no_better_than_the_watch_thinks(
    scores: FidelityScores | tuple[()], best_wrong: int, stopped: bool, level: str, word: str
) -> None:
    doubted = watched(20, alarm(), best_wrong=best_wrong, stopped=stopped)
    measured = (scores,) if isinstance(scores, FidelityScores) else scores
    light = lights.diversity_light(measured, (watched(), doubted, watched()))
    assert (light.level, light.word) == (level, word)
    assert light.why.startswith(wording.watch.doubt(doubted))
    assert light.why.endswith(lights.diversity_light(measured, ()).why)


def test_the_worst_training_decides_the_diversity_light() -> None:
    poor, faulty = watched(20, best_wrong=1), watched(20, best_wrong=2, diagnosis="no_tumour")
    for order in ((poor, faulty), (faulty, poor)):
        light = lights.diversity_light((GOOD,), order)
        assert light.level == "problem"
        assert light.why.startswith("Do not trust the generator of no-tumour slices")


@pytest.mark.parametrize(
    ("scores", "level"),
    [
        ((memorisation(4),), "good"),
        ((memorisation(4), memorisation(30)), "caution"),
        ((memorisation(200),), "problem"),
        ((memorisation(4, median=0.01),), "caution"),
        ((memorisation(0, n_generated=0),), "unknown"),
        ((), "unknown"),
    ],
)
def test_copies_light_takes_the_worst(scores: tuple[MemorisationScores, ...], level: str) -> None:
    assert lights.copies_light(scores).level == level


@pytest.mark.parametrize(
    ("fewest", "known", "level"),
    [(50, True, "good"), (50, False, "caution"), (49, True, "caution"), (9, True, "problem"), (9, False, "problem")],
)
def test_data_light_counts_subjects_of_the_rarer_diagnosis(fewest: int, known: bool, level: str) -> None:
    light = lights.data_light(data(classes=classes(fewest), subjects_known=known), UP, ())
    assert light.level == level
    assert f"{fewest} of the rarer diagnosis" in light.why
    assert ("the source names no subjects" in light.why) != known


def test_a_shortcut_at_the_edge_dims_the_data_light_and_one_in_the_files_does_not() -> None:
    for what, level in (("border", "caution"), ("file_facts", "good")):
        light = lights.data_light(data(classes=classes(60)), UP, (shortcut(what=what, suspected=True),))
        assert light.level == level
    assert lights.data_light(data(classes=classes(60)), UP, (shortcut(what="border"),)).level == "good"


def test_every_light_has_a_rule_with_its_limit() -> None:
    rules = " ".join(lights.rules())
    for name in ("Utility", "Diversity", "Copies", "Data quality", str(lights.REACH_GOOD), str(lights.SUBJECTS_GOOD)):
        assert name in rules


def test_a_copy_of_a_joint_generator_says_when_it_learned_from_what() -> None:
    copy = training([0.5]).model_copy(update={"joint_until": 1500})
    assert plain(wording.watch.joint_reading(copy)) == (
        "Up to 1,500 images it was trained on the slices of all diagnoses, and from there as a copy of its own on "
        "tumour slices alone."
    )
    shared = training([0.5]).model_copy(update={"joint_until": 2000})
    assert wording.watch.joint_reading(shared) == (
        "One generator was trained on the slices of all diagnoses, and is told which to make."
    )
    seen = watched(joint_until=2000)
    assert wording.watch.joint_reading(seen).endswith(
        "is told which to make. What the collapse watch measured is of all diagnoses together."
    )
    assert wording.watch.joint_reading(training([0.5])) == ""


def test_a_copy_begins_again_from_the_joint_generator_and_not_from_chance() -> None:
    one = watched(20, alarm(1_000, None), alarm(50_000, None), joint_until=30_000, images_seen=60_000)
    before, after = wording.watch.alarm_readings(one)
    assert "another random start" in before
    assert "began again from the joint generator" in after


@pytest.mark.parametrize(("return_to", "start"), [(1000, "its state at 1,000 images"), (None, "random first weights")])
def test_a_joint_training_may_end_at_an_alarm_and_its_copy_begins_from_what_it_left(
    return_to: int | None, start: str
) -> None:
    until = return_to or 0
    curve = (*judged(True, True), look(3000, "stop"), look(until + 1000, attempt=1), look(4000, "alarm", attempt=1))
    copy = watched(
        20, alarm(3000, return_to), alarm(4000, None), curve=(*curve, look(5000, attempt=2)),
        images_seen=5000, joint_until=until, joint_ticks=3,
    )  # fmt: skip
    first, second = (plain(text) for text in wording.watch.alarm_readings(copy))
    assert first.endswith(f"The training of all diagnoses ended there, and the copy began from {start}.")
    assert "began again from the joint generator" in second


# --- from a model's folder ---


def model_folder(run: RunDir, diagnosis: str, curve: list[dict[str, object]], **changes: object) -> None:
    """What a training leaves for the report, without weights and pictures."""
    trained = model_dir.TrainedGan.model_validate(
        {
            "diagnosis": diagnosis,
            "seed": 1,
            "gan": recipes.load("default"),
            "conditions": Conditions(position_edges=(), levels=(Condition(),)),
            "condition_counts": (80,),
            "n_slices": 80,
            "n_held_out": 39,
            "n_subjects": 20,
            "images_seen": curve[-1]["images_seen"],
            "kept_at": curve[-1]["images_seen"],
            "watched": True,
            "best_wrong": 0,
            "alarms": (),
            "stopped": False,
            "generator_parameters": 1,
            "discriminator_parameters": 1,
            **changes,
        }
    )
    folder = run.model(0, diagnosis)
    folder.mkdir(parents=True)
    write_table(folder / "curves.parquet", pd.DataFrame(curve))
    write_record(model_dir.config_path(folder), trained)


def row(images_seen: int, **changes: object) -> dict[str, object]:
    losses = {"generator_loss": 1.0, "discriminator_loss": 1.0, "discriminator_accuracy": 0.6}
    return {"images_seen": images_seen, **losses, "attempt": 0, "verdict": "healthy", **changes}


FIRST = Fold(fold=0, train=("a",), test=("b",))


def test_the_report_is_told_what_the_watch_could_do_and_with_how_many(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    joint = [row(1000, judged=False, n=128), row(2000, judged=True, n=128)]
    model_folder(run, "joint", joint)
    default = recipes.load("default")
    fixed = {"augmentation": default.augmentation.model_copy(update={"target": None})}  # not adapted tick by tick
    gan = default.model_copy(update=fixed)
    model_folder(run, "tumour", [*joint, row(3000, judged=True, n=64)], gan=gan, joint_until=2000, joint_ticks=2)
    record = summaries._training(run, FIRST, "tumour")
    assert [(point.judged, point.n) for point in record.curve] == [(False, 128), (True, 128), (True, 64)]
    assert (record.n_held_out, record.joint_ticks) == (39, 2)
    assert record.confirm == default.watch.confirm
    assert record.augmented is True
    model_folder(run, "no_tumour", [row(1000), row(2000)], gan=recipes.load("dcgan"))  # a curve of before
    before = summaries._training(run, FIRST, "no_tumour")
    assert [(point.judged, point.n) for point in before.curve] == [(None, None)] * 2
    assert (before.joint_ticks, before.augmented) == (None, False)


@pytest.mark.parametrize(
    ("strength", "target", "factor", "stronger"),
    [(1.0, None, 1.5, True), (0.0, None, 1.5, False), (2.0, None, 1.5, False), (1.0, 0.6, 1.5, False),
     (1.0, None, 1.0, False)],
)  # fmt: skip
def test_augmentation_is_stronger_only_where_an_alarm_can_make_it_so(
    strength: float, target: float | None, factor: float, stronger: bool
) -> None:
    config = recipes.load("default")
    changed = config.model_copy(
        update={
            "augmentation": config.augmentation.model_copy(update={"strength": strength, "target": target}),
            "watch": config.watch.model_copy(update={"augmentation_factor": factor}),
        }
    )
    assert summaries._stronger_after_alarm(changed) is stronger
