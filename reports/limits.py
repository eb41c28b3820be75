"""What a run cannot show, said in its own numbers."""

from data_contracts.results import DataFlow, RunSummary
from reports.numbers import count, units
from reports.wording.names import is_painted, maker
from reports.wording.transfer import transfer_limit
from reports.wording.verdict import smallest_difference


def limits(summary: RunSummary) -> tuple[str, ...]:
    """The limits of this run, a sentence or two each; never empty, for some hold of every run."""
    data, difference, painted = summary.data, summary.difference, is_painted(summary)
    tested = units(difference.n_subjects, known=data.subjects_known)
    size = f"{data.image_size} × {data.image_size} pixels"
    found = (
        _folds(data),
        _runs(difference.n_seeds),
        _generators(data, painted=painted),
        _heads(painted=painted),
        transfer_limit(summary.transfer),
        _subjects(data),
        f"The test rests on {tested}. {smallest_difference(difference)}",
        f"Slices were reduced to {size}: small lesions and fine texture are lost.",
        "Each slice was judged alone, not as part of its scan.",
        _source(summary),
        _labels(data),
        "For research only: not a medical device, not for the diagnosis of any person.",
    )
    return tuple(text for text in found if text)


def _source(summary: RunSummary) -> str:
    if summary.external is None:
        return "Training and test scans come from the same source: how the set does at another hospital is not known."
    return (
        "Training and test scans come from the same source, the external test apart: it is one set, and how the "
        "synthetic slices do elsewhere is not known."
    )


def _labels(data: DataFlow) -> str:
    told = {"folder": "folder names", "manifest": "a table", "participants": "participants.tsv", "dicom": "headers"}
    places = [name for rule, name in told.items() if rule in data.label_rules]
    return f"The diagnosis was taken from {' and '.join(places)} and was not checked." if places else ""


def _folds(data: DataFlow) -> str:
    if data.folds_evaluated * data.repeats == 1:
        drawn = f" of {data.folds_drawn} drawn" if data.folds_drawn > 1 else ""
        return f"Only one fold{drawn} was evaluated: another division into training and test may give another result."
    if data.folds_evaluated < data.folds_drawn:
        return f"{data.folds_evaluated} of {data.folds_drawn} folds were evaluated: not every subject was tested on."
    return ""


def _runs(n_seeds: int) -> str:
    if n_seeds >= 5:  # from five runs on, chance in training classifiers is small beside chance in who was tested
        return ""
    return (
        f"Each arm was trained {count(n_seeds, 'time', 'times')}: chance in training its classifier is only roughly "
        "averaged out."
    )


def _heads(*, painted: bool) -> str:
    if not painted:
        return ""
    return "Painted slices show no new heads: what is new is lesions, and tissue where lesions were taken away."


def _generators(data: DataFlow, *, painted: bool) -> str:
    """Runs of an arm share one generator a fold, so no number of them says what another would have made."""
    shows = "shows only between folds" if data.folds_evaluated * data.repeats > 1 else "cannot be told from their merit"
    return (
        f"{maker(painted=painted).capitalize()}s were trained once a fold: their luck {shows}, and training the "
        "classifiers more often does not average it out."
    )


def _subjects(data: DataFlow) -> str:
    if data.subjects_known:
        return ""
    return (
        "The source does not name its subjects. Each group of duplicate images stands in for a subject; two different "
        "images of one person may still stand on both sides of the split, which flatters every arm."
    )
