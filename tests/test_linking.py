"""Who is one patient, by whatever road: the partition that a split keeps whole; and copies that contradict labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.formats.dicom_write import write_series
from pipeline.formats.nifti import write_volume
from pipeline.formats.scan import ScanFacts
from pipeline.run_dir import RunDir
from pipeline.scans.deidentify import locate
from pipeline.scans.duplicates import FEATURES
from pipeline.scans.ingest import IngestConfig, ingest
from pipeline.scans.linking import link
from pipeline.scans.reading import ScanSource, Slice
from pipeline.scans.split import SplitConfig, split
from pipeline.scans.units import Findings

KEY = bytes(range(32))
CONFIG = IngestConfig(window=(0.0, 1.0), match_position=False)
SPACING = (5.0, 2.0, 2.0)


def volume(seed: int, slices: int = 3) -> np.ndarray:
    """Heads (Z, 64, 64), uint16, of a shape and texture that follow from the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    wide, high = rng.uniform(0.6, 0.9, 2)
    texture = gaussian_filter(rng.normal(size=(slices, 64, 64)), (0, 1.5, 1.5))
    heads = np.where((x / wide) ** 2 + (y / high) ** 2 < 1, 1200 + 400 * texture / texture.std(), 0)
    return heads.clip(0, 4000).astype(np.uint16)


def nifti(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, volume(seed), SPACING)


def series(folder: Path, subject: str, seed: int) -> None:
    write_series(folder, volume(seed), spacing=SPACING, subject_id=subject, sequence="T2", uid_seed=seed)


def ingested(source: Path, key: bytes | None = None) -> pd.DataFrame:
    out = RunDir(source.parent / f"out-{key is not None}")
    ingest(source=source, out=out, config=CONFIG, seed=0, key=key)
    return pd.read_parquet(out.manifest)


def partition(source: Path, manifest: pd.DataFrame, column: str) -> set[frozenset[str]]:
    """The files that share each value of a column, by their places in the source."""
    places = [locate(source, record).relative_to(source).as_posix() for record in manifest["slice_id"]]
    return {frozenset(files) for files in pd.Series(places).groupby(manifest[column].to_numpy()).agg(set)}


