"""The filled lists: what each item answers in each direction, what no run can answer, and the page that shows them."""

import re
from pathlib import Path

import pytest
from report_records import (
    LOST,
    arm,
    build_summary,
    data,
    difference,
    estimate,
    external,
    fidelity,
    full_summary,
    lesions,
    memorisation,
    of_diagnosis,
    painted_copies,
    painted_summary,
    permuted,
    recorded,
    set_scores,
    statistics,
    traced,
    training,
    transfer,
    ways,
    with_alarms,
)

from data_contracts.results import (
    OcclusionCase,
    Occlusions,
    Provenance,
    ReaderScores,
    ReaderStudy,
    RuleCount,
    RunSummary,
    WrongCases,
    WrongCount,
)
from reports import numbers
from reports.checklists import (
    Answer,
    Checklist,
    checklists,
    claim,
    datasheet,
    evidence,
    model_card,
    sets,
    seven_cs,
    study,
    tripod,
)
from reports.checklists import data as scans
from reports.checklists.items import ASKED, JUDGED, cannot_tell
from reports.checklists.model_card import certainty, compared_with, copying, effect, groups, likeness, metrics, watch
from reports.checklists.seven_cs import (
    completeness,
    compliance,
    comprehension,
    congruence,
    consistency,
    constraint,
    coverage,
    rules,
)
from reports.render import render

LISTS = (seven_cs, claim, tripod, datasheet, model_card)
CONFIG: dict[str, object] = {
    "normalise": {
        "size": 64, "low_percentile": 1.0, "high_percentile": 99.5, "spacing_mm": None, "bias_correction": False,
        "strip": False,
    },
    "synthesis": {"strategy": "finetune"},
    "gan": {"network": {"family": "lean"}},
    "painter": {"network": {"family": "painter"}},
    "utility": {"calibrate": True, "classifier": {"network": "small", "steps": 400}},
}  # fmt: skip


def plain(text: str) -> str:
    return text.replace(numbers.NBSP, " ").replace(numbers.MINUS, "-").replace("’", "'")


def said(answer: Answer) -> tuple[str, str]:
    return answer.level, plain(answer.text)


def configured(summary: RunSummary, **changes: object) -> RunSummary:
    """With a configuration, whose tables the changes go into."""
    return recorded(summary, config={**CONFIG, **changes})


EMPTY = build_summary(
    data=data(label_rules=(), sequences=("unknown",), planes=()),
    shortcuts=(),
    arms=(),
    fidelity=(),
    memorisation=(),
    training=(),
    pictures=(),
    warnings=(),
    provenance=Provenance(preset="", seed=0, versions={}, config={}, config_digest="", source_digest=""),
)
NOTHING_NEW = {"memorisation": (memorisation(0, 0, n_broken=0, n_kept=0),)}
BROKEN = build_summary(
    memorisation=(memorisation(200, 400, n_broken=60, n_kept=140),),
    fidelity=(fidelity(collapse=LOST), fidelity(0.05, 0.05, diagnosis="no_tumour")),
    transfer=(transfer(0, 0.21, shortcuts=True),),
)


def reader(accuracy: float = 0.55, **changes: object) -> ReaderStudy:
    scores = ReaderScores(
        reader="",
        accuracy=estimate(accuracy, 0.08),
        auc=estimate(accuracy, 0.08),
        sensitivity=estimate(accuracy, 0.1),
        specificity=estimate(accuracy, 0.1),
        diagnosis_real=estimate(0.9, 0.05),
        diagnosis_synthetic=estimate(0.8, 0.05),
    )
    fields: dict[str, object] = {
        "study": "e" * 64, "n_real": 20, "n_synthetic": 20, "n_real_groups": 18, "n_synthetic_groups": 20,
        "readers": (scores,), "together": scores, "detectable_accuracy": 0.7,
    }  # fmt: skip
    return ReaderStudy.model_validate({**fields, **changes})


def occlusions(n: int) -> Occlusions:
    case = OcclusionCase(
        slice_id="file-0001",
        diagnosis="tumour",
        right=True,
        probability=0.9,
        reference_probability=0.8,
        largest_fall=0.3,
        reference_largest_fall=0.2,
    )
    return Occlusions(fold=0, patch_share=0.25, n_right={}, n_wrong={}, cases=(case,) * n)


def wrong(both: int, mended: int, broken: int) -> WrongCases:
    def count(n: int) -> WrongCount:
        return WrongCount(n_slices=n, n_subjects=n, n_tumour=0)

    return WrongCases(
        n_slices=833,
        n_subjects=56,
        n_trainings=3,
        both=count(both),
        mended=count(mended),
        broken=count(broken),
        cases=(),
    )


POOL = (
    build_summary(),
    build_summary(folds=2, subjects_known=False, verdict="harm"),
    full_summary(),
    configured(full_summary(occlusions=occlusions(2), wrong=wrong(20, 4, 3), reader_study=reader())),
    painted_summary(folds=2),
    configured(painted_summary(folds=1, controls=(permuted(0.71, passed=False),))),
    BROKEN,
    EMPTY,
)


# --- the lists ---


def test_each_list_has_the_numbers_of_its_source() -> None:
    in_order = [item.number for item in claim(EMPTY).items]
    assert in_order == [str(n) for n in range(1, 45)]
    parted = {
        3: "abc",
        5: "ab",
        6: "abc",
        8: "abc",
        9: "abc",
        12: "abcdefg",
        18: "abcdef",
        20: "abc",
        23: "ab",
        27: "abc",
    }
    want = [f"{n}{letter}" for n in range(1, 28) for letter in parted.get(n, " ")]
    assert [item.number for item in tripod(EMPTY).items] == [number.strip() for number in want]
    names = [item.asks.split(":")[0] for item in seven_cs(EMPTY).items]
    assert names == [
        "Congruence", "Coverage", "Constraint", "Completeness", "Compliance", "Comprehension", "Consistency",
    ]  # fmt: skip
    for fill in (datasheet, model_card):
        found = [item.number for item in fill(EMPTY).items]
        assert len(found) == len(set(found)) > 15


@pytest.mark.parametrize("fill", LISTS)
def test_every_answer_is_a_sentence_and_leads_to_a_section(fill: object) -> None:
    for summary in POOL:
        for item in fill(summary).items:
            assert item.asks
            assert item.answer.endswith((".", "?")), item
            assert not re.search(r"\b(None|nan|True|False)\b|[{}]|  ", item.answer), item
            assert item.anchor in evidence() if item.anchor else item.level in ("unknown", "not_met"), item


