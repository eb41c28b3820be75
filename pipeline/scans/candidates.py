"""What a source lists: files that may be images, and what its tables say of them. For memory only, never written."""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.formats.scan import Note

# refusals of sound files that the study does not ask for; every other one is a fault of the file or of its table
LEFT_OUT_RULES: Final = frozenset(("not_anatomical", "outside_bids", "not_a_tumour_mask"))


@dataclass(frozen=True)
class Declared:
    """What a table of the source says of a file; None where it does not say.

    rule: manifest or participants. mask: path of its tumour mask. position: in [0, 1] along its scan. is_mask: the
    file itself is named as the mask of another.
    """

    rule: str
    diagnosis: str | None = None
    subject: str | None = field(default=None, repr=False)
    mask: Path | None = field(default=None, repr=False)
    position: float | None = None
    sequence: str | None = None
    plane: str | None = None
    is_mask: bool = False


@dataclass(frozen=True)
class Candidate:
    """One file that may be an image or a mask, or something that should have been one and cannot: `refused`.

    path: where its bytes lie (of a refused member of an archive, the archive); relative: below the source, by which
    listings are sorted. refused: rule and detail, in words and numbers of this program. wrapper: how many leading
    folders all files of the source share that only hold class folders, `yes` and `no`, and so name nobody.
    """

    path: Path = field(repr=False)
    relative: PurePosixPath = field(repr=False)
    declared: Declared | None = None
    refused: tuple[str, str] | None = None
    wrapper: int = 0


@dataclass(frozen=True)
class Listing:
    """Candidates in the order that numbers them, and how many hidden files and sidecars were passed over.

    tables: what was read of it beside them; notes: how that was understood.
    """

    candidates: tuple[Candidate, ...]
    skipped: int
    tables: tuple[Path, ...] = field(default=(), repr=False)
    notes: tuple[Note, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the bytes of each candidate lie, in the order of the listing."""
        return tuple(candidate.path for candidate in self.candidates)
