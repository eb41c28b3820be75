"""NIfTI-1 and -2 volumes, plain or gzipped; header fields as in nifti1.h and nifti2.h (NIfTI DFWG, 2003 and 2011).

The voxels are read here and not by nibabel, which trusts the header: a header that promises a terabyte, or a small
file that inflates to one, must be refused before memory is spent on it.
"""

import gzip
import math
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from pipeline.formats.scan import (
    SPACING_LIMITS_MM,
    STACKED_ALONG,
    Note,
    Scan,
    ScanFacts,
    Unreadable,
    display_affine,
    even_positions,
    from_display,
    guess_sequence,
    plane_of_axis,
    quiet,
    squared,
    to_display,
    world_axes,
)

MAX_VOXELS: Final = 2**27  # of one volume, 512 x 512 x 512: three copies of them in float32 stay below 2 GB
MAX_BYTES: Final = 2**32  # to read or inflate up to the end of the volume asked for
SLACK_BYTES: Final = 2**16  # writers pad; a file with more than this behind its voxels has another size than it says
OBLIQUE_DEG: Final = 20.0  # heads tilt by less in the scanner; beyond it the slices are of no plain plane
MAX_SHEAR_DEG: Final = 5.0  # axes less square to each other than this do not stack to a straight head

_nib: Any = nibabel  # typed in parts, and not in these
# the magic word of a single-file image, where it stands, the first byte that may be a voxel; .hdr with .img is not read
_KINDS: Final = ((344, b"n+1\0", 352, _nib.Nifti1Header), (4, b"n+2\0", 544, _nib.Nifti2Header))
_HEAD_BYTES: Final = 540  # of the longer header
_MM_OF_UNIT: Final = {1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: metre, millimetre, micrometre; 0 is not said
_TIE: Final = 1.001  # spacings within a thousandth are the same: headers round
_CHUNK: Final = 2**22  # voxels converted at a time


@dataclass(frozen=True)
class _Header:
    """What a header says. shape: of one volume; affine: voxel index to mm in RAS, None where it gives none."""

    coding: str
    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[Any]
    offset: int  # of the first voxel in the file
    slope: float
    inter: float
    affine: NDArray[np.float64] | None
    pixdim: tuple[float, ...]
    description: str = field(repr=False)
    notes: tuple[Note, ...]

    @property
    def volume_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def is_nifti(path: Path) -> bool:
    """Whether the content is single-file NIfTI, gzipped or not."""
    try:
        with _opened(path) as file:
            return _kind(file.read(_HEAD_BYTES)) is not None
    except (OSError, EOFError, zlib.error):
        return False


def read_nifti(path: Path, *, plane: str | None = None, channel: int | None = None, labels: bool = False) -> Scan:
    """Read one volume of any orientation; of several in the file the one numbered `channel`, counted from 0.

    A file of one volume has nothing to choose, whatever `channel` says.

    Slices lie across the axis with the largest spacing (across a single-slice axis if there is one), axial where
    spacings tie, or in `plane` where it is given, as for a mask that must lie as its image does. A header without
    sform and qform (method 1 of nifti1.h) says nothing of right and left, front and back: such a volume comes as it
    is stored (k, j, i), in plane "unknown", without positions; `plane="unknown"` reads any volume so.
    Pixels are made square, by linear interpolation. Values that the header scales and those of 64 bits come as
    float32, others as stored; `labels` come as int32, rounded, and pixels are made square by their nearest label.
    The sequence is guessed from the header's description, then from the file name.

    Notes: `oblique` (slices turned by more than OBLIQUE_DEG), `orientation_unknown`, `orientation_conflict` (sform,
    which is used, against qform).
    Raises Unreadable: `unreadable`, `dimensions`, `voxel_kind` (complex, colours), `too_many_voxels` (MAX_VOXELS,
    MAX_BYTES), `several_channels`, `no_such_channel`, `orientation`, `sheared`, `spacing`, `pixels_not_square`.
    """
    try:
        with quiet(), _opened(path) as file:
            header = _read_header(file)
            wanted = _chosen(header, channel)
            scan, spacing = _displayed(_read_voxels(file, header, wanted, labels=labels), header, plane)
    except (Unreadable, MemoryError):
        raise
    # nibabel, gzip and numpy each raise their own errors on a broken file
    except Exception:
        raise Unreadable("unreadable", "the NIfTI file is broken or cut short") from None
    if spacing is not None:
        _require_room(scan.slices.size * max(spacing[1:]) / min(spacing[1:]))
        scan = replace(squared(scan, *spacing[1:], labels=labels), slice_spacing_mm=spacing[0])
    return replace(
        scan,
        sequence=guess_sequence(header.description, path.name),
        facts=ScanFacts(coding=header.coding, bits=8 * header.dtype.itemsize, channels=header.volumes),
        notes=(*header.notes, *scan.notes),
    )


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


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")


def _kind(head: bytes) -> tuple[int, Any] | None:
    return next(((first, kind) for at, magic, first, kind in _KINDS if head[at : at + 4] == magic), None)


def _read_header(file: IO[bytes]) -> _Header:
    head = file.read(_HEAD_BYTES)
    found = _kind(head)
    if found is None:
        raise Unreadable("unreadable", "the file is not single-file NIfTI")
    first, kind = found
    header = kind(head[: kind.template_dtype.itemsize], check=False)
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) < 2 or min(shape) < 1:
        raise Unreadable("dimensions", f"shape {shape}, want three dimensions")
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf":
        raise Unreadable("voxel_kind", "voxels are complex numbers or colours, want one number each")
    offset = float(header["vox_offset"])
    if not first <= offset <= MAX_BYTES:
        raise Unreadable("unreadable", f"voxels start at byte {offset:g}, want {first} or later")
    slope, inter = header.get_slope_inter()
    affine, notes = _orientation(header)
    return _Header(
        coding="nifti_gz" if isinstance(file, gzip.GzipFile) else "nifti",
        shape=(shape[0], shape[1], shape[2] if len(shape) > 2 else 1),
        volumes=math.prod(shape[3:]),
        dtype=dtype,
        offset=int(offset),
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        affine=affine,
        pixdim=tuple(float(abs(mm)) for mm in header["pixdim"][1:4]),
        description=bytes(header["descrip"].tobytes()).decode("ascii", "replace"),
        notes=notes,
    )