@pytest.mark.parametrize(
    ("fill", "levels"),
    [
        (seven_cs, {"met", "partly", "not_met", "unknown"}),
        (claim, {"met", "partly", "not_met", "unknown"}),
        (tripod, {"met", "partly", "not_met", "unknown"}),
        (datasheet, {"met", "partly", "unknown"}),  # nothing in these two can be left undone
        (model_card, {"met", "partly", "unknown"}),
    ],
)
def test_every_level_is_reached_and_counted(fill: object, levels: set[str]) -> None:
    found = set()
    for summary in POOL:
        filled = fill(summary)
        counts = {level: sum(item.level == level for item in filled.items) for level in JUDGED}
        found |= {level for level, n in counts.items() if n}
        for level, name in (JUDGED if filled.rules else ASKED).items():
            word = name.replace("answered in part", "in part")
            shown = f"{counts[level]} {word}" if level != "met" else f"{counts[level]} of {len(filled.items)} {word}"
            assert (shown in filled.tally) == bool(counts[level] or filled.rules or level != "not_met"), filled.tally
            assert filled.level_name(level) == name
    assert found == levels


BEYOND = {  # what no run can know, whatever is in its summary
    claim: {"1", "3", "5", "15", "16", "18", "34", "43", "44"},
    tripod: {
        "1", "3a", "3b", "3c", "5b", "6a", "6c", "8b", "8c", "12d", "17", "18a", "18b", "18d", "18e", "19", "23b",
        "27b", "27c",
    },
    datasheet: {"1.2", "3.3", "3.4", "5.1", "5.2", "5.3", "5.4"},
    model_card: {"1.1", "5.1"},
    seven_cs: set(),
}  # fmt: skip


@pytest.mark.parametrize("fill", LISTS)
def test_consent_licence_ethics_and_the_like_are_never_known(fill: object) -> None:
    told = {"licence": "CC-BY-4.0", "ethics": "approved 2024/17", "consent": True, "funding": "us", "centre": "here"}
    for summary in (*POOL, configured(full_summary(), **told)):
        filled: Checklist = fill(summary)
        beyond = {item.number for section in filled.beyond_a_run for item in section.items}
        assert beyond == BEYOND[fill]
        assert {item.number for item in filled.items if item.answer == cannot_tell()} == BEYOND[fill]


def test_what_a_run_did_not_measure_is_not_known() -> None:
    def of(filled: Checklist) -> set[str]:
        return {item.number for item in filled.items if item.level == "unknown" and not item.beyond_a_run}

    assert of(claim(EMPTY)) == {"13", "14", "17", "22", "23", "24", "25", "26", "27", "36", "38", "42"}
    assert of(tripod(EMPTY)) == {"8a", "12c", "12g", "13", "15", "18c", "18f", "20b", "20c", "22"}
    assert of(datasheet(EMPTY)) == {"2.2", "2.4", "2.5", "2.6", "2.7", "2.8", "3.2", "3.6", "4.1"}
    assert of(model_card(EMPTY)) == {"1.2", "1.4", "2.3", "2.4", "3.2", "4.1", "4.2", "4.3", "5.2"}
    assert of(seven_cs(EMPTY)) == {"1", "2", "3", "4", "5", "7"}
    whole = configured(full_summary(transfer=(transfer(),), training=(watched(),)))
    assert of(claim(whole)) == set()
    assert of(seven_cs(whole)) == set()


def watched() -> object:
    return with_alarms(of_diagnosis(0, "tumour")[2], stopped=False, best_wrong=0)


# --- scans ---


@pytest.mark.parametrize(
    ("outcome", "n", "words"),
    [
        ("left_out", 1, "1 sound file or slice was left out by rules of the study, counted by reason."),
        ("left_out", 1200, "1,200 sound files or slices were left out by rules of the study, counted by reason."),
        ("left_out", 0, "No sound file or slice was left out by a rule of the study."),
        ("quarantined", 1, "1 unusable file or slice was refused with its reason, and none was filled in."),
        ("quarantined", 3, "3 unusable files or slices were refused with their reasons, and none was filled in."),
        ("quarantined", 0, "No file or slice had to be refused as unusable, and none was filled in."),
    ],
)
def test_what_was_kept_out_is_counted_by_kind(outcome: str, n: int, words: str) -> None:
    other = "quarantined" if outcome == "left_out" else "left_out"
    out = (
        RuleCount(outcome=outcome, rule="any", count=n, example=""),
        RuleCount(outcome=other, rule="any", count=77, example=""),
    )
    summary = build_summary(data=data(out=out))
    answer = scans.subsets(summary) if outcome == "left_out" else scans.missing(summary)
    assert said(answer) == ("met", words)


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, ""),
        (1, " 1 slice that is used may show letters: look whether they name anyone."),
        (46, " 46 slices that are used may show letters: look whether they name anyone."),
    ],
)
def test_letters_in_slices_stand_beside_the_names_that_were_removed(n: int, words: str) -> None:
    review = tuple(RuleCount(outcome="review", rule="burned_in_text", count=n, example="") for _ in range(bool(n)))
    answer = scans.names_removed(build_summary(data=data(review=review)))
    assert said(answer) == (
        "partly",
        (
            f"The records of this run carry numbers in place of the names of patients and files.{words} What was "
            f"done to the "
            "scans before is not known."
        ),
    )


def test_origin_and_criteria_are_only_known_in_part() -> None:
    assert said(scans.sources(build_summary())) == (
        "partly",
        "1,786 files found; 1,722 slices of 109 subjects used. Hospital, scanner and dates of the scans are not known.",
    )
    assert "used. A locked test set came in beside it. Hospital" in scans.sources(full_summary()).text
    assert scans.eligibility(build_summary()).level == "partly"
    assert plain(scans.eligibility(build_summary()).text).endswith(
        "By which criteria patients were chosen and scanned is not known."
    )
    assert "Kept out: 3 files or slices quarantined" in plain(scans.flow(build_summary()).text)


@pytest.mark.parametrize(
    ("sequences", "planes", "level", "words"),
    [
        (("FLAIR", "T1"), ("axial",), "partly", "Sequences: FLAIR, T1. Planes: axial. Scanner, field strength and"),
        (("FLAIR",), ("unknown",), "partly", "Sequences: FLAIR. Planes: not stated."),
        (("unknown",), ("axial", "unknown"), "partly", "Sequences: not stated. Planes: axial."),
        (("unknown",), ("unknown",), "unknown", "The source states neither sequence nor plane."),
        ((), (), "unknown", "The source states neither sequence nor plane."),
    ],
)
def test_sequences_and_planes_are_told_where_they_are_known(
    sequences: tuple[str, ...], planes: tuple[str, ...], level: str, words: str
) -> None:
    answer = scans.acquisition(build_summary(data=data(sequences=sequences, planes=planes)))
    assert answer.level == level
    assert plain(answer.text).startswith(words)


