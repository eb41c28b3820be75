"""The tables of single test slices: how many are called wrong, and what was found under each map."""

from data_contracts.results import Occlusions, WrongCases
from reports.language import _
from reports.numbers import decimal, percent, whole
from reports.tables import Table
from reports.wording.cases import answer_name
from reports.wording.names import diagnosis_name


def wrong_table(wrong: WrongCases, *, known: bool) -> Table:
    """Slices called wrong in both arms, mended and broken, by what they show."""
    rows = tuple(
        (name, whole(c.n_slices), whole(c.n_subjects), whole(c.n_tumour), whole(c.n_slices - c.n_tumour))
        for name, c in (
            (_("Wrong with and without synthetic slices"), wrong.both),
            (_("Mended: wrong only without them"), wrong.mended),
            (_("Broken: wrong only with them"), wrong.broken),
        )
    )
    columns = (
        _("Called"),
        _("Slices"),
        _("Of subjects") if known else _("Of image groups"),
        _("Tumour called no tumour"),
        _("No tumour called tumour"),
    )
    caption = _("Real test slices that are called wrong. A subject may stand in several rows.")
    if not known:
        caption = _("Real test slices that are called wrong. An image group may stand in several rows.")
    return Table(caption, columns, rows)


def looks_table(occlusions: Occlusions) -> Table:
    """Each slice under a map: how sure both classifiers are, how much one place matters, and how much is lesion."""
    lesions = any(case.lesion_share is not None for case in occlusions.cases)
    rows = []
    for case in occlusions.cases:
        told = [
            case.slice_id,
            diagnosis_name(case.diagnosis),
            answer_name(case),
            f"{percent(case.probability, 0)} / {percent(case.reference_probability, 0)}",
            f"{decimal(100 * case.largest_fall, 1)} / {decimal(100 * case.reference_largest_fall, 1)}",
        ]
        if lesions:
            told += [
                f"{_share(case.in_lesion)} / {_share(case.reference_in_lesion)}",
                _share(case.lesion_share),
            ]
        rows.append(tuple(told))
    columns = [
        _("Slice"),
        _("Shows"),
        _("Called"),
        _("Probability of tumour"),
        _("Greatest fall, points"),
    ]
    if lesions:
        columns += [_("Colour inside the lesion"), _("Lesion, of the head")]
    caption = _(
        "The slices under the maps, in their order: with synthetic slices / without. A dash: no lesion mask, or not "
        "called tumour."
    )
    return Table(caption, tuple(columns), tuple(rows))


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value, 0)
