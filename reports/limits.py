"""What a run cannot show, said in its own numbers."""

from data_contracts.results import DataFlow, RunSummary
from reports.language import _, plural
from reports.numbers import units, whole
from reports.wording.names import is_painted, on_generated
from reports.wording.transfer import transfer_limit
from reports.wording.verdict import smallest_difference


def limits(summary: RunSummary) -> tuple[str, ...]:
    """The limits of this run, a sentence or two each; never empty, for some hold of every run."""
    data, difference, painted = summary.data, summary.difference, is_painted(summary)
    tested = units(difference.n_subjects, known=data.subjects_known)
    found = (
        _folds(data),
        _runs(difference.n_seeds),
        _generators(data, painted=painted),
        _heads(painted=painted),
        _outlines() if on_generated(summary) else "",
        transfer_limit(summary.transfer),
        _subjects(data),
        _("The test rests on {units}. {smallest}").format(units=tested, smallest=smallest_difference(difference)),
        _("Slices were reduced to {size} × {size} pixels: small lesions and fine texture are lost.").format(
            size=data.image_size
        ),
        _("Each slice was judged alone, not as part of its scan."),
        _source(summary),
        _labels(data),
        _("For research only: not a medical device, not for the diagnosis of any person."),
    )
    return tuple(text for text in found if text)


def _source(summary: RunSummary) -> str:
    if summary.external is None:
        return _(
            "Training and test scans come from the same source: how the set does at another hospital is not known."
        )
    return _(
        "Training and test scans come from the same source, the external test apart: it is one set, and how the "
        "synthetic slices do elsewhere is not known."
    )


def _labels(data: DataFlow) -> str:
    told = {
        "folder": _("folder names"),
        "manifest": _("a table"),
        "participants": _("participants.tsv"),
        "dicom": _("headers"),
    }
    places = [name for rule, name in told.items() if rule in data.label_rules]
    if not places:
        return ""
    return _("The diagnosis was taken from {places} and was not checked.").format(places=_(" and ").join(places))


def _folds(data: DataFlow) -> str:
    if data.folds_evaluated * data.repeats == 1:
        if data.folds_drawn > 1:
            return _(
                "Only one fold of {drawn} drawn was evaluated: another division into training and test may give "
                "another result."
            ).format(drawn=whole(data.folds_drawn))
        return _("Only one fold was evaluated: another division into training and test may give another result.")
    if data.folds_evaluated < data.folds_drawn:
        said = _("{evaluated} of {drawn} folds were evaluated: not every subject was tested on.")
        return said.format(evaluated=whole(data.folds_evaluated), drawn=whole(data.folds_drawn))
    return ""


def _runs(n_seeds: int) -> str:
    if n_seeds >= 5:  # from five runs on, chance in training classifiers is small beside chance in who was tested
        return ""
    return plural(
        "Each arm was trained {n} time: chance in training its classifier is only roughly averaged out.",
        "Each arm was trained {n} times: chance in training its classifier is only roughly averaged out.",
        n_seeds,
    )


def _heads(*, painted: bool) -> str:
    if not painted:
        return ""
    return _("Painted slices show no new heads: what is new is lesions, and tissue where lesions were taken away.")


def _outlines() -> str:
    return _(
        "Painted regions have the outlines of training lesions, moved, turned and scaled: no new shapes are there."
    )


def _generators(data: DataFlow, *, painted: bool) -> str:
    """Runs of an arm share one generator a fold, so no number of them says what another would have made."""
    between_folds = data.folds_evaluated * data.repeats > 1
    if painted and between_folds:
        return _(
            "Painters were trained once a fold: their luck shows only between folds, and training the classifiers more "
            "often does not average it out."
        )
    if painted:
        return _(
            "Painters were trained once a fold: their luck cannot be told from their merit, and training the "
            "classifiers more often does not average it out."
        )
    if between_folds:
        return _(
            "Generators were trained once a fold: their luck shows only between folds, and training the classifiers "
            "more often does not average it out."
        )
    return _(
        "Generators were trained once a fold: their luck cannot be told from their merit, and training the classifiers "
        "more often does not average it out."
    )


def _subjects(data: DataFlow) -> str:
    if data.subjects_known:
        return ""
    return _(
        "The source does not name its subjects. Each group of duplicate images stands in for a subject; two different "
        "images of one person may still stand on both sides of the split, which flatters every arm."
    )
