import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_contracts.results import Evaluation
from data_contracts.violations import ContractError
from flows import evaluate as evaluation
from flows.config import load_config
from flows.errors import ConfigError
from pipeline.formats.raster import to_uint8, write_png
from pipeline.formats.synthetic import write_synthetic
from pipeline.scans.phantom import PhantomConfig, phantom

SIDE, SUBJECTS = 48, 14
SLICES = 3


@pytest.fixture(scope="module")
def config():
    quick = load_config(preset="quick")
    fidelity = quick.fidelity.model_copy(update={"extractors": ("random-conv-480",)})
    normalise = quick.normalise.model_copy(update={"size": 32})
    return quick.model_copy(update={"fidelity": fidelity, "normalise": normalise})


def heads(first, *, tumour):
    """Slices of SUBJECTS phantom heads in [-1, 1], (SUBJECTS * SLICES, 1, SIDE, SIDE)."""
    grid = PhantomConfig(slices=SLICES, size=SIDE, spacing_mm=(16.0, 4.0, 4.0))
    found = []
    for seed in range(first, first + SUBJECTS):
        voxels = phantom(rng=np.random.default_rng(seed), tumour=tumour, config=grid).voxels
        found += list(np.clip(2 * voxels / np.quantile(voxels, 0.999) - 1, -1, 1))
    return np.stack(found)[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder of real slices, named by patient, below yes and no."""
    root = tmp_path_factory.mktemp("real")
    for folder, tumour, first in (("yes", True, 0), ("no", False, 100)):
        for i, image in enumerate(heads(first, tumour=tumour)):
            path = root / folder / f"p{first + i // SLICES:03d}" / f"{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, to_uint8(image[0]))
    return root


def synthetic(folder, images, diagnosis="tumour", file_format="png"):
    names = [f"s-{i:04d}" for i in range(len(images))]
    write_synthetic(folder, images=images, names=names, generator="g", diagnosis=diagnosis, file_format=file_format)


def test_a_varied_set_is_no_collapse_and_a_repeated_one_is(tmp_path, real, config):
    others = heads(500, tumour=True)
    synthetic(tmp_path / "varied" / "yes", others)
    few = np.clip(others[np.arange(len(others)) % 2] + np.random.default_rng(0).normal(0, 0.01, others.shape), -1, 1)
    synthetic(tmp_path / "few" / "yes", few.astype(np.float32))
    scores = {
        name: evaluation.evaluate(
            real=str(real), synthetic=str(tmp_path / name), out=tmp_path / f"{name}.json", config=config, seed=0
        )
        for name in ("varied", "few")
    }
    assert not scores["varied"].mode_collapse
    assert scores["few"].mode_collapse
    for name, found in scores.items():
        written = json.loads((tmp_path / f"{name}.json").read_bytes())
        assert written["mode_collapse"] is (name == "few")
        assert Evaluation.model_validate(written) == found
        assert [one.diagnosis for one in found.fidelity] == ["tumour"]  # of the other there are no synthetic images
        assert found.n_synthetic == len(others)
    assert any("MODE COLLAPSE" in line for line in evaluation.lines(scores["few"]))
    assert not any("MODE COLLAPSE" in line for line in evaluation.lines(scores["varied"]))


def test_small_painted_lesions_count_and_no_slice_of_a_painted_set_is_left_out(tmp_path, real, config):
    others = heads(500, tumour=True)
    masks = np.zeros((len(others), SIDE, SIDE), np.uint8)
    for i, mask in enumerate(masks):
        mask[20 : 21 + i % 7, 20:24] = 1  # 4 to 28 pixels
    write_synthetic(
        tmp_path / "tumour",
        images=others,
        names=[f"s-{i:04d}" for i in range(len(others))],
        generator="g",
        diagnosis="tumour",
        masks=masks,
        provenance=pd.DataFrame({"source": ["a"] * len(others), "lesion": "b", "seed": 0}),
    )
    scores = evaluation.evaluate(
        real=str(real), synthetic=str(tmp_path / "tumour"), out=tmp_path / "scores.json", config=config, seed=0
    )
    assert scores.refused_synthetic == {}
    assert scores.n_synthetic == len(others)
    assert [one.diagnosis for one in scores.fidelity] == ["tumour"]


def test_copies_are_found_in_a_set_without_diagnoses_that_says_it_is_synthetic(tmp_path, real, config):
    copied = heads(0, tumour=True)
    synthetic(
        tmp_path / "set", np.concatenate([copied[:20, :, :, ::-1], heads(700, tumour=True)[:20]]), "tumour", "dicom"
    )
    for path in real.rglob("*.png"):  # one kind, no folder tells
        target = tmp_path / "flat" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.parts[-3] == "yes":
            target.write_bytes(path.read_bytes())
    scores = evaluation.evaluate(
        real=str(tmp_path / "flat"),
        synthetic=str(tmp_path / "set"),
        out=tmp_path / "scores.json",
        config=config,
        seed=0,
    )
    (copies,) = scores.memorisation
    assert copies.diagnosis == evaluation.ALL
    assert copies.n_generated == 40
    assert 18 <= scores.near_copies_of_any[evaluation.ALL] <= 24
    assert 0 < copies.n_near_copies < scores.near_copies_of_any[evaluation.ALL]  # only half of them can be found
    assert scores.n_half + copies.n_held_out_real == scores.n_real
    said = " ".join(evaluation.lines(scores))
    assert f"{copies.n_near_copies / 40:.1%} of the 40 synthetic images" in said
    assert f"of the {copies.n_held_out_real} real ones of the other half" in said
    assert scores.subjects_known
    assert "names its subject" not in said
    assert copies.held_out_real_near_copy_share < 0.2
    assert copies.membership_auc is None


def test_a_generator_answers_for_its_worst_images_and_unknown_subjects_are_told(tmp_path, real, config):
    (tmp_path / "flat").mkdir()
    for i, path in enumerate(sorted((real / "yes").rglob("*.png"))):
        (tmp_path / "flat" / f"{i}.png").write_bytes(path.read_bytes())
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (24, 1, SIDE, SIDE)).astype(np.float32)
    blank = np.full((2, 1, SIDE, SIDE), -1, np.float32)
    synthetic(tmp_path / "set", np.concatenate([heads(700, tumour=True)[:12], noise, blank]))
    (tmp_path / "set" / "s-0000.png").write_bytes(b"torn")
    scores = evaluation.evaluate(
        real=str(tmp_path / "flat"),
        synthetic=str(tmp_path / "set"),
        out=tmp_path / "new" / "scores.json",
        config=config,
        seed=0,
    )
    assert sum(scores.refused_synthetic.values()) == 1  # what cannot be read
    assert scores.n_synthetic == scores.memorisation[0].n_generated == 37
    assert scores.strange_synthetic == {"noise": 24, "blank": 2}
    assert scores.strange_share == pytest.approx(26 / 37)
    assert scores.fidelity[0].synthetic.precision < 0.5
    assert not scores.subjects_known
    said = evaluation.lines(scores)
    assert any(line.startswith("70.3% of the synthetic images are what quality control refuses") for line in said)
    assert any(line.startswith("Not every real image names its subject") for line in said)


def test_each_diagnosis_has_half_of_its_groups_on_each_side():
    kinds = [("tumour",)] * 7 + [("no_tumour",)] * 5 + [("tumour", "no_tumour")] * 3
    rows = [(str(group), diagnosis) for group, held in enumerate(kinds) for diagnosis in held]
    groups, diagnoses = (np.array(column) for column in zip(*rows, strict=True))
    ours = evaluation._Set(np.zeros((len(rows), 1, 1, 1), np.float32), groups, diagnoses)
    drawn = set()
    for seed in range(20):
        half = evaluation._half(ours, rng=np.random.default_rng(seed))
        assert not set(groups[half]) & set(groups[~half])
        for diagnosis in set(diagnoses):
            sides = [len(set(groups[(diagnoses == diagnosis) & side])) for side in (half, ~half)]
            assert abs(sides[0] - sides[1]) <= 1
        drawn.add(tuple(half))
    assert len(drawn) > 10


def test_every_diagnosis_is_checked_before_any_is_judged_and_finders_are_built_once(
    tmp_path, real, config, monkeypatch
):
    asked = {"real": str(real), "synthetic": str(tmp_path / "set"), "config": config, "seed": 0}
    monkeypatch.setattr(evaluation, "judge", lambda **_: pytest.fail("judged too early"))
    for i, diagnosis in enumerate(("tumour", "no_tumour")):
        folder = tmp_path / "set" / ("yes", "no")[i]
        synthetic(folder, heads(500 + 100 * i, tumour=not i)[: (12, 4)[i]], diagnosis)
    with pytest.raises(ContractError, match="no_tumour: too few images to judge: 4 images"):
        evaluation.evaluate(**asked, out=tmp_path / "few.json")
    built = []

    class Counted(evaluation.memorisation.CopyFinder):
        def __init__(self, images, groups):
            built.append(len(images))
            super().__init__(images, groups, search=False)

    monkeypatch.setattr(evaluation.memorisation, "CopyFinder", Counted)
    monkeypatch.setattr(evaluation, "judge", lambda **_: [])
    quick = config.model_copy(update={"fidelity": config.fidelity.model_copy(update={"k": 3})})
    scores = evaluation.evaluate(**asked | {"config": quick}, out=tmp_path / "scores.json")
    assert built == [scores.n_real, scores.n_half]
    assert set(scores.near_copies_of_any) == {"tumour", "no_tumour"}


def test_too_few_groups_in_either_half_are_named_by_diagnosis(config):
    few = [("tumour", group) for group in range(5)] + [("no_tumour", 10 + group) for group in range(6)]
    rows = [row for row in few for _ in range(9)]
    ours = evaluation._Set(
        np.zeros((len(rows), 1, 1, 1), np.float32), *(np.array([str(row[i]) for row in rows]) for i in (1, 0))
    )
    half = evaluation._half(ours, rng=np.random.default_rng(0))
    with pytest.raises(ContractError) as caught:
        evaluation._require_enough(ours, ours, half, ["tumour", "no_tumour"], config.fidelity)
    assert [(one.record, one.rule) for one in caught.value.violations] == [("tumour", "too few subjects to judge")]


def test_what_cannot_be_read_or_written_is_said_before_any_work(tmp_path, real, config, monkeypatch):
    monkeypatch.setattr(evaluation, "read_gallery", lambda **_: pytest.fail("began to work"))
    (tmp_path / "file").write_text("")
    good = {"real": str(real), "synthetic": str(real), "out": tmp_path / "new" / "scores.json"}
    for changes, said in (
        ({"out": tmp_path / "file" / "scores.json"}, "cannot be written"),
        ({"out": Path("/proc/nothing/scores.json")}, "cannot be written"),
        ({"real": str(tmp_path / "absent")}, "absent does not exist"),
        ({"synthetic": str(tmp_path / "absent")}, "absent does not exist"),
    ):
        with pytest.raises(ConfigError, match=said):
            evaluation.evaluate(**(good | changes), config=config, seed=0)
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_compared_is_refused_and_nothing_is_written(tmp_path, real, config):
    out = tmp_path / "scores.json"

    def run(**changes):
        asked = {"real": str(real), "synthetic": str(tmp_path / "few"), "out": out, "config": config, "seed": 0}
        return evaluation.evaluate(**(asked | changes))

    synthetic(tmp_path / "few" / "yes", heads(900, tumour=True)[:4])
    with pytest.raises(ContractError, match="too few images to judge: 4 images"):
        run()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractError):
        run(synthetic=str(tmp_path / "empty"))
    unknown = config.fidelity.model_copy(update={"extractors": ("random-conv-480", "resnet")})
    with pytest.raises(ConfigError, match="no features 'resnet'"):
        run(config=config.model_copy(update={"fidelity": unknown}))
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(ConfigError, match="exists"):
        run()
    assert Path(out).read_text() == "mine"
