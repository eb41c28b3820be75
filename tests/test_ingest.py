"""From a folder to a manifest: labels, subjects, positions, refusals; and no name of the source in any of it."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from data_contracts.facts import check_facts
from data_contracts.manifest import check_manifest
from data_contracts.violations import ContractError
from pipeline.formats.dicom_write import write_series
from pipeline.formats.nifti import write_volume
from pipeline.formats.scan import ScanFacts
from pipeline.run_dir import RunDir, read_record, write_record
from pipeline.scans.deidentify import locate
from pipeline.scans.ingest import _tables, ingest
from pipeline.scans.inputs import IngestConfig, IngestRecord
from pipeline.scans.labels import LabelConfig
from pipeline.scans.positions import match
from pipeline.scans.reading import ScanSource, Slice
from pipeline.scans.units import Findings

SHARED = Path(__file__).parents[2] / "shared" / "data"
EVERYTHING = IngestConfig(window=(0.0, 1.0), match_position=False)


def head(seed: int, size: int = 64) -> np.ndarray:
    """A head of its own, uint8 (size, size): shape, ventricles and texture follow from the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    wide, high, tilt = rng.uniform(0.5, 0.9, 3)
    inside = ((x - 0.3 * tilt * y) / wide) ** 2 + (y / high) ** 2 < 1
    texture = gaussian_filter(rng.normal(size=(size, size)), 1.5)
    return np.where(inside, 120 + 40 * texture / texture.std(), 0).clip(0, 255).astype(np.uint8)


def volume(seed: int, slices: int = 10) -> np.ndarray:
    return np.stack([head(1000 * seed + z) for z in range(slices)]).astype(np.uint16) * 9


def lesion(pixels: int) -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    mask.ravel()[2000 : 2000 + pixels] = 255
    return mask


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def run(
    source: Path, out: Path, config: IngestConfig = EVERYTHING, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, IngestRecord]:
    done: list[tuple[int, int]] = []
    where = RunDir(out)
    record = ingest(
        source=source,
        out=where,
        config=config,
        seed=seed,
        progress=lambda i, n: done.append((i, n)),
    )
    assert [i for i, _ in done] == list(range(1, done[-1][1] + 1))
    assert read_record(where.ingest_json, IngestRecord) == record
    manifest = pd.read_parquet(where.manifest)
    assert check_manifest(manifest) == []
    assert {path.stem for path in (out / "slices").iterdir()} == set(manifest["slice_id"])
    return manifest, pd.read_csv(where.quarantine), record


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Six tumour and six no-tumour pictures of unknown subjects."""
    for i in range(6):
        save(tmp_path / "in" / "YES" / f"doe{i}.png", head(i))
        save(tmp_path / "in" / "no tumor" / f"roe{i}.jpg", head(100 + i))
    return tmp_path / "in"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Four subjects of ten slices with masks: none, then 50 pixels in slice 4, then 300 from slice 5 on."""
    for s in range(4):
        for z in range(1, 11):
            save(tmp_path / "in" / f"DOE_{s}" / f"DOE_{s}_{z}.png", head(10 * s + z))
            mask = lesion(0 if z < 4 else 50 if z == 4 else 300)
            save(tmp_path / "in" / f"DOE_{s}" / f"DOE_{s}_{z}_mask.png", mask)
    return tmp_path / "in"


def test_class_folders(classes: Path, tmp_path: Path) -> None:
    manifest, quarantine, record = run(classes, tmp_path / "out")
    assert manifest["diagnosis"].value_counts().to_dict() == {"tumour": 6, "no_tumour": 6}
    assert (manifest["label_rule"] == "folder").all()
    assert not manifest["subject_known"].any()
    assert manifest["subject"].nunique() == manifest["group"].nunique() == 12
    assert manifest["position"].isna().all()
    assert quarantine.empty
    assert (record.files_found, record.slices_read, record.subjects_known) == (12, 12, False)
    for slice_id, diagnosis in zip(manifest["slice_id"], manifest["diagnosis"], strict=True):
        assert ("YES" in str(locate(classes, slice_id))) == (diagnosis == "tumour")


