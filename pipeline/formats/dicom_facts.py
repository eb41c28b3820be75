"""What DICOM header texts and numbers say of an image: its kind, weighting, scanner and timing, in fixed words."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydicom.multival import MultiValue

from data_contracts.facts import MANUFACTURERS
from pipeline.formats.scan import ScanFacts, Unreadable, guess_sequence

# what `scan_facts` and `sequence_of` look at
ELEMENTS: Final = (
    "ScanningSequence", "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "MagneticFieldStrength",
    "ContrastBolusAgent", "ContrastBolusAgentSequence", "SeriesDescription", "ProtocolName", "ImageType",
    "AcquisitionContrast", "Manufacturer", "BitsStored",
)  # fmt: skip
# what `refuse_kind` and `refuse_mosaic` look at
KIND: Final = ("ImageType", "ComplexImageComponent", "VolumeBasedCalculationTechnique")
MOSAIC_TILES: Final = 0x0019100A
CSA_HEADER: Final = 0x00291010
# Pictures whose grey is a measure computed from several scans, an angle, or a ray through the head: no section of it
# at one weighting. Values of ImageType (PS3.3 C.8.13.3.1.1 and what vendors write) and of the elements in KIND.
# Real parts stay, they show anatomy; trace-weighted diffusion stays, it is a mean of scans.
_MAPS: Final = frozenset({
    "ADC", "EADC", "FA", "FRACTIONAL_ANISO", "RELATIVE_ANISO", "DIFFUSION_ANISO", "VOLUME_RATIO", "TENSOR",
    "P", "PHASE", "PHASE MAP", "I", "IMAGINARY", "VELOCITY", "VELOCITY MAP", "B0 MAP", "B1 MAP", "FIELD_MAP",
    "T1 MAP", "T1_MAP", "T2 MAP", "T2_MAP", "T2_STAR_MAP", "R2_MAP", "R2_STAR_MAP", "RHO", "SNR_MAP", "TEMPERATURE",
    "CBF", "CBV", "RCBF", "RCBV", "RELCBF", "RELCBV", "MTT", "TTP", "TMAX", "SUBTRACTION",
    "PROJECTION IMAGE", "MIP", "MNIP", "MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER",
})  # fmt: skip
# Siemens' CSA header: a name padded to 64 bytes, 20 bytes on the values that follow, 16 on the first, its digits
_CSA_TILES: Final = re.compile(rb"NumberOfImagesInMosaic\0.{41}.{20}.{16} *([0-9]{1,4})", re.DOTALL)
_MAKERS: Final = (
    ("siemens", r"siemens"),
    ("ge", r"\bge\b|general electric|\bgems\b"),
    ("philips", r"philips"),
    ("canon", r"canon|toshiba"),
    ("hitachi", r"hitachi"),
    ("united_imaging", r"united imaging|\buih\b"),
    ("unknown", r"^(unknown|anonymous|anonymi[sz]ed|removed|none)?$"),
)
_MAX_MS: Final = 1e5
_MAX_TESLA: Final = 25.0
_GAUSS_A_TESLA: Final = 1e4


def texts(value: Any) -> tuple[str, ...]:
    """The values of an element as texts; none where it is missing."""
    if value is None:
        return ()
    return tuple(str(part) for part in value) if isinstance(value, MultiValue | list | tuple) else (str(value),)


def number(value: Any, *, low: float, high: float) -> float | None:
    """The first value as a number in [low, high]; None for anything else."""
    try:
        stated = float(texts(value)[0])
    except (IndexError, ValueError):
        return None
    return stated if math.isfinite(stated) and low <= stated <= high else None


def refuse_kind(words: Iterable[str], *, synthetic: bool = False) -> None:
    """Raises Unreadable `synthetic`, `mosaic_unsupported`, `localiser` or `derived_map`: no scan of anatomy.

    words: the values of the elements in KIND. synthetic: a generator's images are what is wanted.
    """
    kinds = {word.strip().upper() for word in words}
    if "SYNTHETIC" in kinds and not synthetic:
        raise Unreadable("synthetic", "no patient's scan but a generator's, as its header says")
    if "MOSAIC" in kinds:
        raise Unreadable("mosaic_unsupported", _MOSAIC)
    if "LOCALIZER" in kinds:
        raise Unreadable("localiser", "an image for planning the scan, as its header says")
    if kinds & _MAPS:
        raise Unreadable("derived_map", "a map, phase or projection computed from scans, as its header says")


_MOSAIC: Final = "many slices tiled into one picture; convert the series with dcm2niix and give the NIfTI file"


def refuse_mosaic(tiles: Any, csa_header: Any) -> None:
    """Raises Unreadable `mosaic_unsupported` where Siemens' private elements count tiles in the picture."""
    told = int.from_bytes(tiles, "little") if isinstance(tiles, bytes) else int(number(tiles, low=0, high=1e4) or 0)
    counted = _CSA_TILES.search(csa_header) if isinstance(csa_header, bytes) else None
    if told > 1 or (counted is not None and int(counted[1]) > 1):
        raise Unreadable("mosaic_unsupported", _MOSAIC)


def scan_facts(values: Mapping[str, Any], *, coding: str) -> ScanFacts:
    """Facts from header values by keyword; what is missing, or out of any scanner's range, is None."""
    tesla = number(values.get("MagneticFieldStrength"), low=0.001, high=_MAX_TESLA * _GAUSS_A_TESLA)
    if tesla is not None and tesla > _MAX_TESLA:
        tesla /= _GAUSS_A_TESLA
    bits = number(values.get("BitsStored"), low=1, high=64)
    times = {
        name: number(values.get(keyword), low=0, high=_MAX_MS)
        for name, keyword in (
            ("echo_time_ms", "EchoTime"),
            ("repetition_time_ms", "RepetitionTime"),
            ("inversion_time_ms", "InversionTime"),
        )
    }
    return ScanFacts(
        coding=coding,
        bits=None if bits is None else int(bits),
        channels=1,
        manufacturer=_maker(" ".join(texts(values.get("Manufacturer")))),
        field_strength_t=tesla,
        flip_angle_deg=number(values.get("FlipAngle"), low=0, high=360),
        **times,
    )


def _maker(name: str) -> str:
    words = " ".join(re.findall(r"[a-z]+", name.lower()))
    return next((maker for maker, pattern in _MAKERS if re.search(pattern, words)), "other")


def sequence_of(values: Mapping[str, Any]) -> str:
    """Weighting from the descriptions, else from the timing in ms; contrast agent turns T1 into T1c."""
    said = [
        " ".join(texts(values.get(n)))
        for n in ("SeriesDescription", "ProtocolName", "AcquisitionContrast", "ImageType")
    ]
    told = guess_sequence(*(text.replace("FLUID_ATTENUATED", "FLAIR") for text in said))
    if told == "unknown":
        keywords = ("EchoTime", "RepetitionTime", "InversionTime")
        echo, repetition, inversion = (number(values.get(n), low=0, high=_MAX_MS) or 0 for n in keywords)
        if echo > 70 and repetition > 4000 and inversion > 1500:
            told = "FLAIR"
        elif echo > 70 and repetition > 1500:
            told = "T2"
        elif 0 < echo < 30 and 0 < repetition < 1000:
            told = "T1"
    agent = values.get("ContrastBolusAgent") or values.get("ContrastBolusAgentSequence")
    return "T1c" if told == "T1" and agent else told


assert {maker for maker, _ in _MAKERS} <= set(MANUFACTURERS)  # noqa: S101 (the two tables must use the same words)
