"""NIfTI-1 and -2 volumes, plain or gzipped."""

import gzip
import zlib
from pathlib import Path
from typing import IO, Any, Final, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from pipeline.formats.scan import (
    STACKED_ALONG,
    Scan,
    Unreadable,
    even_positions,
    from_display,
    guess_sequence,
    native_order,
    plane_of_axis,
    quiet,
    square_spacing,
    to_display,
    world_axes,
)

_nib: Any = nibabel  # typed in parts, and not in these
# the magic word of a single-file image and where it stands; a .hdr and .img pair is not read
_KINDS: Final = ((344, b"n+1\0", _nib.Nifti1Image), (4, b"n+2\0", _nib.Nifti2Image))
_TIE: Final = 1.001  # spacings within a thousandth are the same: headers round


def is_nifti(path: Path) -> bool:
    """Whether the content is single-file NIfTI, gzipped or not."""
    try:
        with _opened(path) as file:
            return _kind(file.read(352)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_nifti(path: Path, *, plane: str | None = None) -> Scan:
    """Read a 3-D volume, or a 4-D one whose last dimension is 1, of any orientation.

    Slices lie across the axis with the largest spacing (across a single-slice axis if there is one), axial where
    spacings tie, or in `plane` where it is given, as for a mask that must lie as its image does. The sequence is
    guessed from the header's description, then from the file name. Values that the header scales come as float32.
    Raises Unreadable: `unreadable`, `dimensions`, `orientation`, `pixels_not_square`.
    """
    image, voxels = _decode(path)
    affine = np.asarray(image.affine, dtype=np.float64)
    described = bytes(image.header["descrip"].tobytes()).decode("ascii", "replace")
    voxels = _three_dimensional(voxels)
    spacing = _world_spacing(affine)
    plane = plane or plane_of_axis(_stacking_axis(voxels.shape, affine, spacing))
    stacked = STACKED_ALONG[plane]
    across, down = (float(spacing[axis]) for axis in range(3) if axis != stacked)
    slices = to_display(voxels, affine, plane)
    return Scan(
        slices=slices,
        plane=plane,
        sequence=guess_sequence(described, path.name),
        spacing_mm=square_spacing(down, across),
        slice_spacing_mm=float(spacing[stacked]),
        positions=even_positions(len(slices)),
    )


def _decode(path: Path) -> tuple[Any, NDArray[Any]]:
    try:
        with quiet(), _opened(path) as file:
            data = file.read()
            kind = _kind(data[:352])
            if kind is None:
                raise Unreadable("unreadable", "the file is not single-file NIfTI")
            image = kind.from_bytes(data)
            return image, np.asarray(image.dataobj)
    except Unreadable:
        raise
    # nibabel, gzip and numpy each raise their own errors on a broken file
    except Exception:
        raise Unreadable("unreadable", "the NIfTI file is broken or cut short") from None


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")


def _kind(head: bytes) -> Any:
    return next((image for at, magic, image in _KINDS if head[at : at + 4] == magic), None)


def write_volume(path: Path, voxels: NDArray[Any], spacing: tuple[float, float, float]) -> None:
    """Write an axial volume as NIfTI-1, gzipped where the name ends in .gz; the same voxels give the same bytes.

    voxels: (Z, H, W) in the orientation of `Scan`; spacing: (z, y, x) in mm, z at least as large as y and x so that
    `read_nifti` finds the same slices again (ValueError otherwise).
    """
    if spacing[0] * _TIE < max(spacing):
        raise ValueError(f"slices {spacing[0]} mm apart are closer than pixels of {max(spacing[1:])} mm")
    volume = from_display(voxels)
    scale = np.asarray(spacing[::-1], dtype=np.float64)
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = -scale * (np.asarray(volume.shape) - 1) / 2  # the middle of the volume is the origin
    image = _nib.Nifti1Image(volume, affine, dtype=volume.dtype)
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)


def _three_dimensional(voxels: NDArray[Any]) -> NDArray[Any]:
    if voxels.ndim == 4 and voxels.shape[3] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3 or not voxels.size:
        raise Unreadable("dimensions", f"shape {voxels.shape}, want three dimensions")
    if voxels.dtype.kind not in "iuf":
        raise Unreadable("dimensions", "voxels are not single numbers")
    # scaled values come as float64, of which a scanner fills no more than float32 holds
    return native_order(voxels).astype(np.float32) if voxels.dtype == np.float64 else native_order(voxels)


def _world_spacing(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spacing in mm along the world axes right, front, top (of the voxel axis nearest to each)."""
    spacing = np.empty(3)
    spacing[world_axes(affine)] = np.linalg.norm(affine[:3, :3], axis=0)
    return spacing


def _stacking_axis(shape: tuple[int, ...], affine: NDArray[np.float64], spacing: NDArray[np.float64]) -> int:
    single = [axis for axis, n in zip(world_axes(affine), shape, strict=True) if n == 1]
    if len(single) == 1:
        return single[0]
    return max(axis for axis in range(3) if spacing[axis] * _TIE >= spacing.max())  # the last is axial