def test_pixels_and_masks_lie_in_the_run(masks: Path, tmp_path: Path) -> None:
    manifest, _, _ = run(masks, tmp_path / "out")
    for row in manifest.itertuples():
        with np.load(RunDir(tmp_path / "out").slice_pixels(row.slice_id)) as arrays:
            picture = np.asarray(Image.open(locate(masks, row.slice_id)))
            np.testing.assert_array_equal(arrays["pixels"], picture)
            assert arrays["mask"].dtype == np.uint8
            assert arrays["mask"].sum() == row.tumour_pixels


def test_masks_decide_and_small_ones_are_ambiguous(masks: Path, tmp_path: Path) -> None:
    manifest, quarantine, record = run(masks, tmp_path / "out")
    assert manifest["diagnosis"].value_counts().to_dict() == {"tumour": 24, "no_tumour": 12}
    assert set(manifest["tumour_pixels"]) == {0, 300}
    assert quarantine[["outcome", "rule"]].value_counts().to_dict() == {("left_out", "ambiguous_mask"): 4}
    assert (record.files_found, record.masks_found) == (40, 40)
    assert manifest["subject"].nunique() == 4
    assert manifest["subject_known"].all()


def test_positions_count_slices_as_numbers_and_the_window_applies(masks: Path, tmp_path: Path) -> None:
    config = IngestConfig(match_position=False, window=(0.2, 0.75))
    manifest, quarantine, _ = run(masks, tmp_path / "out", config)
    of_file = {locate(masks, i).stem: p for i, p in zip(manifest["slice_id"], manifest["position"], strict=True)}
    assert of_file["DOE_0_7"] == pytest.approx(0.65)
    assert "DOE_0_10" not in of_file
    assert quarantine["rule"].value_counts()["outside_window"] == 4 * 4
    (masks.parent / "slice_index.csv").write_text("patient,slice,n_slices,rel_pos\nDOE_0,1,20,0.025\n")
    indexed, _, _ = run(masks, tmp_path / "out2")
    of_file = {locate(masks, i).stem: p for i, p in zip(indexed["slice_id"], indexed["position"], strict=True)}
    assert of_file["DOE_0_7"] == pytest.approx(6.5 / 20)
    assert of_file["DOE_1_7"] == pytest.approx(0.65)


def test_matching_leaves_the_same_heights_in_both(masks: Path, tmp_path: Path) -> None:
    for s in range(2):  # two subjects whose tumour covers the slices that the others have free
        for z in range(1, 11):
            save(masks / f"DOE_{s}" / f"DOE_{s}_{z}_mask.png", lesion(300 if z < 7 else 0))
    config = IngestConfig(window=(0.0, 1.0))
    manifest, quarantine, _ = run(masks, tmp_path / "out", config)
    heights = manifest.groupby("diagnosis")["position"].apply(lambda p: sorted((p / 0.05).astype(int)))
    assert heights["tumour"] == heights["no_tumour"]
    assert len(manifest) > 10
    assert (quarantine["rule"] == "position_unmatched").any()


def test_match_spreads_over_subjects() -> None:
    diagnoses = ["tumour"] * 20 + ["no_tumour"] * 4
    subjects = [f"a{i // 5}" for i in range(20)] + ["b"] * 4
    bins = [3] * 24
    keep = match(bins=bins, diagnoses=diagnoses, subjects=subjects, rng=np.random.default_rng(0))
    assert keep[20:].all()
    assert sorted(s for s, k in zip(subjects[:20], keep[:20], strict=True) if k) == ["a0", "a1", "a2", "a3"]
    other = match(bins=bins, diagnoses=diagnoses, subjects=subjects, rng=np.random.default_rng(1))
    assert (keep != other).any()
    unknown = match(bins=[None] * 24, diagnoses=diagnoses, subjects=subjects, rng=np.random.default_rng(0))
    assert unknown.all()


