"""A BIDS data set: which of its files are anatomical images, which tumour masks, and who they belong to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pipeline.scans.candidates import Candidate, Declared
from pipeline.scans.names import BidsName, bids_name, is_other_mask, stem_of
from pipeline.scans.tables import Participants

DESCRIPTION: Final = "dataset_description.json"
PARTICIPANTS: Final = "participants.tsv"
_DATATYPES: Final = frozenset(("beh", "dwi", "eeg", "fmap", "func", "ieeg", "meg", "micr", "motion", "nirs", "perf",
                               "pet"))  # fmt: skip
_MASK_SUFFIXES: Final = frozenset(("mask", "dseg", "roi"))
# `label` L is a lesion in the BIDS table of segmentation labels; a `desc` may say it in a word
_LESION_LABELS: Final = frozenset(("l", "lesion", "tumour", "tumor", "glioma"))
_LESION_WORDS: Final = ("lesion", "tumour", "tumor", "glioma")
_OWN_SPACE: Final = frozenset(("orig", "native", "individual", "subject"))
_OF_THE_MASK: Final = frozenset(("label", "desc", "of", "space"))  # entities that its image need not carry
# pipelines whose `dseg` are tissues or cortical areas
_TISSUE_PIPELINES: Final = ("fmriprep", "smriprep", "freesurfer", "fastsurfer", "mriqc", "qsiprep", "ants", "synthseg")


def is_bids(folder: Path) -> bool:
    """Whether a folder has the description or participants of a BIDS data set, and a subject."""
    told = (folder / DESCRIPTION).is_file() or (folder / PARTICIPANTS).is_file()
    return told and any(folder.glob("sub-*/"))


def declare(candidates: Iterable[Candidate], participants: Participants | None) -> list[Candidate]:
    """The same candidates with what BIDS says of them: subject, sequence, diagnosis, mask; or why they are left out.

    Images are those in `sub-*/[ses-*/]anat`. Tumour masks, which end in mask, dseg or lesion_roi, count from there and
    from `derivatives`; a dseg without a lesion label counts unless its pipeline segments tissue.
    """
    masks, images, others = [], [], []
    for candidate in candidates:
        role = _role(candidate)
        if candidate.refused is not None:
            others.append(candidate)
        elif role == "mask":
            masks.append(
                replace(candidate, declared=Declared("participants", subject=_subject(candidate), is_mask=True))
            )
        elif role == "image":
            images.append(candidate)
        else:
            others.append(replace(candidate, refused=role if isinstance(role, tuple) else None))
    of_subject: dict[str | None, list[Candidate]] = defaultdict(list)
    for mask in masks:
        of_subject[_subject(mask)].append(mask)
    diagnoses = {} if participants is None else participants.diagnoses
    return [_image(image, of_subject[_subject(image)], diagnoses) for image in images] + masks + others


def _role(candidate: Candidate) -> str | tuple[str, str]:
    """`image`, `mask`, or the rule and detail of what is neither."""
    folders = candidate.relative.parent.parts
    derived = folders[:1] == ("derivatives",)
    if not derived and not (folders and folders[0].startswith("sub-")):
        return "outside_bids", "in neither a subject's folder nor derivatives"
    name = bids_name(stem_of(candidate.relative.name))
    if name is None:
        return "outside_bids", "its name is none of BIDS"
    if folders[-1] != "anat" and not (derived and name.suffix in _MASK_SUFFIXES):
        datatype = folders[-1] if folders[-1] in _DATATYPES else "another folder"
        return "not_anatomical", f"{datatype}, want anat"
    if name.suffix in _MASK_SUFFIXES or is_other_mask(stem_of(candidate.relative.name)):
        wanted = _is_tumour_mask(name, folders, stem_of(candidate.relative.name))
        return "mask" if wanted else ("not_a_tumour_mask", "a mask of brain, face or tissue, by its name or place")
    return ("outside_bids", "an image made by a program from one of the set") if derived else "image"


def _is_tumour_mask(name: BidsName, folders: Sequence[str], stem: str) -> bool:
    label, description = name.entities.get("label", "").lower(), name.entities.get("desc", "").lower()
    if label in _LESION_LABELS or any(word in description for word in _LESION_WORDS):
        return True
    by_tissue = any(pipeline in folder.lower() for folder in folders for pipeline in _TISSUE_PIPELINES)
    return not (label or by_tissue or is_other_mask(stem))


def _subject(candidate: Candidate) -> str | None:
    name = bids_name(stem_of(candidate.relative.name))
    return None if name is None else f"sub-{name.entities['sub']}"


def _image(image: Candidate, masks: Sequence[Candidate], diagnoses: dict[str, str | None]) -> Candidate:
    """An image with what is known of it. A mask beside it goes before one of a derivative."""
    name, subject = bids_name(stem_of(image.relative.name)), _subject(image)
    if name is None or subject is None:
        return image
    own = [mask for mask in masks if _fits(mask, name)]
    beside = [mask for mask in own if mask.path.parent == image.path.parent]
    chosen = beside or own
    if len(chosen) > 1:
        return replace(image, refused=("several_masks", f"{len(chosen)} masks that fit it, want one"))
    declared = Declared(
        rule="participants",
        diagnosis=diagnoses.get(subject),
        subject=subject,
        mask=chosen[0].path if chosen else None,
        sequence=name.sequence,
    )
    return replace(image, declared=declared)


def _fits(mask: Candidate, image: BidsName) -> bool:
    """Whether a mask was drawn on an image: it says nothing that the image's name does not, and lies in its space."""
    name = bids_name(stem_of(mask.relative.name))
    if name is None:
        return False
    shared = {key: value for key, value in name.entities.items() if key not in _OF_THE_MASK}
    of, space = name.entities.get("of", image.suffix), name.entities.get("space", "")
    here = not space or space in _OWN_SPACE or space == image.suffix or space == image.entities.get("space")
    return here and of == image.suffix and shared.items() <= image.entities.items()