def test_the_reference_is_named_and_was_not_checked() -> None:
    assert said(scans.reference_standard(build_summary())) == (
        "partly",
        "Diagnosis from the mask beside the image. This run did not check it and does not know who made it.",
    )
    assert said(scans.test_annotation(build_summary())) == (
        "partly",
        "Test slices got their diagnosis as all others did; this run did not look at them again.",
    )
    for answer in (scans.reference_standard(EMPTY), scans.test_annotation(EMPTY)):
        assert said(answer) == ("unknown", "Where the diagnoses came from was not recorded.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            (
                "All slices were divided at random into 5 parts. Whole patients were drawn, both diagnoses spread "
                "evenly. 5 of "
                "these parts were each tested on by models that learned from the others. Synthetic slices were "
                "only ever "
                "learned from, never tested on."
            ),
        ),
        (
            {"folds_evaluated": 1, "subjects_known": False},
            (
                "All slices were divided at random into 5 parts. Whole groups of copies were drawn, both "
                "diagnoses spread "
                "evenly. 1 of these parts was tested on by models that learned from the others. Synthetic "
                "slices were only "
                "ever learned from, never tested on."
            ),
        ),
        ({"repeats": 4}, "from the others. This was done 4 times, drawn anew each time. Synthetic slices"),
    ],
)
def test_how_slices_were_divided(changes: dict[str, object], words: str) -> None:
    answer = scans.assignment(build_summary(data=data(**changes)))
    assert answer.level == "met"
    assert words in plain(answer.text)


def test_unknown_patients_may_stand_on_both_sides() -> None:
    assert scans.disjoint(build_summary()).level == "met"
    assert scans.disjoint(build_summary()).text.startswith("Patients: no patient")
    unknown = scans.disjoint(build_summary(subjects_known=False))
    assert unknown.level == "partly"
    assert "may stand on both sides" in unknown.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ("Every head fills the frame, so its size in millimetres is lost. Shading by the coil was not "
             "corrected. Skull "
             "and scalp were left on.")),
        ({"spacing_mm": 1.25}, "One pixel is 1.25 mm wide."),
        ({"bias_correction": True, "strip": True}, ("Shading by the coil was corrected. Skull and scalp were "
                                                   "taken off.")),
    ],
)  # fmt: skip
def test_how_slices_were_prepared(changes: dict[str, object], words: str) -> None:
    normalise = {**CONFIG["normalise"], **changes}
    answer = scans.preparation(configured(build_summary(), normalise=normalise))
    assert answer.level == "met"
    assert plain(answer.text).startswith(
        "Each slice was cut to the head and reduced to 64 × 64 pixels. Its greys were scaled by percentiles 1.0 "
        "to 99.5 "
        "of the head and by what training slices say."
    )
    assert words in plain(answer.text)


@pytest.mark.parametrize("normalise", [None, "<b>", {"low_percentile": True, "high_percentile": 99}, {}])
def test_preparation_without_settings_says_so(normalise: object) -> None:
    assert said(scans.preparation(configured(build_summary(), normalise=normalise))) == (
        "partly",
        "Each slice was reduced to 64 × 64 pixels. How else it was prepared was not recorded.",
    )


def test_patients_are_known_by_diagnosis_alone() -> None:
    sides = (
        "No tumour: learned from 440 slices of 50 subjects, tested on 402 slices of 51 subjects (fold 0). "
        "Tumour: learned "
        "from 449 slices of 53 subjects, tested on 431 slices of 56 subjects (fold 0)."
    )
    assert said(scans.events(build_summary())) == ("met", sides)
    assert said(scans.characteristics(build_summary())) == (
        "partly",
        f"{sides} Age, sex and clinical findings are not known.",
    )
    assert scans.characteristics(EMPTY).level == "unknown"
    assert said(scans.events(EMPTY)) == (
        "partly",
        "Tested on 833 slices of 56 subjects; the diagnoses were not counted apart.",
    )


# --- models, judging, results ---


@pytest.mark.parametrize(
    ("summary", "level", "words"),
    [
        (configured(build_summary()), "met",
         ("2 generators were trained, of up to 1,204,113 weights each, against a discriminator each. Their "
         "networks are of "
         "the family “lean” of this program. The classifier that judges is a small residual network, trained "
         "anew in each "
         "arm for 400 steps.")),
        (configured(painted_summary(folds=1)), "met", "2 painters were trained, of up to 1,204,113 weights each"),
        (configured(build_summary(training=(training([]),))), "met",
         "1 generator was trained, of up to 10 weights, against a discriminator."),
        (configured(painted_summary(folds=1, training=(training([]),))), "met", "1 painter was trained, of up to 10"),
        (configured(build_summary(), utility={"classifier": {"network": "<new>", "steps": 1}}), "met",
         "The classifier that judges is <new>, trained anew in each arm for 1 step."),
        (build_summary(), "partly", "The rest of their design was not recorded."),
        (configured(build_summary(training=())), "partly", "The classifier that judges is a small residual network"),
        (EMPTY, "unknown", "This run recorded no model."),
    ],
)  # fmt: skip
def test_models_are_described_as_far_as_they_were_recorded(summary: RunSummary, level: str, words: str) -> None:
    answer = study.models(summary)
    assert answer.level == level
    assert words in plain(answer.text)
    assert ("family" in answer.text) == (level == "met")


def test_software_and_seed() -> None:
    assert said(study.software(build_summary())) == ("met", "numpy 2.4.6, torch 2.13.0.")
    assert said(study.software(EMPTY)) == ("unknown", "No version of any software was recorded.")
    assert said(study.program(recorded(EMPTY, versions={"augment-mri": "0.1.0"}))) == (
        "partly",
        "Made by augment-mri 0.1.0; whether and where its code may be had, the run cannot tell.",
    )
    assert said(study.program(build_summary())) == ("unknown", "The version of the program was not recorded.")
    assert said(sets.same_again(build_summary())) == (
        "met",
        "Seed 20, program version not recorded, digests of source and configuration: from these it can be made again.",
    )


@pytest.mark.parametrize(("until", "copied"), [(None, False), (59_000, True), (118_000, False)])
def test_where_weights_began(until: int | None, copied: bool) -> None:
    record = build_summary().training[0].model_copy(update={"joint_until": until})
    answer = study.first_weights(build_summary(training=(record,)))
    assert answer.level == "met"
    assert "Random weights, drawn from the seed 20; nothing had been trained on other data before." in answer.text
    assert ("went on as a copy of one trained on both" in answer.text) == copied
    assert said(study.first_weights(EMPTY)) == ("unknown", "This run trained nothing.")