def test_same_source_and_seed_same_manifest_bytes(masks: Path, tmp_path: Path) -> None:
    for z in range(1, 11):  # three subjects to draw one from
        save(masks / "DOE_0" / f"DOE_0_{z}_mask.png", lesion(300 if z < 7 else 0))
    config = IngestConfig(window=(0.0, 1.0))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(masks, tmp_path / name, config, seed)
    for file in ("manifest.parquet", "quarantine.csv", "ingest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert (tmp_path / "a" / "manifest.parquet").read_bytes() != (tmp_path / "c" / "manifest.parquet").read_bytes()


def test_a_second_ingest_leaves_nothing_of_the_first(classes: Path, masks: Path, tmp_path: Path) -> None:
    run(masks, tmp_path / "out")
    (classes / "YES" / "doe5.png").unlink()
    run(classes, tmp_path / "out")  # run() compares the slice files with the manifest


def test_bad_files_are_refused_each_by_its_rule_and_stop_nothing(classes: Path, tmp_path: Path) -> None:
    whole = (classes / "YES" / "doe0.png").read_bytes()
    (classes / "YES" / "cut.png").write_bytes(whole[:-300])
    (classes / "YES" / "words.bin").write_bytes(b"Doe Jane")
    (classes / "YES" / "lost_mask.png").write_bytes(whole)
    (classes / "YES" / "notes.txt").write_text("Doe Jane")
    (classes / "YES" / ".hidden.png").write_bytes(whole)
    save(classes / "YES" / "small.png", head(7, size=20))
    save(classes / "YES" / "blank.png", np.zeros((64, 64), np.uint8))
    save(classes / "elsewhere" / "x.png", head(8))
    save(classes / "YES" / "shape.png", head(9))
    save(classes / "YES" / "shape_seg.png", lesion(0)[:32])
    manifest, quarantine, record = run(classes, tmp_path / "out")
    assert len(manifest) == 12
    found = {locate(classes, r).name: rule for r, rule in zip(quarantine["record"], quarantine["rule"], strict=True)}
    assert found == {
        "cut.png": "unreadable",
        "words.bin": "unknown_format",
        "lost_mask.png": "mask_without_image",
        "small.png": "too_small",
        "blank.png": "blank",
        "x.png": "no_diagnosis",
        "shape.png": "mask_shape",
    }
    assert record.files_skipped == 2


def test_duplicates_are_grouped_and_contradictions_leave(classes: Path, tmp_path: Path) -> None:
    save(classes / "YES" / "copy.png", head(0))
    save(classes / "YES" / "larger.png", np.kron(head(1), np.ones((2, 2), np.uint8)))
    save(classes / "no tumor" / "both.png", head(2))
    manifest, quarantine, record = run(classes, tmp_path / "out")
    of_name = {locate(classes, row.slice_id).name: row for row in manifest.itertuples()}
    for one, two in (("doe0.png", "copy.png"), ("doe1.png", "larger.png")):
        assert of_name[one].group == of_name[two].group
        assert of_name[one].subject == of_name[two].subject
    assert (record.exact_duplicates, record.near_duplicate_pairs) == (1, 1)
    assert manifest["group"].nunique() == len(manifest) - 2
    assert set(quarantine["rule"]) == {"contradictory_duplicate"}
    assert {locate(classes, record).name for record in quarantine["record"]} == {"doe2.png", "both.png"}
    for record, detail in zip(quarantine["record"], quarantine["detail"], strict=True):
        assert set(quarantine["record"]) - {record} < set(detail.replace(",", "").split())


def test_a_subject_in_both_class_folders_is_one_group(tmp_path: Path) -> None:
    for z in range(4):
        save(tmp_path / "in" / "tumour" / "doe" / f"{z}.png", head(z))
        save(tmp_path / "in" / "healthy" / "doe" / f"{z}.png", head(10 + z))
        save(tmp_path / "in" / "healthy" / "roe" / "images" / f"{z}.png", head(20 + z))
    manifest, _, _ = run(tmp_path / "in", tmp_path / "out")
    assert manifest.groupby("subject").size().to_dict() == {"subject-0001": 8, "subject-0002": 4}
    assert (manifest["group"].str[-4:] == manifest["subject"].str[-4:]).all()
    assert manifest["position"].notna().sum() == 8  # four pictures are too few to tell a height


def test_nifti_and_dicom_give_the_slices_that_were_written(tmp_path: Path) -> None:
    first, second = volume(1), volume(2)
    mask = np.stack([lesion(0)] * 5 + [lesion(300)] * 5) // 255
    (tmp_path / "in" / "sub-01").mkdir(parents=True)
    write_volume(tmp_path / "in" / "sub-01" / "sub-01_FLAIR.nii.gz", first, (5.0, 2.0, 2.0))
    write_volume(tmp_path / "in" / "sub-01" / "sub-01_seg.nii.gz", mask, (5.0, 2.0, 2.0))
    series = tmp_path / "in" / "anything"
    write_series(series, second, spacing=(5.0, 2.0, 2.0), subject_id="DOE^JANE", sequence="T2", uid_seed=3)
    write_volume(tmp_path / "in" / "anything_mask.nii.gz", mask, (5.0, 2.0, 2.0))
    manifest, quarantine, record = run(tmp_path / "in", tmp_path / "out")
    assert quarantine.empty
    assert (record.files_found, record.masks_found, record.slices_read) == (11, 2, 20)
    assert manifest["subject"].nunique() == 2
    assert manifest.groupby(["sequence", "diagnosis"]).size().to_dict() == {
        ("FLAIR", "no_tumour"): 5,
        ("FLAIR", "tumour"): 5,
        ("T2", "no_tumour"): 5,
        ("T2", "tumour"): 5,
    }
    assert set(manifest["spacing_mm"]) == {2.0}
    for sequence, voxels in (("FLAIR", first), ("T2", second)):
        rows = manifest[manifest["sequence"] == sequence].sort_values("position")
        read = [np.load(RunDir(tmp_path / "out").slice_pixels(i))["pixels"] for i in rows["slice_id"]]
        np.testing.assert_array_equal(np.stack(read), voxels)


def test_one_broken_file_leaves_its_series(tmp_path: Path) -> None:
    for name, seed in (("tumour", 1), ("normal", 2)):
        folder = tmp_path / "in" / name / "doe"
        paths = write_series(folder, volume(seed), spacing=(5, 2, 2), subject_id=name, sequence="T1", uid_seed=seed)
    paths[4].write_bytes(paths[4].read_bytes()[:-100])
    manifest, quarantine, _ = run(tmp_path / "in", tmp_path / "out")
    assert manifest["diagnosis"].value_counts().to_dict() == {"tumour": 10, "no_tumour": 9}
    assert [locate(tmp_path / "in", record) for record in quarantine["record"]] == [paths[4]]
    assert 0.45 not in manifest.loc[manifest["diagnosis"] == "no_tumour", "position"].round(3).to_list()


def test_no_name_of_the_source_leaves(masks: Path, tmp_path: Path) -> None:
    (masks / "DOE_0" / "DOE_broken.png").write_bytes(b"\x89PNG\r\n\x1a\nDOE")
    folder = masks / "DOE_dicom" / "yes"
    write_series(folder, volume(9), spacing=(5, 2, 2), subject_id="DOE^JANE", sequence="T1", uid_seed=1)
    run(masks, tmp_path / "out", EVERYTHING)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        assert "doe" not in path.name.lower()
        assert b"doe" not in path.read_bytes().lower()


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda folder: None, "missing"),
        (lambda folder: folder.write_text("x"), "no_folder"),
        (lambda folder: folder.mkdir(), "empty"),
        (lambda folder: save(folder / "yes" / "jane.png", np.zeros((64, 64), np.uint8)), "no_slices"),
        (lambda folder: save(folder / "yes" / "jane.png", head(1)), "one_diagnosis"),
    ],
)
def test_what_cannot_be_used_says_so_in_one_line(tmp_path: Path, make: object, rule: str) -> None:
    source = tmp_path / "in"
    make(source)
    with pytest.raises(ContractError) as refused:
        run(source, tmp_path / "out")
    assert [violation.rule for violation in refused.value.violations] == [rule]
    assert str(source) in str(refused.value)
    assert "jane" not in str(refused.value)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_out_inside_the_source_is_refused(classes: Path) -> None:
    with pytest.raises(ContractError, match="inside_source"):
        run(classes, classes / "out")