def _orientation(header: Any) -> tuple[NDArray[np.float64] | None, tuple[Note, ...]]:
    """Voxel index to mm in RAS (sform before qform), None where the header gives neither; raises `orientation`."""
    codes = int(header["sform_code"]), int(header["qform_code"])
    if codes[0] <= 0 and codes[1] <= 0:
        return None, (Note("orientation_unknown", "neither sform nor qform; read as stored"),)
    try:
        qform = np.asarray(header.get_qform(), np.float64) if codes[1] > 0 else None
    except ValueError:  # a quaternion longer than 1, a negative spacing
        qform = None
    affine = np.asarray(header.get_sform(), np.float64) if codes[0] > 0 else qform
    if affine is None:
        raise Unreadable("orientation", "the header gives no usable orientation")
    turned = _turn(affine)  # raises where there is none
    affine[:3] *= _MM_OF_UNIT.get(int(header["xyzt_units"]) & 7, 1.0)
    if codes[0] > 0 and qform is not None and np.isfinite(qform).all() and _turn(qform) != turned:
        return affine, (Note("orientation_conflict", "sform and qform turn the head differently; sform is used"),)
    return affine, ()


def _turn(affine: NDArray[np.float64]) -> list[tuple[int, float]]:
    """World axis nearest to each voxel axis, and the sign along it; raises Unreadable `orientation`."""
    return [(axis, float(np.sign(affine[axis, at]))) for at, axis in enumerate(world_axes(affine))]


def _chosen(header: _Header, channel: int | None) -> int:
    """Number of the volume to read, from 0, once its size is known to be within limits."""
    _require_room(math.prod(header.shape))
    if channel is None and header.volumes > 1:
        raise Unreadable("several_channels", f"{header.volumes} volumes in one file; choose one with --channel")
    wanted = channel if channel is not None and header.volumes > 1 else 0
    if not 0 <= wanted < header.volumes:
        raise Unreadable("no_such_channel", f"channel {wanted}, the file has {header.volumes}, counted from 0")
    end = header.offset + (wanted + 1) * header.volume_bytes
    if end > MAX_BYTES:
        raise Unreadable("too_many_voxels", f"{end / 2**30:.1f} GiB up to the volume, at most {MAX_BYTES / 2**30:g}")
    return wanted


def _require_room(voxels: float) -> None:
    if voxels > MAX_VOXELS:
        raise Unreadable("too_many_voxels", f"{voxels:.0f} voxels, at most {MAX_VOXELS}")