def test_how_long_everything_was_trained() -> None:
    assert said(study.course(configured(build_summary()))) == (
        "met",
        (
            "Each network that makes slices was shown 118,000 images. In each fold each arm was trained 3 times. "
            "Losses, rates "
            "and batches stand in the configuration."
        ),
    )
    two = (training([], images_seen=2000), training([], images_seen=5000))
    once = difference(n_seeds=1)
    assert "was shown 2,000 to 5,000 images. In each fold each arm was trained 1 time. Further" in plain(
        study.course(build_summary(training=two, difference=once)).text
    )
    assert study.course(build_summary(training=two)).level == "partly"
    assert said(study.course(configured(build_summary(arms=())))) == (
        "partly",
        "Each network that makes slices was shown 118,000 images. Further settings were not recorded in full.",
    )
    assert study.course(EMPTY).level == "unknown"


def test_nothing_is_chosen_on_test_slices() -> None:
    kept = study.selection(build_summary(training=(watched(),), ways=ways()))
    assert said(kept) == (
        "met",
        (
            "Of generators a moment was chosen by slices of the training part alone. Of classifiers the last step "
            "of a fixed "
            "number is used. How synthetic slices are used was chosen inside of the training part. Nothing was "
            "chosen on test "
            "slices."
        ),
    )
    last = plain(study.selection(build_summary(arms=())).text)
    assert last == "Networks that make slices are used as training left them. Nothing was chosen on test slices."
    assert study.selection(EMPTY).level == "unknown"


@pytest.mark.parametrize(
    ("calibrate", "words"),
    [
        (True, "Probabilities were calibrated on a part of the training slices kept aside for it."),
        (False, "Probabilities were not calibrated."),
        (None, "Whether probabilities were calibrated was not recorded."),
        ("yes", "Whether probabilities were calibrated was not recorded."),
    ],
)
def test_calibration_is_what_the_configuration_says(calibrate: object, words: str) -> None:
    summary = configured(full_summary(), utility={"calibrate": calibrate})  # its arms have a Brier score in any case
    assert said(study.balance(summary)) == (
        "met",
        f"Each batch held both diagnoses in equal parts, in every arm alike. {words}",
    )
    assert said(study.updating(summary)) == ("met", f"No model was changed after its test. {words}")
    assert said(study.balance(EMPTY)) == ("unknown", "This run trained no classifier.")
    assert said(study.updating(EMPTY)) == ("met", "No model was changed after its test.")


def test_measures_are_those_that_were_taken() -> None:
    assert said(study.measures(build_summary())) == (
        "met",
        (
            "What decides is the difference in balanced accuracy. Beside it stand: accuracy, AUC, sensitivity, "
            "specificity."
        ),
    )
    assert plain(study.measures(full_summary()).text).endswith(
        "specificity, sensitivity at a fixed specificity, predictive values, Brier score, calibration error."
    )
    assert study.measures(EMPTY).level == "partly"
    assert said(study.output(full_summary())) == (
        "met",
        (
            "A probability of tumour for each slice; from 0.5 on it is called one, fixed beforehand. Beside it, "
            "sensitivity is "
            "given at a specificity of 90 %."
        ),
    )
    assert "Beside" not in study.output(build_summary()).text
    assert "Beside" not in study.output(build_summary(statistics=statistics())).text
    assert study.output(EMPTY).level == "unknown"
    assert study.ensembles(build_summary()).text.startswith("No: each model was judged by itself")
    assert study.ensembles(EMPTY).level == "unknown"


def test_intervals_are_over_patients_or_groups() -> None:
    assert "resampling whole patients" in study.uncertainty(build_summary()).text
    assert "Further tests" not in study.uncertainty(build_summary()).text
    assert "resampling whole groups of copies" in study.uncertainty(build_summary(subjects_known=False)).text
    assert study.uncertainty(full_summary()).text.endswith("Further tests stand beside them and decide nothing.")


def test_other_ways_to_ask_and_controls() -> None:
    assert said(study.robustness(build_summary())) == (
        "partly",
        "Asked again with: repeated copies in place of synthetic slices. No control with nothing to find was trained.",
    )
    assert said(study.robustness(painted_summary(folds=1))) == (
        "met",
        (
            "Asked again with: repeated copies in place of synthetic slices; copy and paste of lesions; other "
            "amounts of "
            "synthetic slices; fewer patients; classifiers carried from synthetic to real slices; a locked test "
            "set. All "
            "controls came out null."
        ),
    )
    failed = plain(study.robustness(build_summary(controls=(permuted(0.71, passed=False),))).text)
    assert "1 of 2 controls did not come out null." in failed
    assert "All controls" not in failed
    unsure = plain(study.robustness(build_summary(controls=(permuted(passed=None),))).text)
    assert "1 of 2 controls could not tell." in unsure
    assert "All controls" not in unsure


def test_tests_of_the_same_source_and_of_another() -> None:
    assert said(study.internal_test(build_summary())) == (
        "met",
        "On 833 slices of 56 subjects of the same source, kept from all training of their fold.",
    )
    assert study.external_test(build_summary()).level == "not_met"
    assert said(study.external_test(full_summary())) == (
        "partly",
        (
            "One locked set, opened once: +2.3 points (+0.1 to +4.5); 40 subjects. Whether it is of another "
            "hospital is not "
            "known."
        ),
    )
    loss = full_summary(external=external(-0.06, -0.02))
    assert "-4.0 points (-6.0 to -2.0); 40 subjects" in plain(study.external_test(loss).text)
    assert study.other_setting(build_summary()).level == "met"
    assert study.other_setting(full_summary()).text.endswith("In what the locked test set differs is not known.")
    assert plain(study.sample_size(build_summary()).text).startswith(
        "Tested: 56 subjects. The smallest true difference"
    )


def test_where_the_classifier_looks_and_where_it_errs() -> None:
    assert study.looked_at(build_summary()).level == "not_met"
    assert study.looked_at(build_summary(occlusions=occlusions(0))).level == "unknown"
    assert said(study.looked_at(build_summary(occlusions=occlusions(1)))) == (
        "met",
        "Occlusion maps of 1 real test slice show where its classifiers look. They say where, not why.",
    )
    assert "8 real test slices show where the classifiers look." in plain(
        study.looked_at(build_summary(occlusions=occlusions(8))).text
    )
    assert study.failures(build_summary()).level == "not_met"
    assert said(study.failures(build_summary(wrong=wrong(20, 12, 3)))) == (
        "partly",
        "23 of 833 slices were called wrong with synthetic slices, 32 without. Why they were is for a reader to say.",
    )
    assert plain(study.failures(build_summary(wrong=wrong(0, 0, 1))).text).startswith(
        "1 of 833 slices was called wrong"
    )


