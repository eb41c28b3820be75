"""The reader study: what its page says to a reader, and what readers could tell."""

from math import ceil

from data_contracts.results import Estimate, ReaderScores, ReaderSlices, ReaderStudy
from reports.language import _, plural
from reports.numbers import decimal, percent, percent_interval, slices, units, whole

GUESSING = 0.5  # half of the slices are synthetic
SLICES_A_MINUTE = 4


# --- to who reads ---


def invitation(shown: ReaderSlices) -> str:
    """What is asked, of how many slices, and how long it takes."""
    n = len(shown.names)
    minutes = plural("{n} minute", "{n} minutes", ceil(n / SLICES_A_MINUTE))
    return _(
        "{slices} of this run are shown one at a time, in random order: half of them real and held out from all "
        "training, half synthetic. Say of each whether it is real or synthetic, whether it shows a tumour, and how "
        "sure you are. It takes about {minutes}. Nothing is sent anywhere: at the end you save a small file."
    ).format(slices=slices(n), minutes=minutes)


def blindness(*, painted: bool) -> str:
    """How the answers stay blind; of painted slices, what synthetic means."""
    said = _(
        "Answer before you look at the other pictures of this page; while you answer, the rest of it is hidden. There "
        "is no way back to a slice that you have confirmed."
    )
    means = _(
        "Synthetic slices of this run are real ones into which a lesion was painted, or out of which one was: call a "
        "slice synthetic if you think that any part of it is."
    )
    return f"{said} {means}" if painted else said


def page_texts() -> dict[str, str]:
    """Texts that the script of the page fills with numbers: {i} of {n} slices."""
    return {
        "progress": _("Slice {i} of {n}"),
        "picture": _("Slice {i} of {n}, enlarged"),
        "answered": _("{i} of {n} slices are answered. You can go on where you stopped."),
        "finished": _("All {n} slices are answered. What is left is to save your answers."),
        "begin": _("Begin"),
        "other": _("Begin anew, as another reader"),
        "forget": _("Begin anew? What is kept in this browser ({i} of {n} answers) is then lost."),
        "unsaved": _("Begin anew? The answers are lost unless you have saved their file."),
    }


# --- what readers could tell ---


def reader_name(scores: ReaderScores, number: int) -> str:
    """What the reader gave as a name, else a number; number: place in the order of the files, from 1."""
    return scores.reader or _("Reader {n}").format(n=whole(number))


def readers_level(study: ReaderStudy) -> str:
    """`caution` where readers told the slices apart, either way round, else `unknown`: not telling them is no proof."""
    accuracy = study.together.accuracy
    return "unknown" if accuracy.low <= GUESSING <= accuracy.high else "caution"


def origin_reading(study: ReaderStudy) -> str:
    """Could these readers tell synthetic slices from real ones? What follows, and what does not."""
    accuracy = study.together.accuracy
    found = plural(
        "{n} reader told real from synthetic right in {share} of {slices}; guessing gives 50 %.",
        "{n} readers told real from synthetic right in {share} of {slices}, on average; guessing gives 50 %.",
        len(study.readers),
    ).format(share=percent_interval(accuracy), slices=slices(_n_slices(study)))
    if accuracy.low > GUESSING:
        follows = _(
            "So they could tell them apart better than by chance: something in the synthetic slices gives them away "
            "to the eye."
        )
    elif accuracy.high < GUESSING:
        follows = _(
            "So they were wrong more often than by chance: they saw a difference and took it the wrong way round, "
            "which is no sign that the slices look real."
        )
    else:
        follows = _("So synthetic and real slices were not told apart better than chance by these readers.")
    return f"{found} {follows}"


def missed_reading(study: ReaderStudy) -> str:
    """The smallest accuracy that this study would have found; empty where readers did tell."""
    if readers_level(study) != "unknown":
        return ""
    if study.detectable_accuracy is None:
        return _("With so few answers no accuracy at all could have been shown: how real they look stays unknown.")
    return _(
        "With {slices} a true accuracy below {accuracy} would have been missed in more than one study of five. "
        "Readers with more experience, or who see whole scans, may tell more."
    ).format(slices=slices(_n_slices(study)), accuracy=percent(study.detectable_accuracy, 0))


