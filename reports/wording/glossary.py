"""The words of the page explained, in the order of the reader's alphabet."""

from data_contracts.results import RunSummary
from reports.language import _, alphabetical, capitalised
from reports.wording.names import is_painted, on_generated
from reports.wording.paste import PASTE_MEANING

Entry = tuple[str, str]  # a word, and what it means


def glossary(summary: RunSummary) -> tuple[Entry, ...]:
    """Every word that the page of this run uses and a clinician may not know."""
    known, painted = summary.data.subjects_known, is_painted(summary)
    entries = [
        *_study(summary),
        *(_of_subjects() if known else _of_groups()),
        *_measures(summary),
        *_sets(),
        *(_of_painters() if painted else _of_generators()),
        *([_painter()] if on_generated(summary) else []),
    ]
    return tuple(sorted(entries, key=lambda entry: alphabetical(entry[0])))


def _study(summary: RunSummary) -> list[Entry]:
    """How the question is asked."""
    entries = [
        (_("Arm"), _("One way of training the same classifier. All arms are tested on the same real slices.")),
        (_("Belief"), _("How probable each answer is after seeing the runs, if all were equally probable before.")),
        (_("Classic augmentation"), _("Small turns, shifts and changes of contrast of real slices.")),
        (
            _("Control"),
            _("An experiment in which there is nothing to find. If it finds something, the method is at fault."),
        ),
        (
            _("Dose"),
            _(
                "How many synthetic slices are added for each real one. One was fixed beforehand, so that none is "
                "chosen by its result."
            ),
        ),
        (
            _("Duplicates arm"),
            _(
                "As many extra copies of real slices as there are synthetic ones: tells the use of new content from "
                "that of longer training."
            ),
        ),
        (_("Holm"), _("Correction of p values for asking several questions at once.")),
        (
            _("Shortcut"),
            _(
                "A sign by which the diagnosis is told in the data at hand, and that has nothing to do with disease: a "
                "mark of file or scanner, or of the network that made a slice."
            ),
        ),
    ]
    if summary.difference_to_copy_paste is None:
        return entries
    meaning = _("{meaning} What synthetic slices must beat.").format(meaning=capitalised(_(PASTE_MEANING)))
    return [*entries, (_("Copy and paste"), meaning)]


def _of_subjects() -> list[Entry]:
    """Words that rest on subjects, where the source names them."""
    return [
        (
            _("95 % interval"),
            _(
                "Range of values that fit the data, drawn from resampling whole subjects. A wide one means that few "
                "were tested."
            ),
        ),
        (
            _("Authentic"),
            _("Farther from its nearest training slice than that one is from other subjects: made up, not remembered."),
        ),
        (_("Fold"), _("One division of the subjects into training and test, counted from 0.")),
        (
            _("Near-copy"),
            _(
                "A synthetic slice nearer to a training slice than slices of two different subjects almost ever are. "
                "Refused before use."
            ),
        ),
        (
            _("Sign flips"),
            _(
                "The difference is turned round for whole subjects at random; p says how often chance alone gives as "
                "much."
            ),
        ),
    ]


def _of_groups() -> list[Entry]:
    """The same where groups of images stand in for subjects."""
    return [
        (
            _("95 % interval"),
            _(
                "Range of values that fit the data, drawn from resampling whole image groups. A wide one means that "
                "few were tested."
            ),
        ),
        (
            _("Authentic"),
            _("Farther from its nearest training slice than that one is from other groups: made up, not remembered."),
        ),
        (_("Fold"), _("One division of the image groups into training and test, counted from 0.")),
        (
            _("Image group"),
            _("Images that are duplicates of each other; stands in for a subject, because the source names none."),
        ),
        (
            _("Near-copy"),
            _(
                "A synthetic slice nearer to a training slice than slices of two different groups almost ever are. "
                "Refused before use."
            ),
        ),
        (
            _("Sign flips"),
            _(
                "The difference is turned round for whole groups at random; p says how often chance alone gives as "
                "much."
            ),
        ),
    ]


def _measures(summary: RunSummary) -> list[Entry]:
    """Of the classifier."""
    return [
        (
            _("AUC"),
            _("Chance that a tumour slice is ranked above one without; 0.5 is guessing, 1 is perfect."),
        ),
        (_("Balanced accuracy"), _("Mean of sensitivity and specificity; 50 % is guessing.")),
        (
            _("Brier score, calibration error"),
            _(
                "How far stated probabilities lie from what is true; 0 is best. A probability of one half for everyone "
                "has a Brier score of 0.25."
            ),
        ),
        *_looked_at(summary),
        (
            _("PPV, NPV"),
            _(
                "Of those called tumour, the share that have one; of those called free, the share that are. They "
                "depend on how common tumours are, so that is stated."
            ),
        ),
        (
            _("Sensitivity, specificity"),
            _("Share of tumour slices found; share of slices without tumour called so."),
        ),
    ]