def test_performance_has_its_interval_and_is_not_believed_where_a_control_failed() -> None:
    both = (
        "Balanced accuracy is 88.2 % (86.2 to 90.2) with synthetic slices and 86.1 % (84.1 to 88.1) without, 95 "
        "% intervals "
        "in brackets. The difference is +2.1 points (+0.4 to +3.8)."
    )
    assert said(study.performance(build_summary())) == ("met", both)
    assert said(study.subgroup_performance(build_summary())) == (
        "partly",
        f"{both} For groups of patients, by age or sex, it is not known.",
    )
    worse = build_summary(difference=difference(-0.031, -0.05, -0.012), verdict="harm")
    assert "The difference is -3.1 points (-5.0 to -1.2)." in plain(study.performance(worse).text)
    assert study.performance(build_summary(arms=(arm("real+classic"),))).level == "partly"
    assert said(study.diagnostic_performance(build_summary())) == (
        "met",
        (
            "With synthetic slices: sensitivity 87.9 % (85.9 to 89.9), specificity 88.5 % (86.5 to 90.5). Without: "
            "sensitivity "
            "85.1 % (83.1 to 87.1), specificity 87.1 % (85.1 to 89.1)."
        ),
    )
    assert study.diagnostic_performance(build_summary(arms=(arm("real+classic"),))).level == "unknown"
    failed = build_summary(controls=(permuted(0.71, passed=False),))
    for answer in (study.performance(failed), study.diagnostic_performance(failed), effect(failed)):
        assert answer.text.endswith("A control failed, so this is not to be believed.")


def test_what_it_means_is_the_advice_of_the_verdict_and_left_to_a_person() -> None:
    gain = study.meaning(build_summary())
    assert gain.level == "partly"
    assert gain.text.startswith("On this data the synthetic set is worth adding to training.")
    assert gain.text.endswith("What it means for a clinic is for a person to say.")
    harm = build_summary(verdict="harm", difference=difference(-0.031, -0.05, -0.012))
    assert study.meaning(harm).text.startswith("Do not add this synthetic set to training.")
    carried = study.meaning(build_summary(transfer=(transfer(0, 0.21, shortcuts=True),)))
    assert "The set carries shortcuts of what made it." in carried.text
    assert "shortcuts" not in study.meaning(build_summary(transfer=(transfer(),))).text
    assert study.summary_of_study(harm).text.startswith("Adding synthetic slices did harm")
    assert study.aim(build_summary()).text.endswith("Up to ±2.0 percentage points count as no difference.")
    assert re.fullmatch(r"\d+ limits of this run are named\.", plain(study.known_limits(build_summary()).text))


def test_settings_that_were_not_recorded_cannot_make_it_again() -> None:
    assert study.protocol(build_summary()).level == study.made_again(build_summary()).level == "partly"
    for answer in (study.protocol(EMPTY), study.made_again(EMPTY)):
        assert said(answer) == ("unknown", "No configuration was recorded.")


# --- the seven Cs ---


def likely(precision: float, real: float = 0.8, n: int = 300, diagnosis: str = "tumour", fold: int = 0) -> object:
    return fidelity(
        n=n,
        fold=fold,
        diagnosis=diagnosis,
        synthetic=set_scores(precision=precision),
        held_out_real=set_scores(precision=real, kid=0.0041),
    )


@pytest.mark.parametrize(
    ("precision", "n", "level"),
    [(0.80, 300, "met"), (0.65, 50, "met"), (0.80, 49, "partly"), (0.63, 300, "partly"), (0.40, 300, "partly"),
     (0.39, 300, "not_met"), (0.0, 49, "not_met")],
)  # fmt: skip
def test_congruence_is_precision_over_that_of_held_out_real_slices(precision: float, n: int, level: str) -> None:
    summary = build_summary(fidelity=(likely(0.8, n=n), likely(precision, n=n, diagnosis="no_tumour", fold=1)))
    answer = congruence(summary)
    assert answer.level == level
    assert ("So few slices prove little." in answer.text) == (n < 50)
    if precision < 0.8:
        assert plain(answer.text).startswith(
            f"Weakest, no-tumour slices, fold 1: {100 * precision:.0f} % look like a training slice, held-out "
            f"real ones 80 "
            "%; kernel distance and its standard error 0.0123 ± 0.000800, held-out real ones 0.00410 ± 0.000800; "
            f"n = {n} each."
        )


def test_shortcuts_take_congruence_down_and_nothing_measured_leaves_it_unknown() -> None:
    carried = {"transfer": (transfer(0, 0.21, shortcuts=True),)}
    assert congruence(build_summary(**carried)).level == "partly"
    assert "carries its generator’s shortcuts in 1 of 1" in plain(congruence(build_summary(**carried)).text).replace(
        "'", "’"
    )
    assert congruence(build_summary(transfer=(transfer(),))).level == "met"
    assert congruence(build_summary(fidelity=(likely(0.1),), **carried)).level == "not_met"
    for nothing in ((), (likely(0.8, real=0.0),)):
        assert said(congruence(build_summary(fidelity=nothing))) == (
            "unknown",
            "Likeness to held-out real slices was not measured.",
        )
        answer = congruence(build_summary(fidelity=nothing, **carried))
        assert (answer.level, answer.anchor) == ("not_met", "transfer")


def test_coverage_follows_the_light_of_diversity() -> None:
    assert coverage(build_summary(fidelity=(fidelity(0.6, 0.4),))).level == "met"
    assert coverage(build_summary(fidelity=(fidelity(0.4, 0.3),))).level == "partly"
    assert coverage(build_summary(fidelity=(fidelity(0.1, 0.3),))).level == "not_met"
    assert coverage(build_summary(fidelity=(fidelity(collapse=LOST),))).level == "not_met"
    assert coverage(EMPTY).level == "unknown"


@pytest.mark.parametrize(("n_broken", "level"), [(0, "partly"), (40, "partly"), (41, "not_met")])
def test_constraint_is_the_share_of_broken_images_and_never_wholly_met(n_broken: int, level: str) -> None:
    summary = build_summary(
        memorisation=(memorisation(n_broken=n_broken), memorisation(n_broken=0, diagnosis="tumour"))
    )
    answer = constraint(summary)
    assert answer.level == level
    assert plain(answer.text).startswith(
        f"Refused as broken, by greys and contrast: {n_broken} of 800 slices, at worst "
    )
    assert answer.text.endswith("Whether anatomy and lesions are right, nobody judged.")
    assert constraint(build_summary(**NOTHING_NEW)).level == "unknown"
    asked = plain(constraint(summary.model_copy(update={"reader_study": reader()})).text)
    assert (
        "1 reader, blind, told 40 slices rightly as real or synthetic in 55.0 % (47.0 to 63.0); 50 % is guessing."
        in asked
    )


