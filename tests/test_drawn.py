from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_contracts.violations import ContractError
from pipeline.formats.dicom_write import write_series
from pipeline.formats.scan import Unreadable
from pipeline.run_dir import RunDir, read_record
from pipeline.scans.drawn import REGIONS, draw, read_regions
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig, IngestRecord, fingerprint
from pipeline.scans.labels import LabelConfig
from pipeline.scans.phantom import write_phantoms
from pipeline.scans.reading import Job, Read, ReadConfig, read
from pipeline.scans.sources import SourceFile, kind_of, list_source
from pipeline.scans.units import Findings, Unit, find_units

SIDE = 64


def table(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REGIONS).write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder


def head(seed: int = 0) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=(SIDE, SIDE)), 2)
    inside = rows**2 / 26**2 + columns**2 / 22**2 < 1
    return np.where(inside, np.clip(120 + 300 * texture, 40, 250), 0).astype(np.uint8)


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(head(seed)).save(path)


def units(source: Path) -> list[Unit]:
    listing = list_source(source)
    files = [
        SourceFile(f"r{i}", one.path, one.relative, kind_of(one.path), declared=one.declared, refused=one.refused)
        for i, one in enumerate(listing.candidates)
    ]
    return find_units(files, slices_of={}, attribute=None, findings=Findings(), regions=read_regions(source))


def readings(source: Path, out: Path, layout: str = "auto") -> tuple[list[Read], RunDir]:
    run = RunDir(out)
    run.slice_pixels("any").parent.mkdir(parents=True, exist_ok=True)
    config = ReadConfig(labels=LabelConfig(layout=layout), window=(0.0, 1.0), min_side=16)
    return [read(Job(unit, config, run)) for unit in units(source)], run


def masks_in(run: RunDir) -> dict[str, int]:
    found = {}
    for path in sorted(run.slice_pixels("any").parent.glob("*.npz")):
        with np.load(path) as stored:
            found[path.stem] = int(stored["mask"].sum()) if "mask" in stored else -1
    return found


def test_a_box_covers_the_pixels_between_its_corners(tmp_path: Path) -> None:
    table(tmp_path, "file,x0,y0,x1,y1", "yes/a.png,2,3,6,5")
    mask = draw(read_regions(tmp_path)[PurePosixPath("yes/a.png")], (1, 8, 10))[0]
    wanted = np.zeros((8, 10), np.uint8)
    wanted[3:5, 2:6] = 1
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, wanted)


def test_a_polygon_covers_the_pixels_whose_middle_is_inside(tmp_path: Path) -> None:
    table(tmp_path, "file,polygon", 'a.png,"0,0 8,0 0,8"')
    mask = draw(read_regions(tmp_path)[PurePosixPath("a.png")], (1, 8, 8))[0]
    rows, columns = np.mgrid[:8, :8] + 0.5
    off_the_edge = rows + columns != 8
    assert np.array_equal(mask[off_the_edge], (rows + columns < 8)[off_the_edge])


def test_a_polygon_may_be_hollow_towards_a_side(tmp_path: Path) -> None:
    table(tmp_path, "file,polygon", 'a.png,"1,1 9,1 9,9 6,9 6,4 4,4 4,9 1,9"')  # an arch
    mask = draw(read_regions(tmp_path)[PurePosixPath("a.png")], (1, 10, 10))[0]
    assert mask.sum() == 8 * 8 - 2 * 5
    assert not mask[4:9, 4:6].any()


