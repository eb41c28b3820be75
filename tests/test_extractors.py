import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from data_contracts.results import PRIMARY_EXTRACTOR
from pipeline.evidence.classifier_networks import build
from pipeline.evidence.extractors import extractor
from pipeline.evidence.features import RandomFeatures


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build("small", width=4).eval()


@pytest.fixture
def spaces(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "w:1")
    names = ("random-conv-480", "texture", "classifier", f"weights:classifier:{tmp_path / 'w:1'}")
    return {name: extractor(name, classifier=model) for name in names}


def test_every_space_is_found_and_takes_the_same_images(spaces, tmp_path):
    images = np.random.default_rng(0).uniform(-1, 1, (3, 1, 32, 32)).astype(np.float32)
    for name, space in spaces.items():
        found = space.extract(images)
        assert found.dtype == np.float32
        assert found.shape[0] == 3
        np.testing.assert_allclose(space.extract(images, batch_size=1), found, rtol=1e-4, atol=1e-5)
        assert name.startswith(space.name)
        assert str(tmp_path) not in space.name  # it goes into reports
        assert len(bytes.fromhex(space.digest)) == 32
        with pytest.raises(ValueError, match=f"at least {space.smallest}"):
            space.extract(images[..., : space.smallest - 1])
    assert len({space.digest for space in spaces.values()}) == len(spaces)


def test_the_space_that_decides_is_the_one_it_was(spaces):
    assert spaces[PRIMARY_EXTRACTOR].digest == RandomFeatures().digest


@pytest.mark.parametrize("name", ["", "textures", "weights", "weights:resnet18", "weights::/tmp/w", "classifier:x"])
def test_another_name_is_answered_with_those_that_there_are(name, model):
    with pytest.raises(ValueError, match=r"random-conv-480, texture, classifier, weights:ARCHITECTURE:FILE.*resnet18"):
        extractor(name, classifier=model)


def test_the_classifier_must_be_handed_in():
    with pytest.raises(ValueError, match="none was given"):
        extractor("classifier")
