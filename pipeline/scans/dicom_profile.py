"""What of a DICOM MR header is known to be safe: the only elements, words and bounds of numbers that may stay.

The Basic Application Level Confidentiality Profile (PS3.15, Annex E, table E.1-1) lists what must go. A list of what
may stay fails the safe way: what it does not know is dropped.
"""

from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.uid import EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage

CLASSES: Final = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
DEEPEST: Final = 3  # functional groups, the macro in them, one level to spare

# Bounds of what may stay as a number: (low, high, most values). No run of letters or digits that is read as a binary
# number lies within: two of them are at least 0x3030 = 12336 as an integer, eight at least 131072 as a double when
# the last is a letter and below TINY when it is a digit.
_COUNT: Final = (0, 12000, 1)
_TIME_MS: Final = (0, 1e5, 1)
_PERCENT: Final = (0, 1000, 1)
TINY: Final = 1e-9  # of any unit below; smaller is written as 0
NUMBERS: Final[dict[str, tuple[float, float, int]]] = {
    **dict.fromkeys((
        "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagesInAcquisition", "NumberOfTemporalPositions",
        "TemporalPositionIdentifier", "TemporalPositionIndex", "StackID", "InStackPositionNumber",
        "FrameAcquisitionNumber", "NumberOfFrames", "EchoNumbers", "EchoTrainLength", "RFEchoTrainLength",
        "GradientEchoTrainLength", "NumberOfPhaseEncodingSteps", "MRAcquisitionFrequencyEncodingSteps",
        "MRAcquisitionPhaseEncodingStepsInPlane", "NumberOfAverages",
    ), _COUNT),
    **dict.fromkeys((
        "EchoTime", "EffectiveEchoTime", "RepetitionTime", "InversionTime", "InversionTimes", "TriggerTime",
        "FrameAcquisitionDuration",
    ), _TIME_MS),
    **dict.fromkeys(("PercentSampling", "PercentPhaseFieldOfView"), _PERCENT),
    "MagneticFieldStrength": (0, 30, 1), "FlipAngle": (0, 720, 1), "PixelBandwidth": (0, 1e5, 1),
    "DiffusionBValue": (0, 1e5, 1), "AcquisitionMatrix": (0, 12000, 4), "DimensionIndexValues": (0, 12000, 8),
    # millimetres, and cosines
    "SliceThickness": (0, 1000, 1), "SpacingBetweenSlices": (-1000, 1000, 1), "PixelSpacing": (0, 1000, 2),
    "ImagePositionPatient": (-10000, 10000, 3), "ImageOrientationPatient": (-1, 1, 6), "SliceLocation": (-1e4, 1e4, 1),
    "ReconstructionDiameter": (0, 10000, 1),
    # grey values
    "RescaleIntercept": (-1e6, 1e6, 1), "RescaleSlope": (-1e6, 1e6, 1), "WindowCenter": (-1e6, 1e6, 8),
    "WindowWidth": (0, 1e6, 8), "LossyImageCompressionRatio": (0, 10000, 8),
}  # fmt: skip
_YES_NO: Final = frozenset({"YES", "NO"})
_IMAGE_TYPES: Final = frozenset((
    "ORIGINAL", "DERIVED", "MIXED", "PRIMARY", "SECONDARY", "OTHER", "NONE", "LOCALIZER", "AXIAL", "CORONAL",
    "SAGITTAL", "MPR", "MOSAIC", "ND", "NORM", "M", "P", "R", "I", "M_SE", "M_FFE", "M_IR", "R_SE", "R_FFE", "R_IR",
    "SE", "FFE", "IR", "DIS2D", "DIS3D", "FM", "FIL", "T1", "T2", "T2_STAR", "FLAIR", "PROTON_DENSITY", "DIFFUSION",
    "PERFUSION", "ANGIO", "MAGNITUDE", "VOLUME", "MIN_IP", "MAX_IP", "AVERAGE", "ADD", "SUBTRACT", "RESAMPLED", "EPI",
    "MEAN",
))  # fmt: skip
_CONTRASTS: Final = frozenset((
    "DIFFUSION", "FLOW_ENCODED", "FLUID_ATTENUATED", "PERFUSION", "PROTON_DENSITY", "STIR", "TAGGING", "T1", "T2",
    "T2_STAR", "TOF", "UNKNOWN", "MIXED",
))  # fmt: skip
# The defined terms that may stay (PS3.3, C.7.6 and C.8.3, C.8.13); of several values, those that are known.
TERMS: Final[dict[str, frozenset[str]]] = {
    "ImageType": _IMAGE_TYPES, "FrameType": _IMAGE_TYPES, "AcquisitionContrast": _CONTRASTS,
    "BodyPartExamined": frozenset({"HEAD", "BRAIN", "SKULL", "HEADNECK"}),
    "PatientPosition": frozenset({"HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"}),
    "ScanningSequence": frozenset({"SE", "IR", "GR", "EP", "RM"}),
    "SequenceVariant": frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "TOF", "NONE"}),
    "ScanOptions": frozenset({"PER", "RG", "CG", "PPG", "FC", "PFF", "PFP", "SP", "FS"}),
    "MRAcquisitionType": frozenset({"2D", "3D"}), "AngioFlag": frozenset({"Y", "N"}),
    "InPlanePhaseEncodingDirection": frozenset({"ROW", "COL", "COLUMN", "OTHER"}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2"}),
    "PixelPresentation": frozenset({"MONOCHROME"}), "PresentationLUTShape": frozenset({"IDENTITY", "INVERSE"}),
    "VolumetricProperties": frozenset({"VOLUME", "SAMPLED", "DISTORTED", "MIXED"}),
    "VolumeBasedCalculationTechnique": frozenset({"NONE", "MAX_IP", "MIN_IP", "MPR", "VOLUME_RENDER", "MIXED"}),
    "ComplexImageComponent": frozenset({"MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "MIXED"}),
    "EchoPulseSequence": frozenset({"SPIN", "GRADIENT", "BOTH"}), "InversionRecovery": _YES_NO,
    "RescaleType": frozenset({"US", "OD", "HU"}), "VOILUTFunction": frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"}),
    "LossyImageCompression": frozenset({"00", "01"}), "BurnedInAnnotation": frozenset({"NO"}),
    "LossyImageCompressionMethod": frozenset({"ISO_10918_1", "ISO_14495_1", "ISO_15444_1"}),
    "DimensionOrganizationType": frozenset({"3D", "3D_TEMPORAL", "TILED_FULL"}),
}  # fmt: skip
DATES: Final = (
    "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
)  # fmt: skip
IDENTITY: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
UIDS: Final = (*IDENTITY, "FrameOfReferenceUID", "DimensionOrganizationUID", "ConcatenationUID")
SEQUENCES: Final = (
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence",
    "PlanePositionSequence", "PlaneOrientationSequence", "FrameContentSequence", "PixelValueTransformationSequence",
    "FrameVOILUTSequence", "MRImageFrameTypeSequence", "MRTimingAndRelatedParametersSequence", "MREchoSequence",
    "MRModifierSequence", "MRImagingModifierSequence", "MRFOVGeometrySequence", "MRAveragesSequence",
    "MRDiffusionSequence", "DimensionOrganizationSequence", "DimensionIndexSequence",
)  # fmt: skip
POINTERS: Final = ("DimensionIndexPointer", "FunctionalGroupPointer")
ALLOWED: Final = frozenset((*NUMBERS, *TERMS, *DATES, *UIDS, *SEQUENCES, *POINTERS))
EMPTY: Final = (  # must be there and may say nothing (type 2), as the profile's action Z asks
    "PatientBirthDate", "PatientSex", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
STORAGE: Final = (  # how pixels are stored: all that a decoder is told
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation",
)  # fmt: skip
# the maker's own name for itself, by what is looked for in free text
MANUFACTURERS: Final = (
    ("SIEMENS", r"siemens"), ("GE MEDICAL SYSTEMS", r"\bge\b|general electric"), ("Philips", r"philips"),
    ("Canon", r"canon|toshiba"), ("Hitachi", r"hitachi"), ("UIH", r"\buih\b|united imaging"),
)  # fmt: skip

assert all(dictionary_VR(keyword) for keyword in ALLOWED)  # noqa: S101 (a misspelt keyword would allow nothing)