def test_completeness_wants_slices_of_both_diagnoses() -> None:
    assert said(completeness(build_summary())) == (
        "partly",
        (
            "Each slice has its diagnosis. Its files state no pixel size, no plane and no sequence, and nothing of "
            "age or sex."
        ),
    )
    assert "Each painted slice has the mask of its lesion." in completeness(painted_summary(folds=1)).text
    one = build_summary(memorisation=(memorisation(n_kept=0), memorisation(diagnosis="tumour")))
    assert completeness(one).level == "not_met"
    assert completeness(one).text.startswith("Of these none passed the screen: no-tumour slices.")
    assert completeness(EMPTY).level == "unknown"


@pytest.mark.parametrize(
    ("scores", "level"),
    [
        (memorisation(4), "partly"),
        (memorisation(30), "not_met"),
        (memorisation(200), "not_met"),
        (traced((0.9, 0.05)), "not_met"),
        (painted_copies(), "not_met"),
        (painted_copies(contains_patient_anatomy=False), "partly"),
    ],
)
def test_compliance_is_met_in_part_only_where_nothing_speaks_of_copies(scores: object, level: str) -> None:
    answer = compliance(build_summary(memorisation=(scores,)))
    assert answer.level == level
    assert answer.text.endswith("Consent, licence, ethics and data protection law, the run cannot judge.")
    assert compliance(EMPTY).level == "unknown"


def test_comprehension_is_what_was_recorded() -> None:
    assert said(comprehension(build_summary())) == (
        "met",
        (
            "Recorded here: configuration, software versions, digests of source and configuration, course of each "
            "training. "
            "Whether readers understand it was not asked."
        ),
    )
    part = comprehension(recorded(build_summary(training=(training([]),)), versions={}))
    assert part.level == "partly"
    assert "Not recorded: software versions, course of each training." in part.text
    assert comprehension(EMPTY).level == "not_met"
    assert comprehension(EMPTY).text.startswith("Nothing was recorded of: configuration, software versions,")


@pytest.mark.parametrize(("reached", "level"), [(0.6, "partly"), (0.3, "partly"), (0.29, "not_met"), (0.0, "not_met")])
def test_consistency_is_the_weakest_over_the_strongest(reached: float, level: str) -> None:
    two = (fidelity(0.6, 0.4), fidelity(reached, 0.4, diagnosis="no_tumour", fold=1))
    answer = consistency(build_summary(fidelity=two))
    assert answer.level == level
    assert answer.text.endswith("By age, sex, scanner or over time it is not known.")
    if reached < 0.6:
        assert plain(answer.text).startswith(
            f"Of what held-out real slices reach, no-tumour slices (fold 1) reach {100 * reached / 0.6:.0f} % "
            f"and tumour "
            "slices (fold 0) 100 %, in 2 sets."
        )


@pytest.mark.parametrize("found", [(), (fidelity(),), (fidelity(0.0, 0.0), fidelity(0.0, 0.0, fold=1))])
def test_consistency_needs_two_sets(found: tuple[object, ...]) -> None:
    assert consistency(build_summary(fidelity=found)).level == "unknown"


def test_of_painted_slices_heads_tell_nothing() -> None:
    painted = painted_summary(folds=2)
    for ask in (congruence, coverage, consistency):
        answer = ask(painted)
        assert answer.level == "unknown", ask
        assert "those of painted slices are their sources" in answer.text
    carried = painted.model_copy(update={"transfer": (transfer(0, 0.21, shortcuts=True),)})
    assert congruence(carried).level == "not_met"
    assert compliance(painted).level == "not_met"


def test_the_rules_name_their_limits() -> None:
    text = plain(" ".join(rules()))
    for limit in (
        "met from 0.8, in part from 0.5",
        "fewer than 50 slices",
        "more than 10 % of one",
        "not met below 0.5",
    ):
        assert limit in text
    assert seven_cs(EMPTY).rules == rules()
    assert seven_cs(painted_summary(folds=1)).rules == rules(painted=True)
    assert "painted" not in text
    assert "Of painted slices likeness, coverage and consistency are not known" in rules(painted=True)[-1]


# --- the synthetic set ---


def test_a_record_is_a_slice_made_whole_or_painted() -> None:
    assert said(sets.one_piece(build_summary())) == (
        "met",
        (
            "One slice of a head, 64 × 64 pixels, in greys without a unit. It was generated as a whole, together "
            "with nothing "
            "else of the scan."
        ),
    )
    painted = plain(sets.one_piece(painted_summary(folds=1)).text)
    assert "another slice in which one region was painted; beside it stands a mask of its lesion." in painted
    assert "the slice it was painted on and the seed stand beside it" in sets.comes_with(painted_summary(folds=1)).text
    assert "mask" not in sets.comes_with(build_summary()).text


def test_slices_are_counted_by_fold_and_diagnosis() -> None:
    assert said(sets.counts(build_summary(folds=2))) == (
        "met",
        (
            "In all 1,584 slices passed the screen. Fold 0: 396 tumour slices, 396 no-tumour slices. Fold 1: 396 "
            "tumour slices, "
            "396 no-tumour slices."
        ),
    )
    assert sets.counts(build_summary(**NOTHING_NEW)).level == "unknown"
    assert said(sets.screen(build_summary())) == (
        "met",
        (
            "Of 800 slices, 6 were refused as near-copies of a patient and 2 as broken; 792 were kept. Nobody "
            "looked through "
            "what was kept."
        ),
    )
    assert sets.screen(EMPTY).level == "unknown"


def test_whether_its_diagnoses_hold() -> None:
    assert sets.diagnoses_hold(build_summary()).level == "unknown"
    assert said(sets.diagnoses_hold(painted_summary(folds=1))) == (
        "partly",
        (
            "A classifier of real slices names it with 85.3 % balanced accuracy; 50 % is guessing. No reader was "
            "asked whether "
            "each slice shows its diagnosis."
        ),
    )
    seen = (
        "Readers saw the diagnosis in 80.0 % (75.0 to 85.0) of synthetic slices and in 90.0 % (85.0 to 95.0) "
        "of real ones."
    )
    assert said(sets.diagnoses_hold(build_summary(reader_study=reader()))) == ("met", seen)
    both = sets.diagnoses_hold(painted_summary(folds=1, reader_study=reader()))
    assert said(both)[1].startswith(f"{seen} A classifier of real slices")