def _read_voxels(file: IO[bytes], header: _Header, wanted: int, *, labels: bool) -> NDArray[Any]:
    """Volume (I, J, K) number `wanted`, a chunk at a time, so that a file that is too short costs what it holds."""
    scaled = (header.slope, header.inter) != (1.0, 0.0)
    wide = scaled or header.dtype.itemsize > 4  # scanners fill no more than float32 holds
    out = np.empty(
        math.prod(header.shape), np.int32 if labels else np.float32 if wide else header.dtype.newbyteorder("=")
    )
    file.seek(header.offset + wanted * header.volume_bytes)
    for start in range(0, out.size, _CHUNK):
        n = min(_CHUNK, out.size - start)
        data = file.read(n * header.dtype.itemsize)
        if len(data) < n * header.dtype.itemsize:
            raise Unreadable("unreadable", "the file ends before its voxels do")
        values = np.frombuffer(data, header.dtype)
        with np.errstate(all="ignore"):  # what is not finite is found by the quality control
            values = values * np.float64(header.slope) + header.inter if scaled else values
            out[start : start + n] = _whole(values) if labels else values
    # read to the end, where gzip checks its sum; of several volumes the others may be many
    if header.volumes == 1 and len(file.read(SLACK_BYTES + 1)) > SLACK_BYTES:
        raise Unreadable("unreadable", "the file holds more than its header says")
    return out.reshape(header.shape, order="F")


def _whole(values: NDArray[Any]) -> NDArray[np.int32]:
    """Labels as whole numbers: interpolated masks hold 0.99999997 for 1; what is not a number is no label."""
    limits = np.iinfo(np.int32)
    rounded = np.rint(np.nan_to_num(values.astype(np.float64)))
    return np.clip(rounded, limits.min, limits.max).astype(np.int32)


def _displayed(
    voxels: NDArray[Any], header: _Header, plane: str | None
) -> tuple[Scan, tuple[float, float, float] | None]:
    """The slices with their plane, and the distances in mm of slices, rows and columns, before pixels are squared."""
    affine = header.affine
    if affine is None and plane not in (None, "unknown"):
        raise Unreadable("orientation", "a plane is asked for, and neither sform nor qform tells where it lies")
    if affine is None or plane == "unknown":
        stored = header.pixdim if affine is None else tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
        given = all(math.isfinite(mm) and mm > 0 for mm in stored)
        return Scan(np.ascontiguousarray(voxels.transpose())), _plausible(stored[::-1]) if given else None
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    shear = np.degrees(np.arcsin(np.abs(cosines.T @ cosines - np.eye(3)).max().clip(0, 1)))
    if shear > MAX_SHEAR_DEG:
        raise Unreadable("sheared", f"axes {shear:.1f} degrees off square, at most {MAX_SHEAR_DEG:g}")
    spacing = np.empty(3)
    spacing[world_axes(affine)] = np.linalg.norm(affine[:3, :3], axis=0)
    plane = plane or plane_of_axis(_stacking_axis(voxels.shape, affine, spacing))
    stacked = STACKED_ALONG[plane]
    across, down = (axis for axis in range(3) if axis != stacked)
    in_mm = _plausible((float(spacing[stacked]), float(spacing[down]), float(spacing[across])))
    turned = float(np.degrees(np.arccos(np.abs(cosines).max(axis=0).clip(max=1))).max())
    notes = (Note("oblique", f"{turned:.0f} degrees, more than {OBLIQUE_DEG:g}"),) if turned > OBLIQUE_DEG else ()
    slices = to_display(voxels, affine, plane)
    lies = display_affine(voxels.shape, affine, plane)
    return Scan(slices, plane, positions=even_positions(len(slices)), affine=lies, notes=notes), in_mm


def _plausible(spacing: tuple[float, ...]) -> tuple[float, float, float]:
    low, high = SPACING_LIMITS_MM
    if not all(low <= mm <= high for mm in spacing):
        raise Unreadable("spacing", f"voxels {min(spacing):.3g} to {max(spacing):.3g} mm, want {low:g} to {high:g}")
    return spacing[0], spacing[1], spacing[2]


def _stacking_axis(shape: tuple[int, ...], affine: NDArray[np.float64], spacing: NDArray[np.float64]) -> int:
    single = [axis for axis, n in zip(world_axes(affine), shape, strict=True) if n == 1]
    if len(single) == 1:
        return single[0]
    return max(axis for axis in range(3) if spacing[axis] * _TIE >= spacing.max())  # the last is axial
