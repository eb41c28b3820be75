"""Every file of the real data beside the project: in the manifest, or kept out by the right rule, folder by folder."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest

from pipeline.run_dir import RunDir, read_record
from pipeline.scans.deidentify import file_record
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig, IngestRecord
from pipeline.scans.labels import LabelConfig
from pipeline.scans.sources import list_source

pytestmark = pytest.mark.slow

# MR without class folder or mask is called tumour here, so that all that can be read is
ALL = IngestConfig(
    window=(0.0, 1.0), match_position=False, labels=LabelConfig(dicom_attribute="Modality", tumour="^MR$")
)
PATIENT = "label_of_patient"
EXPECTED = {
    "brain_mri_253/no": {"no_tumour": 98, "burned_in_text?": 10, "frame?": 7, "not_a_head?": 1},
    # the abdomen, and one head wider than heads are
    "brain_mri_253/yes": {"tumour": 155, "burned_in_text?": 36, "frame?": 21, "not_a_head?": 2},
    # 15 + 24 + 24 frames, and a spectrum
    "dicom/enhanced_mr_brain_tumour": {"tumour": 63, "no_pixels": 1, f"{PATIENT}?": 3},
    "dicom/ge_classic": {"tumour": 1, "frames_unplaced": 1, f"{PATIENT}?": 1},  # the film of a beating heart
    # CT, plan, report, colour capture and a photograph; a copy; cut short; no DICOM at its start
    "dicom/odd": {"wrong_modality": 6, "repeated_position": 1, "unreadable": 1, "unknown_format": 1},
    "dicom/odd/fruit_labelled_mr": {
        "tumour": 3, "not_a_head": 7, "beside_no_head?": 3, "missing_slices?": 1, f"{PATIENT}?": 1,
    },
    "dicom/odd/missing_slice": {"noise": 2, f"{PATIENT}?": 1},  # its two pictures hold random numbers
    "dicom/philips_mprage": {"tumour": 45, "missing_slices?": 1, f"{PATIENT}?": 1},
    "dicom/siemens_t1_sag/3_t1_fl2d_sag": {"tumour": 32, "blank": 3, f"{PATIENT}?": 1},  # ears
    # one spine in eight codings, and two heads
    "dicom/transfer_syntaxes": {"tumour": 2, "repeated_position": 7, "not_a_head": 1, f"{PATIENT}?": 3},
    "lgg_3channel/TCGA_CS_6666_20011109": {"not_grey": 26},
    # all three channels are FLAIR
    "lgg_3channel/TCGA_DU_7013_19860523": {"no_tumour": 37, "tumour": 12, "not_a_head?": 2},
    "lgg_flair": {"tumour": 552, "no_tumour": 351, "ambiguous_mask": 7, "not_a_head?": 2},
    "mnist_t10k": {"unknown_format": 2},
    "nifti/brats2013/brats_2013_pat0005_1": {
        "no_tumour": 95, "tumour": 140, "blank": 63, "ambiguous_mask": 12, "not_a_tumour_mask": 1, "margin?": 17,
        "not_a_head?": 11,
    },
    "nifti/brats2013/brats_2013_pat0006_1": {
        "no_tumour": 93, "tumour": 143, "blank": 70, "ambiguous_mask": 4, "not_a_tumour_mask": 1, "margin?": 34,
        "not_a_head?": 3,
    },
    "nifti/ds002748/sub-52/anat": {"no_diagnosis": 1},  # participants.tsv tells only where its folder is the source
    "nifti/ds002748/sub-53/anat": {"no_diagnosis": 1},
    "nifti/ds002748/sub-54/anat": {"no_diagnosis": 1},
    "nifti/odd": {"no_diagnosis": 3},
    "nifti/tcga_fg_6692_raw": {"no_diagnosis": 4},
}  # fmt: skip


def test_every_file_is_used_or_kept_out_by_the_right_rule(shared_data: Path, tmp_path: Path) -> None:
    out = RunDir(tmp_path / "out")
    ingest(source=shared_data, out=out, config=ALL, seed=0)
    places = {}
    for i, candidate in enumerate(list_source(shared_data).candidates, start=1):
        folder = candidate.relative.parent.as_posix()
        places[file_record(i)] = "lgg_flair" if folder.startswith("lgg_flair/") else folder
    manifest, quarantine = pd.read_parquet(out.manifest), pd.read_csv(out.quarantine)
    found: dict[str, Counter[str]] = defaultdict(Counter)
    used = list(zip(manifest["slice_id"], manifest["diagnosis"], strict=True))
    kept_out = list(zip(quarantine["record"], quarantine["rule"], strict=True))
    review = pd.read_csv(out.review)
    looked_at = [(record, f"{rule}?") for record, rule in zip(review["record"], review["rule"], strict=True)]
    for record, what in [*used, *kept_out, *looked_at]:
        found[places[record[:9]]][what] += 1
    assert {place: dict(counts) for place, counts in found.items()} == EXPECTED
    # of DICOM series every file is one slice, and so is each picture with its mask
    for place, files in Counter(places.values()).items():
        slices = sum(n for what, n in found[place].items() if not what.endswith("?"))
        if (place.startswith("dicom/") and "enhanced" not in place) or place.startswith(("brain", "mnist")):
            assert slices == files
        elif place.startswith("lgg"):
            assert 2 * slices == files
    record = read_record(out.ingest_json, IngestRecord)
    masks = sum(1 for path in shared_data.rglob("*_mask.tif"))
    assert record.masks_found == masks + 2  # of the two BraTS patients one each


def test_a_bids_folder_is_labelled_by_its_table(shared_data: Path, tmp_path: Path) -> None:
    from data_contracts.violations import ContractError  # noqa: PLC0415 - of this test alone

    out = RunDir(tmp_path / "out")
    with pytest.raises(ContractError, match="none of them tumour"):
        ingest(source=shared_data / "nifti" / "ds002748", out=out, config=IngestConfig(), seed=0)
    rules = set(pd.read_csv(out.quarantine)["rule"])
    assert rules <= {"outside_window", "blank"}


def test_one_channel_of_three_is_flair(shared_data: Path, tmp_path: Path) -> None:
    out = RunDir(tmp_path / "out")
    config = IngestConfig(window=(0.0, 1.0), match_position=False, channel=1)
    ingest(source=shared_data / "lgg_3channel", out=out, config=config, seed=0)
    manifest = pd.read_parquet(out.manifest)
    assert manifest["subject"].nunique() == 2
    assert set(manifest["diagnosis"]) == {"tumour", "no_tumour"}
    assert (manifest["label_rule"] == "mask").all()
    assert not set(pd.read_csv(out.quarantine)["rule"]) & {"not_grey", "no_such_channel"}
    assert re.fullmatch(r"file-\d{4}", manifest["slice_id"][0])