def test_whether_it_shows_patients() -> None:
    by_design = sets.shows_patients(painted_summary(folds=1))
    assert by_design.level == "met"
    assert plain(by_design.text).startswith("Each painted slice is a real patient's slice but for the painted region")
    assert by_design.text.endswith("Treat the set as patient data.")
    whole = sets.shows_patients(build_summary())
    assert whole.level == "partly"
    assert whole.text.startswith("Not by design: slices were generated as a whole.")
    assert whole.text.endswith("This does not prove that no patient can be recognised.")
    dreamt = painted_summary(folds=1, memorisation=(painted_copies(contains_patient_anatomy=False),))
    assert sets.shows_patients(dreamt).text.startswith("Not by design: painted slices stand on generated heads.")
    assert said(sets.shows_patients(EMPTY)) == ("unknown", "Copies of patients were not looked for.")


def test_variety_and_shortcuts_as_the_page_says_them() -> None:
    assert sets.variety(build_summary()).text.startswith("Less varied. Weakest, tumour slices:")
    assert sets.variety(build_summary(fidelity=(fidelity(collapse=LOST),))).text.startswith(
        "Collapsed. The generator of"
    )
    assert sets.variety(painted_summary(folds=1)).level == "unknown"
    assert said(sets.shortcuts(build_summary()))[0] == "unknown"
    assert sets.shortcuts(BROKEN).text.startswith("The synthetic set carries its generator")
    assert sets.shortcuts(painted_summary(folds=1)).text.startswith("No shortcut of the synthetic set was found.")


def test_folds_are_not_to_be_mixed_where_there_are_several() -> None:
    assert "learned from slices that are tested on in other folds" in sets.parts(build_summary(folds=2)).text
    assert "and from no test slice" in sets.parts(build_summary()).text


@pytest.mark.parametrize(
    ("strategy", "level", "words"),
    [
        ("per_class", "met", "By a generative adversarial network for each diagnosis."),
        ("joint", "met", "By one generative adversarial network, told which diagnosis to make."),
        (
            "finetune",
            "met",
            "By one generative adversarial network for both diagnoses, a copy trained on for each of them.",
        ),
        ("paint", "met", "By painters, which lay lesions into slices and healthy tissue over lesions; the rest stays."),
        (
            "dream_and_paint",
            "met",
            (
                "By a generative adversarial network of slices without a tumour, and by painters, which lay lesions "
                "into some of its slices and healthy tissue into others."
            ),
        ),
        ("other", "partly", "By generative adversarial networks; how they hang together was not recorded."),
    ],
)
def test_how_it_was_made(strategy: str, level: str, words: str) -> None:
    summary = configured(build_summary(), synthesis={"strategy": strategy})
    assert said(sets.method(summary)) == (level, words)


def test_painted_sets_say_where_lesions_were_known_from() -> None:
    found = painted_summary(folds=1, lesions=(lesions(0, "found", n_usable=160),))
    assert "Nobody checked these outlines" in sets.method(found).text
    assert "the rest stays. Where lesions lie was known from masks" in plain(sets.method(painted_summary(folds=1)).text)


def test_what_it_learned_from() -> None:
    assert said(sets.learned_from(build_summary())) == (
        "met",
        (
            "Networks that make tumour slices learned from 440 slices of up to 53 subjects. Networks that make "
            "no-tumour slices learned from 440 slices of up to 53 subjects. All of these are real slices of the "
            "training part."
        ),
    )
    two = (training([], n_slices=400, n_subjects=30), training([], n_slices=440, n_subjects=33, fold=1))
    assert plain(sets.learned_from(build_summary(training=two)).text) == (
        "Networks that make tumour slices learned from 400 to 440 slices of up to 33 subjects. "
        "All of these are real slices of the training part of their fold."
    )
    beside = tuple(record.model_copy(update={"fold": 0}) for record in two)  # a generator and a painter of one fold
    assert plain(sets.learned_from(build_summary(training=beside)).text) == (
        "Networks that make tumour slices learned from 400 to 440 slices of up to 33 subjects. "
        "All of these are real slices of the training part."
    )
    assert sets.learned_from(EMPTY).level == "unknown"


def test_recommended_uses_follow_the_verdict() -> None:
    assert sets.uses(build_summary()).text.startswith("On this data the synthetic set is worth adding to training.")
    assert sets.uses(build_summary(verdict="harm")).text.startswith("Do not add this synthetic set to training.")
    assert "Recommended: painted slices." in sets.uses(painted_summary(folds=1)).text
    failed = sets.uses(painted_summary(folds=1, controls=(permuted(0.71, passed=False),)))
    assert failed.text == "For nothing: a control of this study failed, so nothing in it speaks for any use."


@pytest.mark.parametrize(
    ("changes", "words", "absent"),
    [
        ({"verdict": "gain"}, "", "beside real slices"),
        ({"verdict": "harm"}, "Not for training beside real slices: it did harm.", ""),
        ({"verdict": "equivalent"}, "Not to make a classifier better: it made no difference.", "harm"),
        ({"verdict": "insufficient_evidence"}, "Not for training beside real slices: that it helps is not shown.", ""),
        ({"controls": (permuted(0.71, passed=False),)}, "Not for training, for it is not known whether it helps.", ""),
        ({"transfer": (transfer(0, 0.21, shortcuts=True),)}, ("Not in place of real slices. The set carries "
                                                             "its"), "alone, b"),
        ({}, ("Not in place of real slices: learned from alone, balanced accuracy is 67.8 % (65.8 to 69.8), from "
             "real ones "
             "82.4 % (80.4 to 84.4)."), "unless"),
        ({"arms": (arm("real"), arm("synthetic_only"))}, "Not in place of real slices unless tested further:", ""),
        ({"arms": ()}, "Not in place of real slices: that was not tested.", ""),
        ({"fidelity": (fidelity(0.6, 0.4),)}, "", "heads must be there"),
        ({"fidelity": (fidelity(0.4, 0.3),)}, "Not where all kinds of heads must be there: some may be missing.", ""),
        ({"fidelity": (fidelity(collapse=LOST),)}, "much of the variety of real slices is missing.", ""),
        ({"fidelity": ()}, "Not where variety matters: how varied it is was not shown.", ""),
        ({"memorisation": (memorisation(4),)}, "", "passed on"),
        ({"memorisation": (memorisation(30),)}, ("Not to be passed on before its likeness to patients was looked "
                                                "into."), ""),
        ({"memorisation": (memorisation(200),)}, "Not to be passed on: it copies its patients.", ""),
        ({"memorisation": ()}, "Not to be passed on: copies of patients were not looked for.", ""),
        ({"memorisation": (painted_copies(),)}, "Not where the scans themselves may not go: it holds the anatomy", ""),
    ],
)  # fmt: skip
def test_unsuited_uses_follow_what_was_found(changes: dict[str, object], words: str, absent: str) -> None:
    text = plain(sets.unsuited(build_summary(**changes)).text)
    assert text.startswith("Never to test or compare classifiers, and never for decisions about any person.")
    assert words in text
    if absent:
        assert absent not in text


