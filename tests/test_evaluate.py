import json
from pathlib import Path

import numpy as np
import pytest

from data_contracts.results import Evaluation
from data_contracts.violations import ContractError
from flows import evaluate as evaluation
from flows.config import ConfigError, load_config
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
    assert 18 <= copies.n_near_copies <= 24
    assert copies.held_out_real_near_copy_share < 0.2
    assert copies.membership_auc is None


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