def test_layout_chooses_what_decides(masks: Path, tmp_path: Path) -> None:
    save(masks / "yes" / "roe.png", head(77))
    _, quarantine, _ = run(masks, tmp_path / "a", EVERYTHING.model_copy(update={"labels": LabelConfig(layout="masks")}))
    assert (quarantine["rule"] == "no_diagnosis").sum() == 1
    with pytest.raises(ContractError, match="no_tumour"):
        run(masks, tmp_path / "b", EVERYTHING.model_copy(update={"labels": LabelConfig(layout="classes")}))
    with pytest.raises(ValidationError):
        IngestConfig(labels={"layout": "by_hand"})


def test_real_253(tmp_path: Path) -> None:
    source = SHARED / "brain_mri_253"
    if not source.exists():
        pytest.skip("real data brain_mri_253 is not beside the project")
    manifest, _, record = run(source, tmp_path / "out", IngestConfig())
    assert manifest["diagnosis"].value_counts().to_dict() == {"tumour": 155, "no_tumour": 98}
    assert record.exact_duplicates == 25
    assert manifest["group"].nunique() == 199  # see test_duplicates: every doubtful pair was looked at


def test_real_patients_with_masks(tmp_path: Path) -> None:
    source = SHARED / "lgg_flair"
    if not source.exists():
        pytest.skip("real data lgg_flair is not beside the project")
    (tmp_path / "in").mkdir()
    for patient in sorted(source.iterdir())[:6]:
        (tmp_path / "in" / patient.name).symlink_to(patient.resolve())
    manifest, quarantine, record = run(tmp_path / "in", tmp_path / "out", IngestConfig())
    assert manifest["subject"].nunique() == 6
    assert record.near_duplicate_pairs == record.exact_duplicates == 0
    assert set(quarantine["rule"]) <= {"outside_window", "ambiguous_mask", "position_unmatched"}
    counts = manifest["diagnosis"].value_counts()
    assert counts["tumour"] == counts["no_tumour"] > 5