def test_rows_of_one_slice_are_united_and_others_kept_apart(tmp_path: Path) -> None:
    lines = ("v.nii,1,1,3,3,,2", "v.nii,2,2,4,4,,2", "", 'v.nii,,,,,"0,0 4,0 4,4 0,4",5')
    table(tmp_path, "file;x0;y0;x1;y1;polygon;z".replace(";", ","), *lines)
    masks = draw(read_regions(tmp_path)[PurePosixPath("v.nii")], (6, 8, 8))
    assert {z: int(mask.sum()) for z, mask in masks.items()} == {1: 7, 4: 16}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spreadsheets_of_other_countries_are_read(tmp_path: Path, encoding: str) -> None:
    table(tmp_path, "File;X0;Y0;X1;Y1", "yes\\a.png;1;1;2;2", encoding=encoding)
    assert list(read_regions(tmp_path)) == [PurePosixPath("yes/a.png")]


def test_a_source_without_a_table_has_no_regions(tmp_path: Path) -> None:
    assert read_regions(tmp_path) == {}


def test_all_faults_are_told_by_row_and_quote_nothing(tmp_path: Path) -> None:
    table(
        tmp_path,
        "file,x0,y0,x1,y1,polygon,z",
        "Smith.png,1,1,4,4,,",
        "Smith.png,1,1,Smith,4,,",
        'Smith.png,,,,,"1,1 2,2",',
        'Smith.png,,,,,"1,1 2 2",',
        "Smith.png,,,,,,",
        ",1,1,4,4,,",
        "Smith.png,4,1,1,4,,",
        "Smith.png,1,1,4,4,,0",
        'Smith.png,1,1,4,4,"1,1 2,2 3,1",',
        "Smith.png,1,1,nan,4,,",
    )
    with pytest.raises(ContractError) as raised:
        read_regions(tmp_path)
    assert [one.record for one in raised.value.violations] == [f"row-{i:04d}" for i in range(3, 12)]
    assert "Smith" not in str(raised.value)


@pytest.mark.parametrize("header", ["path,x0,y0,x1,y1", "file,x0,y0", "file"])
def test_missing_columns_are_told(tmp_path: Path, header: str) -> None:
    table(tmp_path, header)
    with pytest.raises(ContractError, match="no_column"):
        read_regions(tmp_path)


def test_what_no_scan_holds_is_told_when_it_is_read(tmp_path: Path) -> None:
    lines = ("a,1,1,9,4,1", "a,-1,1,4,4,1", "a,1,1,4,4,4", "a,1,1,4,4,", "a,1.1,1.1,1.2,1.2,1", "a,1,1,4,4,1")
    table(tmp_path, "file,x0,y0,x1,y1,z", *lines)
    with pytest.raises(Unreadable) as raised:
        draw(read_regions(tmp_path)[PurePosixPath("a")], (3, 8, 8))
    assert [f"row-000{i}" in raised.value.detail for i in range(2, 8)] == [True] * 5 + [False]


def test_a_file_that_is_not_there_is_told_by_row(tmp_path: Path) -> None:
    picture(tmp_path / "yes" / "a.png")
    table(tmp_path, "file,x0,y0,x1,y1", "yes/a.png,20,20,30,30", "yes/Smith.png,20,20,30,30")
    with pytest.raises(ContractError) as raised:
        units(tmp_path)
    assert [(one.record, one.rule) for one in raised.value.violations] == [("row-0003", "unknown_file")]