def test_flat_volumes_are_linked_and_named_by_nobody(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for seed, name in enumerate(("yes/pat1_flair", "yes/pat1_t1", "yes/pat2_flair", "no/pat3_t1", "no/t2", "no/t1")):
        nifti(source / f"{name}.nii.gz", seed)
    manifest = ingested(source)
    assert not manifest["subject_known"].any()
    wanted = {("no/pat3_t1",), ("no/t1", "no/t2"), ("yes/pat1_flair", "yes/pat1_t1"), ("yes/pat2_flair",)}
    files = {frozenset(f"{name}.nii.gz" for name in names) for names in wanted}
    assert partition(source, manifest, "group") == partition(source, manifest, "subject") == files


def test_a_volume_goes_with_whom_another_road_names_and_stays_unknown(tmp_path: Path) -> None:
    source = tmp_path / "in"
    nifti(source / "yes/Pat1_flair.nii.gz", 1)
    nifti(source / "no/pat1/x.nii.gz", 2)
    nifti(source / "no/pat2/x.nii.gz", 3)
    manifest = ingested(source)
    wanted = {frozenset(("yes/Pat1_flair.nii.gz", "no/pat1/x.nii.gz")), frozenset(("no/pat2/x.nii.gz",))}
    assert partition(source, manifest, "group") == wanted
    assert (manifest["subject_known"] == (manifest["diagnosis"] == "no_tumour")).all()


def test_a_dicom_series_of_nobody_is_one_group_and_unknown(tmp_path: Path) -> None:
    source = tmp_path / "in"
    series(source / "yes", "", 1)
    series(source / "no", "", 2)
    write_series(source / "no" / "t1", volume(3), spacing=SPACING, subject_id="", sequence="T1", uid_seed=1)
    manifest = ingested(source)
    assert not manifest["subject_known"].any()
    assert sorted(manifest.groupby("group")["diagnosis"].agg(list)) == [
        ["no_tumour"] * 3,
        ["no_tumour"] * 3 + ["tumour"] * 3,  # one series in two folders
    ]


def test_the_series_of_an_exam_are_one_known_subject(tmp_path: Path) -> None:
    source = tmp_path / "in"
    nifti(source / "yes/pat1/20190301/AX_T2_TSE/x.nii.gz", 1)
    nifti(source / "yes/pat1/20190301/SAG_T1_MPRAGE_ISO/x.nii.gz", 2)
    nifti(source / "no/pat2/20190301/AX_T2_TSE/x.nii.gz", 3)
    manifest = ingested(source)
    assert manifest["subject_known"].all()
    assert len(partition(source, manifest, "group")) == len(partition(source, manifest, "subject")) == 2


@pytest.fixture
def many_roads(tmp_path: Path) -> Path:
    """Ten patients; two of them in two spellings or by two roads, and volumes and pictures of nobody."""
    source = tmp_path / "in"
    series(source / "yes/a", "phantom-0004", 1)
    series(source / "no/b", "PHANTOM-0004", 2)
    series(source / "yes/c", "P1", 3)
    nifti(source / "no/p1/x.nii.gz", 4)
    for i in range(8):
        nifti(source / ("yes", "no")[i % 2] / f"other{i}/x.nii.gz", 10 + i)
    nifti(source / "yes/doe_t1.nii.gz", 20)
    nifti(source / "yes/doe_t2.nii.gz", 21)
    Image.fromarray((volume(30)[0] // 16).astype(np.uint8)).save(source / "yes/1.png")
    return source


def test_a_patient_is_one_whatever_the_spelling_the_road_and_the_key(many_roads: Path) -> None:
    plain, keyed = ingested(many_roads), ingested(many_roads, KEY)
    for column in ("subject", "group"):
        parts = partition(many_roads, plain, column)
        assert parts == partition(many_roads, keyed, column)
        for one, two in (("yes/a/", "no/b/"), ("yes/c/", "no/p1/")):
            (whole,) = (files for files in parts if any(file.startswith(one) for file in files))
            assert {file.startswith((one, two)) for file in whole} == {True}
            assert any(file.startswith(two) for file in whole)
        assert len(parts) == 10 + 2
    assert plain["subject_known"].equals(keyed["subject_known"])
    assert plain.loc[plain["subject_known"], "subject"].nunique() == 10
    assert "phantom" not in keyed["subject"].str.cat()
    for manifest in (plain, keyed):  # which refuses a subject on both sides
        split(manifest, config=SplitConfig(folds_drawn=2), seed=0)


def one_slice(slice_id: str, diagnosis: str, rule: str) -> Slice:
    facts = ScanSource(format="raster", n_slices=1, file_bytes=1.0, slice_spacing_mm=None, facts=ScanFacts(coding=""))
    return Slice(
        slice_id=slice_id,
        subject=None,
        diagnosis=diagnosis,
        label_rule=rule,
        sequence="unknown",
        plane="unknown",
        position=None,
        height=64,
        width=64,
        spacing_mm=None,
        tumour_pixels=None,
        sha256=slice_id * 8,
        review="",
        source=facts,
    )


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        (("mask", "mask"), False),
        (("mask", "folder"), True),
        (("folder", "mask"), True),
        (("folder", "manifest"), True),
    ],
)
def test_a_copy_across_classes_is_refused_unless_both_have_masks(rules: tuple[str, str], *, refused: bool) -> None:
    feature = np.zeros((2, FEATURES), np.float16)
    feature[:, :: FEATURES // 3] = 1.0  # the same in each framing
    slices = [one_slice("one", "tumour", rules[0]), one_slice("two", "no_tumour", rules[1])]
    findings = Findings()
    kept, near = link(slices, feature, seed=0, findings=findings)
    assert near == [("one", "two")]
    assert [row["rule"] for row in findings.rows] == ["contradictory_duplicate"] * 2 * refused
    assert len(kept) == 2 * (not refused)
    same = [replace(one, diagnosis="tumour") for one in slices]
    linked, _ = link(same, feature, seed=0, findings=Findings())
    assert linked[0].group == linked[1].group
