"""What a source lists, in which order, under which names; who a path names; which file is the mask of which."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from data_contracts.violations import ContractError
from pipeline.formats.raster import is_raster
from pipeline.scans.candidates import LEFT_OUT_RULES, Candidate
from pipeline.scans.names import bids_name, subject_of, volume_of
from pipeline.scans.sources import Listing, SourceFile, digest_of, kind_of, list_source, pair_masks

PNG = b"\x89PNG\r\n\x1a\n"  # the head of one is all that a listing looks at


def put(root: Path, *names: str, content: bytes = PNG) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def volume(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).to_filename(path)
    return path


def names_of(listing: Listing) -> list[str]:
    return [candidate.relative.as_posix() for candidate in listing.candidates]


def refusals(listing: Listing) -> dict[str, str]:
    return {c.relative.as_posix(): c.refused[0] for c in listing.candidates if c.refused is not None}


def described(listing: Listing) -> dict[str, SourceFile]:
    return {c.relative.as_posix(): file_of(c) for c in listing.candidates}


def file_of(c: Candidate) -> SourceFile:
    kind = "unknown" if c.refused else kind_of(c.path)
    return SourceFile(
        record="file-0001",
        path=c.path,
        relative=c.relative,
        kind=kind,
        declared=c.declared,
        refused=c.refused,
        wrapper=c.wrapper,
    )


def test_a_folder_is_listed_sorted_and_whole(tmp_path: Path) -> None:
    put(tmp_path, "yes/b.png", "yes/a.png", "no/c.png", "no/notes.txt", ".git/x.png", "no/.hidden.png", "LICENSE")
    listing = list_source(tmp_path)
    assert names_of(listing) == ["no/c.png", "yes/a.png", "yes/b.png"]
    assert listing.skipped == 3
    assert [path.read_bytes() for path in listing.paths] == [PNG] * 3


def test_links_are_followed_once_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "yes/a.png")
    (tmp_path / "yes" / "round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "yes" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "yes" / "pipe.png")  # opening it would wait for ever
    listing = list_source(tmp_path)
    assert names_of(listing) == ["yes/a.png", "yes/lost.png", "yes/pipe.png"]
    assert refusals(listing) == {"yes/lost.png": "not_a_file", "yes/pipe.png": "not_a_file"}
    assert len(digest_of(tmp_path)) == 64


def test_a_folder_that_cannot_be_opened_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "yes/a.png", "no/b.png")
    scandir = os.scandir

    def closed(path: str) -> object:
        if os.fspath(path).endswith("no"):
            raise PermissionError(13, "closed", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert refusals(list_source(tmp_path)) == {"no": "unreadable"}


@pytest.mark.parametrize(
    ("make", "layout", "rule"),
    [
        (lambda path: None, "auto", "missing"),
        (lambda path: path.mkdir(), "auto", "empty"),
        (lambda path: path.write_text("x"), "auto", "no_folder"),
        (lambda path: put(path, "yes/a.png"), "bids", "no_bids"),
        (lambda path: put(path, "yes/a.png"), "manifest", "no_manifest"),
    ],
)
def test_what_is_no_source_says_what_to_give(tmp_path: Path, make: object, layout: str, rule: str) -> None:
    make(tmp_path / "in")
    with pytest.raises(ContractError) as refused:
        list_source(tmp_path / "in", layout=layout)
    assert [violation.rule for violation in refused.value.violations] == [rule]


def test_one_picture_is_a_source(tmp_path: Path) -> None:
    put(tmp_path, "alone.png")
    assert is_raster(PNG)
    assert names_of(list_source(tmp_path / "alone.png")) == ["alone.png"]


def test_archives_open_below_their_name(tmp_path: Path) -> None:
    put(tmp_path / "in", "no/1.png")
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / "in" / name, "w") as archive:
            archive.writestr("yes/1.png", PNG + name.encode())
            archive.writestr("__MACOSX/yes/._1.png", b"finder")
            archive.writestr("notes.txt", b"notes")
    with zipfile.ZipFile(tmp_path / "in" / "b.zip", "a") as archive:
        archive.writestr("../escaped.png", PNG)
    listing = list_source(tmp_path / "in", scratch=tmp_path / "scratch")
    whole = {c.relative.as_posix(): c.path for c in listing.candidates if c.refused is None}
    assert sorted(whole) == ["a.zip/yes/1.png", "b.zip/yes/1.png", "no/1.png"]
    assert whole["a.zip/yes/1.png"].read_bytes() == PNG + b"a.zip"
    assert whole["a.zip/yes/1.png"].is_relative_to(tmp_path / "scratch" / "1")
    assert whole["b.zip/yes/1.png"].is_relative_to(tmp_path / "scratch" / "2")
    assert listing.skipped == 2  # the notes; what is hidden in an archive is no member
    assert len(listing.candidates) == 4  # and the one that would have left its folder
    assert not (tmp_path / "scratch" / "escaped.png").exists()
    assert names_of(list_source(tmp_path / "in")) == ["a.zip", "b.zip", "no/1.png"]
    alone = list_source(tmp_path / "in" / "a.zip", scratch=tmp_path / "other")
    assert names_of(alone) == ["a.zip/yes/1.png"]


@pytest.mark.parametrize(
    "members", [(), ("yes/",), (".DS_Store", "__MACOSX/yes/._1.png"), ("notes.txt",), ("yes/", "README")]
)
def test_an_archive_without_an_image_is_refused_and_does_not_vanish(tmp_path: Path, members: tuple[str, ...]) -> None:
    put(tmp_path / "in", "yes/1.png")
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        for name in members:
            archive.writestr(name, b"" if name.endswith("/") else b"words")
    listing = list_source(tmp_path / "in", scratch=tmp_path / "scratch")
    assert refusals(listing) == {"a.zip": "empty_archive"}
    assert names_of(listing) == ["a.zip", "yes/1.png"]
    assert refusals(list_source(tmp_path / "in" / "a.zip", scratch=tmp_path / "other")) == {"a.zip": "empty_archive"}


def test_a_name_alone_makes_no_sidecar(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(picture)
    bitmap = picture.with_suffix(".bmp")
    Image.open(picture).save(bitmap)
    dicom = bytes(128) + b"DICM" + bytes(300)
    volume(tmp_path / "plain.nii")
    volume(tmp_path / "zipped.nii.gz")
    images = {"a.txt": picture, "b.html": bitmap, "c.npz": tmp_path / "plain.nii", "README": tmp_path / "zipped.nii.gz"}
    for name, path in images.items():
        put(tmp_path / "in", f"yes/{name}", content=path.read_bytes())
        path.unlink()
    put(tmp_path / "in", "yes/d.json", content=dicom)
    np.savez(tmp_path / "in" / "yes" / "arrays.npz", a=np.arange(5))
    put(
        tmp_path / "in",
        "DICOMDIR",
        content=bytes(128) + b"DICM" + b"\2\0\2\0UI\x14\0001.2.840.10008.1.3.10" + bytes(99),
    )
    put(tmp_path / "in", "yes/table.csv", content=b"BMI,age,diagnosis\n21.5,63,tumour\n")
    put(tmp_path / "in", "yes/nul.log", content=b"\0" * 600)
    put(tmp_path / "in", "yes/empty.txt", content=b"")
    put(tmp_path / "in", "yes/.hidden.txt", content=dicom)
    os.mkfifo(tmp_path / "in" / "yes" / "pipe.txt")  # opening it would wait for ever
    listing = list_source(tmp_path / "in")
    assert names_of(listing) == ["yes/README", "yes/a.txt", "yes/b.html", "yes/c.npz", "yes/d.json"]
    assert [kind_of(path) for path in listing.paths] == ["nifti", "raster", "raster", "nifti", "dicom"]
    assert (listing.skipped, refusals(listing)) == (7, {})
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in (tmp_path / "in" / "yes").glob("[a-z]*.[hcjl]*"):
            archive.write(path, f"yes/{path.name}")
    packed = list_source(tmp_path / "a.zip", scratch=tmp_path / "scratch")
    assert names_of(packed) == ["a.zip/yes/b.html", "a.zip/yes/d.json"]
    assert packed.skipped == 2


def test_masks_find_their_images_inside_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("p1/1.png", "p1/1_mask.png", "p2/1.png", "p2/2.png", "p2/2_mask.png"):
            archive.writestr(name, PNG + name.encode())
    files = described(list_source(tmp_path / "a.zip", scratch=tmp_path / "scratch"))
    masks, orphans = pair_masks(list(files.values()))
    found = {name: masks[file.path].relative.as_posix() for name, file in files.items() if file.path in masks}
    assert found == {"a.zip/p1/1.png": "a.zip/p1/1_mask.png", "a.zip/p2/2.png": "a.zip/p2/2_mask.png"}
    assert not orphans


def test_a_volume_mask_belongs_to_every_file_of_a_series(tmp_path: Path) -> None:
    put(tmp_path, "doe/1", "doe/2", "roe/1", content=bytes(128) + b"DICM")
    volume(tmp_path / "doe_mask.nii.gz")
    files = described(list_source(tmp_path))
    masks, _ = pair_masks(list(files.values()))
    assert sorted(path.relative_to(tmp_path).as_posix() for path in masks) == ["doe/1", "doe/2"]


def test_a_broken_archive_is_refused_and_stops_nothing(tmp_path: Path) -> None:
    put(tmp_path / "in", "yes/1.png", "cut.zip")
    with zipfile.ZipFile(tmp_path / "in" / "cut.zip", "w") as archive:
        archive.writestr("1.png", PNG * 100)
    whole = (tmp_path / "in" / "cut.zip").read_bytes()
    (tmp_path / "in" / "cut.zip").write_bytes(whole[:-60])
    listing = list_source(tmp_path / "in", scratch=tmp_path / "scratch")
    assert "yes/1.png" in names_of(listing)
    assert [name for name in refusals(listing) if name.startswith("cut.zip")]


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("yes/x.png", None),
        ("x.png", None),
        ("train/yes/x.png", None),
        ("Brain-Tumor-Dataset/Testing/no_tumor/x.png", None),
        ("yes/p1/x.png", "p1"),
        ("no/p1/x.png", "p1"),
        ("p1/yes/x.png", "p1"),
        ("p1/no/x.png", "p1"),
        ("train/p1/yes/x.png", "p1"),
        ("test/no/p1/images/x.png", "p1"),
        ("p1/FLAIR/x.png", "p1"),
        ("p1/t1 axial/yes/x.png", "p1"),
        ("site/p1/yes/x.png", "site/p1"),
        ("yes/site/p1/x.png", "site/p1"),
        ("p1/ses-01/x.png", "p1"),
        ("p1/2019-03-01/x.png", "p1"),
        ("TCGA_CS_4944_20010208/x.tif", "TCGA_CS_4944"),
        ("20010208/x.tif", "20010208"),
        # what scanners and archives export
        ("yes/pat1/20190301/AX_T2_TSE/x.nii.gz", "pat1"),
        ("yes/pat1/20190301/SAG_T1_MPRAGE_ISO/x.nii.gz", "pat1"),
        ("pat1/2019-03-01/whatever/the/ward/calls it/x.dcm", "pat1"),
        ("pat1/3_t2_tse_tra_p2_320/x.dcm", "pat1"),
        ("pat1/3D_T1/x.dcm", "pat1"),
        ("PA000001/ST000001/SE000002/IM000001", "PA000001"),
        ("TCGA-02-0003/06-08-1997-NA-MRI BRAIN-81239/3.000000-AX T2-00123/1.dcm", "TCGA-02-0003"),
        ("pat1/1.2.840.1.99.1/1.2.840.1.99.2/1.dcm", "pat1"),
        ("site/pat1/AX T2/x.dcm", "site/pat1"),
        ("pat1_flair/x.png", "pat1"),
        ("site/pat1_t1ce/x.png", "site/pat1"),
        ("baseline/pat1/x.png", "pat1"),
        ("T2_TSE/pat1/x.png", "pat1"),
        ("BraTS-GLI-00017-001/x.nii.gz", "BraTS-GLI-00017"),
        # what surely differs stays apart
        ("pat1/left/x.png", "pat1/left"),
        ("scan_1/raw/x.png", "scan_1/raw"),
        ("20010208/T2_TSE/x.png", "20010208"),
        ("baseline/T2_TSE/x.png", "baseline"),
        ("coronation/axel/x.png", "coronation/axel"),
        ("yes.zip/x.png", None),
        ("p1.zip/yes/x.png", "p1"),
        ("yes/sub-07_T1w.nii.gz", "sub-07"),
        ("sub-07/ses-2/anat/sub-07_ses-2_T1w.nii.gz", "sub-07"),
    ],
)
def test_who_a_path_names(path: str, subject: str | None) -> None:
    assert subject_of(PurePosixPath(path), 0) == subject


@pytest.mark.parametrize(
    ("path", "volume"),
    [
        ("yes/pat1_flair.nii.gz", "pat1"),
        ("yes/pat1_t1.nii.gz", "pat1"),
        ("no/t1c-ax_pat1_20190301.nii", "pat1"),
        ("pat1_ses-2_T1w.nii", "pat1"),
        ("IXI002-Guys-0828-T1.nii.gz", "IXI002-Guys-0828"),
        ("BraTS-GLI-00017-001-t2f.nii.gz", "BraTS-GLI-00017"),
        ("imagesTr/BRATS_001_0003.nii.gz", "BRATS_001"),
        ("yes/t1.nii.gz", "yes/"),
        ("yes/brain_flair.nii.gz", "yes/"),
        ("scan_0001.nii.gz", "scan_0001"),
        ("mri_t1_001.nii.gz", "001"),
        ("yes/20190301_t1.nii.gz", "20190301"),
    ],
)
def test_what_volumes_of_one_person_share(path: str, volume: str) -> None:
    assert volume_of(PurePosixPath(path)) == volume


def test_a_folder_around_class_folders_names_nobody(tmp_path: Path) -> None:
    put(tmp_path / "a", "hospital/yes/1.png", "hospital/no/2.png")
    assert {file.subject for file in described(list_source(tmp_path / "a")).values()} == {None}
    put(tmp_path / "b", "p1/yes/1.png", "p1/no/2.png", "p2/yes/3.png")
    found = described(list_source(tmp_path / "b"))
    assert {name: file.subject for name, file in found.items()} == {
        "p1/no/2.png": "p1",
        "p1/yes/1.png": "p1",
        "p2/yes/3.png": "p2",
    }
    assert found["p1/no/2.png"].diagnosis == "no_tumour"
    put(tmp_path / "c", "p1/a.png", "p1/b.png")  # one patient, not a folder around classes
    assert {file.subject for file in described(list_source(tmp_path / "c")).values()} == {"p1"}


def test_two_exams_are_one_subject_and_two_stacks(tmp_path: Path) -> None:
    put(tmp_path, "p1/20190301/1.png", "p1/20200301/1.png")
    files = described(list_source(tmp_path)).values()
    assert {file.subject for file in files} == {"p1"}
    assert len({file.stack for file in files}) == 2


def test_masks_by_name(tmp_path: Path) -> None:
    for name in ("a/x_T1.nii", "a/x_FLAIR.nii", "a/x_seg.nii", "b/T1c.nii", "b/OTMultiClass.nii", "b/brainmask.nii"):
        volume(tmp_path / name)
    put(tmp_path, "c/1.png", "c/1_mask.png", "c/2_mask.png", "d/mri.png", "d/mask.png", "c/3_brain_mask.png")
    listing = list_source(tmp_path)
    assert refusals(listing) == {"b/brainmask.nii": "not_a_tumour_mask", "c/3_brain_mask.png": "not_a_tumour_mask"}
    masks, orphans = pair_masks(list(described(listing).values()))
    found = {image.relative_to(tmp_path).as_posix(): mask.relative.as_posix() for image, mask in masks.items()}
    assert found == {
        "a/x_T1.nii": "a/x_seg.nii",
        "a/x_FLAIR.nii": "a/x_seg.nii",
        "b/T1c.nii": "b/OTMultiClass.nii",
        "c/1.png": "c/1_mask.png",
        "d/mri.png": "d/mask.png",
    }
    assert [mask.relative.as_posix() for mask in orphans] == ["c/2_mask.png"]


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    for name in (
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_ce-gd_T1w.nii.gz",
        "sub-01/anat/sub-01_FLAIR.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/dwi/sub-01_dwi.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T1w_label-lesion_mask.nii.gz",
        "sub-02/ses-1/anat/sub-02_ses-1_T2w.nii.gz",
        "sub-02/ses-2/anat/sub-02_ses-2_T1w.nii.gz",
        "sub-03/anat/sub-03_T2w.nii.gz",
        "derivatives/lesions/sub-01/anat/sub-01_label-L_desc-T1lesion_mask.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_dseg.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        "derivatives/raters/sub-03/anat/sub-03_dseg.nii.gz",
        "derivatives/raters/sub-03/anat/sub-03_space-MNI152_label-lesion_mask.nii.gz",
        "sourcedata/sub-01/x.nii.gz",
    ):
        volume(tmp_path / "set" / name)
    (tmp_path / "set" / "dataset_description.json").write_text("{}")
    rows = "participant_id\tage\tgroup\nsub-01\t50\tglioma\nsub-02\t60\tn/a\nsub-03\t70\tcontrol\n"
    (tmp_path / "set" / "participants.tsv").write_text(rows)
    return tmp_path / "set"


def test_bids_images_masks_and_what_is_left_out(bids: Path) -> None:
    listing = list_source(bids)
    assert refusals(listing) == {
        "sub-01/func/sub-01_task-rest_bold.nii.gz": "not_anatomical",
        "sub-01/dwi/sub-01_dwi.nii.gz": "not_anatomical",
        "derivatives/fmriprep/sub-01/anat/sub-01_dseg.nii.gz": "not_a_tumour_mask",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-brain_mask.nii.gz": "not_a_tumour_mask",
        "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz": "outside_bids",
        "sourcedata/sub-01/x.nii.gz": "outside_bids",
    }
    assert set(refusals(listing).values()) <= LEFT_OUT_RULES
    files = described(listing)
    masks, orphans = pair_masks(list(files.values()))
    found = {image.name: mask.path.name for image, mask in masks.items()}
    assert found == {
        "sub-01_T1w.nii.gz": "sub-01_label-L_desc-T1lesion_mask.nii.gz",
        "sub-01_ce-gd_T1w.nii.gz": "sub-01_label-L_desc-T1lesion_mask.nii.gz",
        "sub-01_FLAIR.nii.gz": "sub-01_label-L_desc-T1lesion_mask.nii.gz",
        "sub-02_ses-1_T1w.nii.gz": "sub-02_ses-1_T1w_label-lesion_mask.nii.gz",
        "sub-03_T2w.nii.gz": "sub-03_dseg.nii.gz",
    }
    assert [mask.path.name for mask in orphans] == ["sub-03_space-MNI152_label-lesion_mask.nii.gz"]


def test_bids_subjects_sequences_and_diagnoses(bids: Path) -> None:
    files = [file for file in described(list_source(bids)).values() if not file.refused and file.mask_of is None]
    assert {(file.path.name[:-7], file.subject, file.sequence, file.diagnosis) for file in files} == {
        ("sub-01_T1w", "sub-01", "T1", "tumour"),
        ("sub-01_ce-gd_T1w", "sub-01", "T1c", "tumour"),
        ("sub-01_FLAIR", "sub-01", "FLAIR", "tumour"),
        ("sub-02_ses-1_T1w", "sub-02", "T1", None),
        ("sub-02_ses-1_T2w", "sub-02", "T2", None),
        ("sub-02_ses-2_T1w", "sub-02", "T1", None),
        ("sub-03_T2w", "sub-03", "T2", "no_tumour"),
    }
    assert all(file.declared is not None and file.declared.rule == "participants" for file in files)


def test_bids_with_two_masks_for_one_image_is_not_guessed(bids: Path) -> None:
    volume(bids / "derivatives/others/sub-01/anat/sub-01_label-lesion_mask.nii.gz")
    refused = refusals(list_source(bids))
    assert refused["sub-01/anat/sub-01_T1w.nii.gz"] == "several_masks"
    volume(bids / "sub-01/anat/sub-01_T1w_label-lesion_mask.nii.gz")  # beside its image: this one decides
    refused = refusals(list_source(bids))
    assert "sub-01/anat/sub-01_T1w.nii.gz" not in refused
    assert refused["sub-01/anat/sub-01_FLAIR.nii.gz"] == "several_masks"


def test_layout_classes_reads_a_bids_folder_as_folders(bids: Path) -> None:
    listing = list_source(bids, layout="classes")
    assert all(candidate.declared is None for candidate in listing.candidates)
    assert "sub-01/func/sub-01_task-rest_bold.nii.gz" not in refusals(listing)


def test_bids_names_are_taken_apart() -> None:
    name = bids_name("sub-01_ses-2_ce-gd_T1w")
    assert name is not None
    assert (name.entities, name.suffix, name.sequence) == ({"sub": "01", "ses": "2", "ce": "gd"}, "T1w", "T1c")
    assert bids_name("holiday_T1w") is None
    assert "gd" not in repr(name)


def test_the_digest_tells_every_change(bids: Path, tmp_path: Path) -> None:
    put(tmp_path / "in", "yes/a.png", "yes/b.png", "no/c.png")
    seen = [digest_of(tmp_path / "in"), digest_of(tmp_path / "in")]
    assert seen[0] == seen[1]
    (tmp_path / "in" / "yes" / "b.png").rename(tmp_path / "in" / "no" / "b.png")
    seen.append(digest_of(tmp_path / "in"))
    put(tmp_path / "in", "no/b.png", content=PNG + b"1")
    seen.append(digest_of(tmp_path / "in"))
    put(tmp_path / "in", "slice_index.csv", content=b"patient,n_slices\n")
    seen.append(digest_of(tmp_path / "in"))
    assert len(set(seen)) == 4
    before = digest_of(bids)
    table = bids / "participants.tsv"
    table.write_text(table.read_text().replace("control", "glioma"))
    assert digest_of(bids) != before


def test_no_name_in_any_representation(bids: Path) -> None:
    named = bids.parent / "doe"
    bids.rename(named)
    listing = list_source(named)
    files = list(described(listing).values())
    told = replace(files[0], declared=None)
    for thing in (listing, *files, told):
        assert "doe" not in repr(thing)
        assert "sub-01" not in repr(thing)


def test_real_bids_without_tumours(shared_data: Path) -> None:
    source = shared_data / "nifti" / "ds002748"
    if not source.is_dir():
        pytest.skip(f"no folder {source}")
    listing = list_source(source)
    files = described(listing).values()
    assert [(file.subject, file.sequence, file.diagnosis, file.kind) for file in files] == [
        (f"sub-{i}", "T1", "no_tumour", "nifti") for i in (52, 53, 54)
    ]
    assert [note.detail for note in listing.notes] == ["diagnosis by column group; control is no_tumour: 3"]


def test_real_folders(shared_data: Path) -> None:
    brats, lgg = shared_data / "nifti" / "brats2013", shared_data / "lgg_flair"
    if not (brats.is_dir() and lgg.is_dir()):
        pytest.skip(f"no folder {brats} or {lgg}")
    files = list(described(list_source(brats)).values())
    masks, orphans = pair_masks(files)
    assert {mask.stem for mask in masks.values()} == {"OTMultiClass"}
    assert len(masks) == 4  # FLAIR and T1c of two patients
    assert not orphans
    assert sorted(file.stem for file in files if file.refused) == ["brainmask", "brainmask"]
    patients = {file.subject for file in map(file_of, list_source(lgg).candidates)}
    assert len(patients) == sum(path.is_dir() for path in lgg.iterdir())