def test_real_oddities_stop_nothing(tmp_path: Path) -> None:
    if not (SHARED / "dicom").exists():
        pytest.skip("real DICOM data is not beside the project")
    (tmp_path / "in" / "yes").mkdir(parents=True)
    (tmp_path / "in" / "yes" / "all").symlink_to((SHARED / "dicom").resolve())
    controls = tmp_path / "in" / "no"
    controls.mkdir()
    write_volume(controls / "control.nii.gz", volume(4), (5.0, 2.0, 2.0))
    manifest, quarantine, _ = run(tmp_path / "in", tmp_path / "out", EVERYTHING)
    assert {"sagittal", "axial"} <= set(manifest["plane"])
    wanted = {"wrong_modality", "frames_unplaced", "no_pixels", "unreadable", "unknown_format", "noise"}
    assert wanted <= set(quarantine["rule"])


def test_an_interrupted_ingest_begins_again(classes: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(classes / "more.zip", "w") as archive:
        archive.write(classes / "YES" / "doe0.png", "yes/again.png")
    out = RunDir(tmp_path / "out")
    (out.scratch / "unpacked" / "1").mkdir(parents=True)
    (out.scratch / "unpacked" / "1" / "000001").write_bytes(b"half")  # what a kill leaves
    out.unfinished.touch()
    manifest, quarantine, record = run(classes, out.root)
    assert quarantine.empty
    assert (record.exact_duplicates, len(manifest)) == (1, 13)
    assert not out.unfinished.exists()
    assert not out.scratch.exists()


def test_only_what_is_unchanged_and_whole_is_taken_as_it_stands(masks: Path, tmp_path: Path) -> None:
    out = RunDir(tmp_path / "out")

    def renewed(config: IngestConfig = EVERYTHING, key: bytes | None = None, seed: int = 0) -> bool:
        before = out.manifest.stat().st_mtime_ns
        ingest(source=masks, out=out, config=config, seed=seed, key=key)
        return out.manifest.stat().st_mtime_ns != before

    run(masks, out.root)
    assert not renewed()
    save(masks / "DOE_0" / "DOE_0_1_mask.png", lesion(300))
    assert renewed()
    assert not renewed()
    assert renewed(EVERYTHING.model_copy(update={"min_side": 33}))
    assert renewed(key=b"k" * 32)
    assert not renewed(key=b"k" * 32)
    assert renewed(key=b"l" * 32)
    assert renewed(key=b"l" * 32, seed=1)
    next((out.root / "slices").iterdir()).unlink()
    assert renewed(key=b"l" * 32, seed=1)
    record = read_record(out.ingest_json, IngestRecord)
    write_record(out.ingest_json, record.model_copy(update={"unsettled": 1}))  # a reader was killed by chance
    assert renewed(key=b"l" * 32, seed=1)


def test_what_is_said_of_a_scan_is_said_of_its_slices(tmp_path: Path) -> None:
    for name, seed in (("tumour", 1), ("normal", 2)):
        (tmp_path / "in" / name / f"doe{seed}").mkdir(parents=True)
        write_volume(tmp_path / "in" / name / f"doe{seed}" / "v.nii.gz", volume(seed), (5.0, 2.0, 2.0))
    manifest, _, _ = run(tmp_path / "in", tmp_path / "out")
    of_patient = manifest["review"].str.contains("label_of_patient")
    assert (of_patient == (manifest["diagnosis"] == "tumour")).all()
    with pytest.raises(ContractError, match="none of them tumour"):
        run(tmp_path / "in", tmp_path / "out", EVERYTHING.model_copy(update={"keep_review": False}))
    kept_out = pd.read_csv(tmp_path / "out" / "quarantine.csv")
    assert kept_out["rule"].value_counts()["wants_review"] >= 10


def test_a_slice_that_breaks_its_contract_is_quarantined_alone(tmp_path: Path) -> None:
    facts = ScanFacts(coding="png", bits=8)
    source = ScanSource(format="raster", n_slices=1, file_bytes=9.0, slice_spacing_mm=None, facts=facts)
    sound = Slice(
        slice_id="file-0001", subject=None, diagnosis="tumour", label_rule="folder", sequence="T1", plane="axial",
        position=None, height=64, width=64, spacing_mm=1.0, tumour_pixels=None, sha256="0" * 64, review="",
        source=source, group=0,
    )  # fmt: skip
    broken = replace(sound, slice_id="file-0002", spacing_mm=0.0, group=1)
    lying = replace(sound, slice_id="file-0003", group=2, source=replace(source, facts=replace(facts, bits=0)))
    findings = Findings()
    kept, manifest, _ = _tables([sound, broken, lying], None, findings)
    assert kept == [sound]
    assert list(manifest["slice_id"]) == ["file-0001"]
    assert {row["record"] for row in findings.rows} == {"file-0002", "file-0003"}
    assert {row["rule"] for row in findings.rows} == {"broken_contract"}


def test_a_column_that_is_missing_is_said_of_the_whole_table() -> None:
    table = pd.DataFrame({"slice_id": ["file-0001"], "height": ["tall"]})
    for check, name, column in ((check_manifest, "manifest", "diagnosis"), (check_facts, "facts", "coding")):
        found = {(violation.record, violation.detail) for violation in check(table)}
        assert (name, column) in found
        assert ("file-0001", "tall") in found


def test_a_source_that_is_no_file_and_an_out_that_cannot_be_are_said(classes: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "pipe", "", "x" * 300):
        with pytest.raises(ContractError, match=r"no_folder|missing"):
            ingest(source=source, out=RunDir(tmp_path / "out"), config=EVERYTHING, seed=0)
    (tmp_path / "file").touch()
    with pytest.raises(ContractError, match="not_writable"):
        ingest(source=classes, out=RunDir(tmp_path / "file" / "out"), config=EVERYTHING, seed=0)