def test_marks_and_uses_so_far() -> None:
    assert "A notice in its folder says" in sets.marked(painted_summary(folds=1)).text
    assert "notice" not in sets.marked(build_summary()).text
    assert sets.marked(build_summary()).text.endswith("Whether a reader can tell it from real slices was not asked.")
    assert sets.marked(build_summary(reader_study=reader())).level == "met"
    assert plain(sets.used_already(build_summary()).text).startswith(
        "In 2 arms of this run classifiers learned from it."
    )
    one = sets.used_already(build_summary(arms=(arm("synthetic_only"),)))
    assert plain(one.text).startswith("In 1 arm of this run a classifier learned from it.")
    assert sets.used_already(EMPTY).level == "unknown"


# --- the model card ---


def test_measures_and_references_of_the_card() -> None:
    assert plain(metrics(full_summary()).text) == (
        "By likeness and variety, in a feature space that was not trained for it; copies of patients; what the "
        "discriminator can tell; what they change in a classifier."
    )
    assert metrics(painted_summary(folds=1)).text == (
        "By copies of patients; shortcuts, by classifiers carried to real slices; what they change in a classifier."
    )
    assert metrics(EMPTY).text == "By what they change in a classifier."
    assert "training, 300 slices in each comparison." in plain(compared_with(build_summary()).text)
    two = build_summary(fidelity=(fidelity(), fidelity(n=280, fold=1)))
    assert "training, 280 to 300 slices in a comparison." in plain(compared_with(two).text)
    assert compared_with(EMPTY).level == "unknown"
    assert groups(build_summary()).text.startswith("By diagnosis and fold: tumour slices, no-tumour slices.")
    assert groups(EMPTY).level == "unknown"


def test_luck_of_training_shows_between_folds_alone() -> None:
    assert certainty(build_summary()).text.endswith("Each network was trained once, so how much was luck is not known.")
    assert certainty(build_summary(folds=2)).text.endswith("so its luck shows between folds alone.")
    assert plain(certainty(build_summary()).text).startswith("Limits of variety come from 200 draws of real slices;")
    assert certainty(painted_summary(folds=1)).text.startswith("Each network")
    assert certainty(EMPTY).level == "partly"


def test_results_of_the_card() -> None:
    found = plain(likeness(build_summary(folds=2)).text)
    assert found.startswith(
        "Tumour slices, fold 0 (least coverage), held-out real in brackets: precision 80 % (80 %), recall 53 % (68 %), "
        "coverage 42 % (40 %), density 0.90 (0.90), kernel distance 0.0123 ± 0.000800 (0.00410 "
        "± 0.000800); n = 300 each. No-tumour slices, fold 0 (least"
    )
    assert likeness(painted_summary(folds=1)).level == likeness(EMPTY).level == "unknown"
    assert copying(build_summary()).text.startswith("No sign of copying. ")
    assert copying(painted_summary(folds=1)).text.startswith("Holds patient anatomy. ")
    assert copying(EMPTY).level == "unknown"
    assert said(effect(build_summary())) == (
        "met",
        "Balanced accuracy of a classifier changed by +2.1 points (+0.4 to +3.8), tested on 833 slices of 56 subjects.",
    )


def test_alarms_of_the_watch_are_counted() -> None:
    assert watch(build_summary()).text == "No watch looked on while they were trained."
    assert watch(EMPTY).level == "unknown"
    ill = with_alarms(of_diagnosis(0, "tumour")[2], stopped=True, best_wrong=2)
    text = plain(watch(build_summary(training=(ill,))).text)
    assert re.match(
        r"The collapse watch raised 2 alarms\. It watched 1 training and looked at it \d+ times in all\. "
        "Do not trust the generator of",
        text,
    )
    well = plain(watch(build_summary(training=(watched(),))).text)
    assert "Do not trust" not in well


# --- the page ---


def checklists_of(html: str) -> str:
    start = html.index('<section id="checklists">')
    return html[start : html.index("</section>", start)]


def text_of(html: str) -> str:
    return plain(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)))


NO_FIGURES = {"pictures": (), "fidelity": (), "training": (), "dose": (), "learning": ()}  # quicker


@pytest.mark.parametrize("summary", [build_summary(**NO_FIGURES), painted_summary(folds=1, **NO_FIGURES), EMPTY])
def test_the_page_shows_every_item_closed_and_leads_only_to_what_is_there(tmp_path: Path, summary: RunSummary) -> None:
    html = render(summary=summary, run_root=tmp_path)
    shown = checklists_of(html)
    text = text_of(shown)
    assert "filled by the program from its own numbers; a person must complete and sign them" in text
    assert html.count('href="#checklists"') == 1
    assert shown.count("<details") == shown.count('<details class="list"') == 5
    assert " open" not in re.sub(r">[^<]*<", "><", shown)
    ids = set(re.findall(r' id="([^"]+)"', html))
    assert {"checklists", "datasheet", "model-card"} <= ids
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids
    for filled in checklists(summary):
        assert filled.tally in text
        for item in filled.items:
            assert text_of(item.asks) in text
            assert item.beyond_a_run or text_of(item.answer) in text
    assert cannot_tell() not in text  # such items stand in a list of their own, under a heading that says so


def test_every_answer_of_the_pool_leads_to_a_section_of_its_page(tmp_path: Path) -> None:
    study_of = full_summary(**NO_FIGURES, transfer=(transfer(),), occlusions=occlusions(1), wrong=wrong(20, 4, 3))
    ids = set(re.findall(r' id="([^"]+)"', render(summary=study_of, run_root=tmp_path)))
    used = {item.anchor for filled in checklists(study_of) for item in filled.items if item.anchor}
    assert used <= ids
    assert used > {"looks", "wrong", "transfer", "limits"}
    asked = study_of.model_copy(update={"reader_study": reader()})  # and no slices were drawn for readers
    assert {item.anchor for filled in checklists(asked) for item in filled.items if item.anchor} <= ids


def test_hostile_settings_are_shown_as_text(tmp_path: Path) -> None:
    bad = "<script>alert(1)</script>\u202e" + "x" * 3000
    changes = {"gan": {"network": {"family": bad}}, "utility": {"classifier": {"network": bad, "steps": 5}}}
    summary = configured(build_summary(pictures=()), **changes)
    shown = checklists_of(render(summary=summary, run_root=tmp_path))
    assert "<script" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_lists_stand_open_in_print() -> None:
    style = (Path(__file__).parents[1] / "reports" / "templates" / "style.css").read_text()
    opened = r"@media print \{[^@]*details::details-content \{ content-visibility: visible; block-size: auto; \}"
    assert re.search(opened, style)