def single_readers(study: ReaderStudy) -> str:
    """Readers who did better than guessing though all together did not; empty where there is none, or one reader."""
    better = sum(one.accuracy.low > GUESSING for one in study.readers)
    if len(study.readers) == 1 or readers_level(study) != "unknown" or not better:
        return ""
    return plural(
        "{n} of {m} readers alone did better than guessing, by the whole interval; of many readers one may by luck.",
        "{n} of {m} readers alone did better than guessing, by the whole interval; of many readers one may by luck.",
        better,
    ).format(m=whole(len(study.readers)))


def diagnosis_reading(study: ReaderStudy) -> str:
    """Is the diagnosis seen in synthetic slices as it is in real ones?"""
    real, synthetic = study.together.diagnosis_real, study.together.diagnosis_synthetic
    found = _(
        "The diagnosis was told right in {real} of real slices, and in {synthetic} of synthetic ones, held against "
        "what these were made to show."
    ).format(real=percent_interval(real), synthetic=percent_interval(synthetic))
    if synthetic.high < real.low:
        follows = _("So synthetic slices show their diagnosis less clearly than real ones do.")
    elif synthetic.low > real.high:
        follows = _("So synthetic slices show their diagnosis more clearly than real ones do: they may be too easy.")
    else:
        follows = _("The two intervals overlap, so no difference is shown, and none is ruled out.")
    return f"{found} {follows}"


def agreement_reading(study: ReaderStudy) -> str:
    """How far readers agree beyond chance, on either question."""
    if len(study.readers) == 1:
        return _("With one reader nothing is known of how far readers agree.")
    kappa = _("Cohen’s kappa") if len(study.readers) == 2 else _("Fleiss’ kappa")
    undefined = _("not defined, for all gave one and the same answer to every slice")
    values = (_kappa(value) or undefined for value in (study.agreement_origin, study.agreement_diagnosis))
    return _(
        "Agreement between readers ({kappa}, 0 is chance, 1 is whole), of real or synthetic: {origin}; of the "
        "diagnosis: {diagnosis}."
    ).format(kappa=kappa, **dict(zip(("origin", "diagnosis"), values, strict=True)))


def _kappa(value: Estimate | None) -> str:
    if value is None:
        return ""
    return _("{value} (95 % interval {low} to {high})").format(
        value=decimal(value.estimate, 2), low=decimal(value.low, 2), high=decimal(value.high, 2)
    )


def basis(study: ReaderStudy, *, known: bool, painted: bool) -> str:
    """Which slices, of how many patients, and what the intervals are of."""
    real = _("{slices} of {units}").format(slices=slices(study.n_real), units=units(study.n_real_groups, known=known))
    synthetic = (
        _("{slices} painted over those of {units}").format(
            slices=slices(study.n_synthetic), units=units(study.n_synthetic_groups, known=known)
        )
        if painted
        else slices(study.n_synthetic)
    )
    said = _("Real: {real}, held out for testing. Synthetic: {synthetic}. None was picked.").format(
        real=real, synthetic=synthetic
    )
    one_each = (study.n_real_groups, study.n_synthetic_groups) == (study.n_real, study.n_synthetic)
    if not one_each:
        how = _(
            "Intervals of shares are Wilson’s, at the effective number of answers: slices of one patient rise and "
            "fall together, and so do all answers to one slice."
        )
    elif len(study.readers) > 1:
        how = _(
            "Intervals of shares are Wilson’s, of the mean at the effective number of answers: those to one slice rise "
            "and fall together."
        )
    else:
        how = _("Intervals of shares are Wilson’s; each slice stands by itself.")
    return _(
        "{told} {how} That of an AUC is Newcombe’s, those of the mean AUC and of kappa are by bootstrap. All are over "
        "slices and speak of these readers alone."
    ).format(told=said, how=how)


def _n_slices(study: ReaderStudy) -> int:
    return study.n_real + study.n_synthetic
