"""Is a slice usable? Each check measures one thing and says what it measured and what it wants.

Two outcomes and never silence: `quarantined` ends the examination, `review` lets the slice be used and asks a person
to look at it.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import QUARANTINED, REVIEW
from pipeline.scans.head import MAX_ELONGATION, NoHeadError
from pipeline.scans.headness import signs_against
from pipeline.scans.normalise import Measured, NormaliseConfig, measure
from pipeline.scans.overlays import LINE_SHARE, MAX_MARGIN, frame_widths, letters_beside, margin_share

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
MIN_SIDE: Final = 32
MIN_GREY_LEVELS: Final = 16  # fewer is a label map or a drawing
MIN_FOREGROUND: Final = 0.05  # share of the picture; the emptiest of brain_mri_253 and lgg_flair has 0.21
MAX_SATURATED: Final = 0.5  # share of the foreground that sits at the largest value
MIN_SMOOTHNESS: Final = 0.3  # correlation of pixels two apart; air gives 0
LOOK: Final = NormaliseConfig(size=48)  # fine enough to see folds, coarse enough to cost little
_DIFFERS: Final = 0.1  # of the range of values, from the background


@dataclass(frozen=True)
class Finding:
    """A rule that a slice breaks, the measured value with its threshold, and the outcome: quarantined or review."""

    rule: str
    detail: str
    outcome: str = QUARANTINED


@dataclass(frozen=True)
class Examined:
    """What was found, one quarantining finding or any number of reviews, and the head (S = 48) where there is one."""

    findings: tuple[Finding, ...]
    head: Measured | None

    @property
    def usable(self) -> bool:
        """Whether no finding quarantines the slice."""
        return all(finding.outcome == REVIEW for finding in self.findings)


def examine(
    pixels: NDArray[Any], *, min_side: int = MIN_SIDE, plane: str = "unknown", spacing_mm: float | None = None
) -> Examined:
    """All that is wrong with a slice (H, W) of any real dtype and unit. Cheap and fatal checks come first.

    plane: one of data_contracts.manifest.PLANES; spacing_mm: of a pixel, where known. The head is measured once, as
    `measure(pixels, LOOK)`, and handed on whatever was found in it.
    """
    fatal = _too_small(pixels, min_side) or _elongated(pixels) or _not_finite(pixels)
    if fatal:
        return Examined((fatal,), None)
    raw = np.asarray(pixels, dtype=np.float32)
    fatal = _unusable(raw)
    if fatal:
        return Examined((fatal,), None)
    try:
        head = measure(raw, LOOK)
    except NoHeadError as error:
        return Examined((Finding("no_head", str(error)),), None)
    strange = _strange(head, plane, spacing_mm)
    if strange and strange.outcome == QUARANTINED:
        return Examined((strange,), head)
    reviews = (strange, _letters(raw, head), _framed(raw, head), _margin(raw))
    return Examined(tuple(finding for finding in reviews if finding), head)


def foreground(pixels: NDArray[Any]) -> Mask:
    """Pixels (H, W) that differ from the background by more than a tenth of the range of values.

    The background is the median of the frame of the picture, so that it may be black, white, or zero between negative
    and positive values; the range leaves out half a percent at either end.
    """
    values = np.asarray(pixels, dtype=np.float32)
    frame = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    low, high = np.percentile(values, (0.5, 99.5))
    return np.asarray(np.abs(values - np.median(frame)) > _DIFFERS * max(high - low, 1e-12), dtype=np.bool_)


def _too_small(pixels: NDArray[Any], min_side: int) -> Finding | None:
    side = min(pixels.shape)
    least = max(min_side, 8)  # below that there is nothing to measure, whatever was asked for
    return Finding("too_small", f"shorter side {side} pixels, at least {least}") if side < least else None


def _elongated(pixels: NDArray[Any]) -> Finding | None:
    ratio = max(pixels.shape) / min(pixels.shape)
    if ratio <= MAX_ELONGATION:
        return None
    return Finding("too_elongated", f"sides differ {ratio:.1f}-fold, at most {MAX_ELONGATION:g}")


def _not_finite(pixels: NDArray[Any]) -> Finding | None:
    # what float32 cannot hold becomes infinite in it, and cannot be used either
    with np.errstate(over="ignore"):
        broken = pixels.size - int(np.isfinite(np.asarray(pixels, dtype=np.float32)).sum())
    return Finding("not_finite", f"{broken} pixels are not numbers, want 0") if broken else None


def _unusable(raw: Pixels) -> Finding | None:
    """Blank, saturated or noise: all from one look at the foreground."""
    levels = len(np.unique(raw.ravel()[::8]))
    if levels < MIN_GREY_LEVELS:  # an eighth of the pixels is enough for nearly every picture
        levels = len(np.unique(raw))
    if levels < MIN_GREY_LEVELS:
        return Finding("blank", f"{levels} grey levels, at least {MIN_GREY_LEVELS}")
    stands_out = foreground(raw)
    share = float(stands_out.mean())
    if share < MIN_FOREGROUND:
        return Finding("blank", f"{share:.3f} of the picture stands out from the background, at least {MIN_FOREGROUND}")
    full = float((raw[stands_out] == raw.max()).mean())
    if full > MAX_SATURATED:
        return Finding("saturated", f"{full:.2f} of the foreground is at the largest value, at most {MAX_SATURATED}")
    smoothness = _smoothness(raw)
    if smoothness < MIN_SMOOTHNESS:
        return Finding("noise", f"pixels two apart correlate at {smoothness:.2f}, at least {MIN_SMOOTHNESS}")
    return None


def _smoothness(raw: Pixels) -> float:
    """Correlation of pixels two apart in a row: resampled noise is alike in direct neighbours."""
    centred = raw - raw.mean()
    left, right = centred[:, :-2], centred[:, 2:]
    both = float(np.vdot(left, left)) * float(np.vdot(right, right))
    return float(np.vdot(left, right) / np.sqrt(max(both, 1e-30)))


def _strange(head: Measured, plane: str, spacing_mm: float | None) -> Finding | None:
    signs = signs_against(head, plane=plane, spacing_mm=spacing_mm)
    if not signs:
        return None
    proof = any(sign.sure for sign in signs) or len({sign.family for sign in signs}) > 1
    return Finding("not_a_head", "; ".join(sign.text for sign in signs), QUARANTINED if proof else REVIEW)


def _letters(raw: Pixels, head: Measured) -> Finding | None:
    letters = letters_beside(raw, head)
    if letters is None:
        return None
    detail = (
        f"{letters.count} letter-like marks, most near the {letters.side}, {letters.share:.2%} of the picture, want 0"
    )
    return Finding("burned_in_text", detail, REVIEW)


def _framed(raw: Pixels, head: Measured) -> Finding | None:
    widths = frame_widths(raw, head)
    if not widths:
        return None
    found = ", ".join(f"{side} {width}" for side, width in widths.items())
    return Finding("frame", f"rows or columns white over {LINE_SHARE:.0%} of their length: {found}; want 0", REVIEW)


def _margin(raw: Pixels) -> Finding | None:
    share = margin_share(raw)
    if share <= MAX_MARGIN:
        return None
    return Finding("margin", f"{share:.2f} of the picture is empty border, at most {MAX_MARGIN}", REVIEW)