def _looked_at(summary: RunSummary) -> list[Entry]:
    """Of maps of single slices and of sets, where the page has them."""
    entries = []
    if summary.occlusions is not None:
        meaning = _(
            "A part of the slice is covered and the classifier is asked again; where its answer weakens, it looked. "
            "After Zeiler and Fergus 2014."
        )
        entries.append((_("Occlusion map"), meaning))
    if summary.maps:
        meaning = _(
            "Every slice is described by hundreds of numbers; the map shows the two mixtures of them in which real "
            "training slices differ most (principal components)."
        )
        entries.append((_("Map of features"), meaning))
    return entries


def _sets() -> list[Entry]:
    """Of sets of slices."""
    return [
        (
            _("Bins that differ"),
            _(
                "The training slices are sorted into bins of like ones; the share of bins that the judged set fills "
                "more or less than chance allows. Lower is better."
            ),
        ),
        (
            _("Coverage"),
            _("Share of real training slices that have a slice of the judged set near them. Higher is more varied."),
        ),
        (
            _("Density"),
            _(
                "How many training slices lie near a slice of the judged set; about 1 is as dense as real, more is "
                "crowded in the middle."
            ),
        ),
        (
            _("Discriminator"),
            _("The network that learns to tell real from synthetic and so teaches the generator."),
        ),
        (
            _("Dissimilarity"),
            _("1 − structural similarity (MS-SSIM) of two slices, mean over pairs; 0 is the same picture."),
        ),
        (
            _("Frechet distance"),
            _(
                "Distance between two sets of images as clouds of features; lower is better. Too high by more the "
                "fewer images there are, so it means something only beside one of as many."
            ),
        ),
        (
            _("KID"),
            _(
                "Kernel distance between two sets of images, no unit; 0 is alike, lower is better. Compare it with the "
                "held-out real row, not with other studies."
            ),
        ),
        (
            _("Membership attack"),
            _("An attempt to tell from the synthetic slices alone who was in the training part. AUC 0.5 is guessing."),
        ),
        (_("Precision"), _("Share of the judged set that looks like a training slice. Higher is more realistic.")),
        (
            _("Recall"),
            _("Share of real training slices that lie within reach of the judged set. Higher is more varied."),
        ),
        (
            _("Spread"),
            _(
                "Mean distance between two slices of the set over that in training: 1 is as varied, near 0 is the same "
                "picture again and again."
            ),
        ),
        (_("Vendi"), _("How many completely different slices would be as varied as the set.")),
    ]


def _of_generators() -> list[Entry]:
    """Of generators of whole slices."""
    return [
        (
            _("Birthday estimate"),
            _(
                "From how many slices of a set are all but alike, how many different ones there are to draw from; as "
                "with shared birthdays."
            ),
        ),
        (
            _("Collapse"),
            _(
                "A generator that makes the same few images again and again, whatever it starts from, or copies those "
                "it learned from."
            ),
        ),
        (
            _("Collapse watch"),
            _(
                "Looks at a training at regular moments, holds its images against real ones, and raises an alarm where "
                "it is at fault several times in a row. It never sees the slices kept for testing."
            ),
        ),
        (
            _("Latent"),
            _(
                "The random numbers from which a generator makes one image; the same ones show how it changes in "
                "training."
            ),
        ),
        (
            _("Mode collapse"),
            _(
                "A generator that has lost kinds of images. Found by measures of variety beyond limits that subsets of "
                "real slices set."
            ),
        ),
    ]


def _of_painters() -> list[Entry]:
    """Of painters of regions."""
    return [
        (
            _("Latent"),
            _(
                "The random numbers that vary what a painter paints into one place; the same ones in the same slices "
                "show how it changes in training."
            ),
        ),
        _painter(),
    ]


def _painter() -> Entry:
    return (
        _("Painter"),
        _(
            "A network that fills a marked region of a slice: that of tumour slices lays a lesion into a slice without "
            "one, that of no-tumour slices healthy tissue over a lesion. All around the region stays as it was."
        ),
    )