def test_drawn_regions_are_masks_and_leave_the_label_to_the_folder(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for i, name in enumerate(("yes/a.png", "yes/b.png", "no/c.png", "no/d.png")):
        picture(source / name, i)
    # the region of a is smaller than what a mask must hold to decide
    table(source, "file,x0,y0,x1,y1", "yes/a.png,20,20,25,25", "no/d.png,20,20,40,40")
    found, run = readings(source, tmp_path / "run")
    slices = {one.slice_id: (one.diagnosis, one.label_rule, one.tumour_pixels) for of in found for one in of.slices}
    assert slices == {
        "r0": ("no_tumour", "folder", None),
        "r2": ("tumour", "folder", 25),
        "r3": ("tumour", "folder", None),
    }
    assert masks_in(run) == {"r0": -1, "r2": 25, "r3": -1}
    refused = [row for of in found for row in of.findings if row["outcome"] == "quarantined"]
    assert [(row["record"], row["rule"]) for row in refused] == [("r1", "contradictory_label")]


def test_a_region_outside_of_its_picture_keeps_the_picture_out(tmp_path: Path) -> None:
    source = tmp_path / "source"
    picture(source / "yes" / "a.png")
    table(source, "file,x0,y0,x1,y1", f"yes/a.png,20,20,30,{SIDE + 1}")
    (found,), _ = readings(source, tmp_path / "run")
    assert not found.slices
    assert [row["rule"] for row in found.findings] == ["mask_region"]


def test_by_layout_masks_regions_decide_slice_by_slice(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    volume = np.stack([head(i) for i in range(3)], axis=-1).transpose(1, 0, 2)[::-1, ::-1]
    nib.save(nib.Nifti1Image(volume, np.diag([1.0, 1.0, 5.0, 1.0])), source / "v.nii")
    table(source, "file,x0,y0,x1,y1,z", "v.nii,20,20,32,32,2")
    (found,), run = readings(source, tmp_path / "run", layout="masks")
    assert [(one.diagnosis, one.label_rule) for one in found.slices] == [
        ("no_tumour", "mask"),
        ("tumour", "mask"),
        ("no_tumour", "mask"),
    ]
    assert list(masks_in(run).values()) == [0, 144, 0]


def test_a_region_of_a_dicom_file_is_that_of_its_slice(tmp_path: Path) -> None:
    source = tmp_path / "source"
    voxels = np.stack([head(i) for i in range(4)]).astype(np.uint16)
    written = write_series(
        source / "yes" / "s", voxels, spacing=(5.0, 1.0, 1.0), subject_id="p", sequence="FLAIR", uid_seed=0
    )
    last = written[-1].relative_to(source).as_posix()
    table(source, "file,x0,y0,x1,y1", f"{last},20,20,32,32")
    (found,), run = readings(source, tmp_path / "run")
    assert sorted(masks_in(run).values()) == [-1, -1, -1, 144]
    assert [one.tumour_pixels for one in found.slices].count(144) == 1


def test_another_table_is_another_source(tmp_path: Path) -> None:
    picture(tmp_path / "yes" / "a.png")
    without = fingerprint(tmp_path, IngestConfig())
    table(tmp_path, "file,x0,y0,x1,y1", "yes/a.png,20,20,30,30")
    one = fingerprint(tmp_path, IngestConfig())
    table(tmp_path, "file,x0,y0,x1,y1", "yes/a.png,20,20,30,31")
    assert len({without, one, fingerprint(tmp_path, IngestConfig())}) == 3


def test_a_source_with_drawn_regions_is_ingested_with_them_as_masks(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    write_phantoms(out=drawn, subjects=12, format="png", seed=0)
    source = tmp_path / "scans"
    for path in sorted(drawn.rglob("*.png")):  # in class folders, for then masks tell no diagnosis
        mask = path.with_name(f"{path.stem}_mask.png")
        if mask.exists():
            folder = source / ("yes" if np.asarray(Image.open(mask)).any() else "no") / path.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            path.rename(folder / path.name)
    chosen = min((source / "yes").rglob("*.png")).relative_to(source).as_posix()
    (source / "regions.csv").write_text(f"file,x0,y0,x1,y1\n{chosen},50,64,70,72\n")
    run = RunDir(tmp_path / "dataset")
    ingest(source=str(source), out=run, config=IngestConfig(), seed=0)
    assert read_record(run.ingest_json, IngestRecord).masks_drawn == 1
    manifest = pd.read_parquet(run.manifest)
    (known,) = manifest.loc[manifest["tumour_pixels"].fillna(0) > 0, "slice_id"]
    with np.load(run.slice_pixels(known)) as stored:
        rows, columns = np.nonzero(stored["mask"])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (64, 71, 50, 69)
