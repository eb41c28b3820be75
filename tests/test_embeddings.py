import hashlib
import json
import pickle

import numpy as np
import pytest
import torch
from monai.networks.nets import DenseNet121, resnet18, resnet50
from safetensors.torch import save, save_file
from torch import nn

from pipeline.evidence.classifier_networks import build
from pipeline.evidence.embeddings import ARCHITECTURES, embed, of_classifier, of_weights

MONAI = {
    "resnet18": lambda channels: resnet18(spatial_dims=2, n_input_channels=channels, num_classes=3),
    "resnet50": lambda channels: resnet50(spatial_dims=2, n_input_channels=channels, num_classes=3),
    "densenet121": lambda channels: DenseNet121(spatial_dims=2, in_channels=channels, out_channels=3),
}


def some_images(n, size=32, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 1, size, size)).astype(np.float32)


def seeded(make, seed=0):
    # as after a training: with statistics of batches, in eval
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def classifier(seed=0, network="small", width=4):
    return seeded(lambda: build(network, width=width), seed)


def head_inputs(network, images):
    # what is handed to the last linear layer, seen from outside
    seen = []
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with last.register_forward_pre_hook(lambda _, given: seen.append(given[0])), torch.no_grad():
        network(torch.from_numpy(images))
    return seen[0].numpy()


def saved(path, network, **changes):
    save_file({**network.state_dict(), **changes}, path)
    return path


@pytest.mark.parametrize("network", ["small", "resnet", "densenet"])
def test_a_classifier_is_asked_what_its_head_sees(network):
    model, images = classifier(network=network), some_images(3)
    found = of_classifier(model).extract(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, head_inputs(model, images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found @ model.head.weight.detach().numpy()[0] + model.head.bias.item(),
        model(torch.from_numpy(images)).detach().numpy(),
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("network", ["small", "resnet", "densenet"])
def test_every_classifier_takes_images_of_its_smallest_side(network):
    extractor = of_classifier(classifier(network=network))
    assert np.isfinite(extractor.extract(some_images(2, extractor.smallest))).all()
    with pytest.raises(ValueError, match=f"at least {extractor.smallest}"):
        extractor.extract(some_images(2, extractor.smallest - 1))


def test_the_small_classifier_wants_even_sides():
    with pytest.raises(ValueError, match="even height and width"):
        of_classifier(classifier()).extract(some_images(1, 33))


def test_one_by_one_equals_in_batches_and_again():
    images = some_images(5)
    extractor = of_classifier(classifier())
    together = extractor.extract(images)
    np.testing.assert_array_equal(extractor.extract(images), together)
    np.testing.assert_allclose(extractor.extract(images, batch_size=2), together, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([extractor.extract(i[None]) for i in images]), together, atol=1e-5)


def test_digest_tells_weights_apart_and_statistics_too():
    of = of_classifier
    assert of(classifier(1)).digest == of(classifier(1)).digest != of(classifier(2)).digest
    moved = classifier(1)
    moved.norm.running_mean += 0.5
    assert of(moved).digest != of(classifier(1)).digest
    assert not np.allclose(of(moved).extract(some_images(2)), of(classifier(1)).extract(some_images(2)))


def test_layout_and_counts_of_batches_are_no_part_of_the_space():
    model = classifier()
    digest = of_classifier(model).digest
    model.norm.num_batches_tracked += 7
    assert of_classifier(model.to(memory_format=torch.channels_last)).digest == digest


def test_the_space_stays_when_the_classifier_is_trained_on():
    model, images = classifier(), some_images(3)
    extractor = of_classifier(model)
    digest, before = extractor.digest, extractor.extract(images)
    model.train()(torch.from_numpy(images)).sum().backward()
    with torch.no_grad():
        model.stem.weight += 1
    np.testing.assert_array_equal(extractor.extract(images), before)
    assert extractor.digest == digest == of_classifier(classifier()).digest


def test_features_are_float32_inside_the_autocast_of_others():
    extractor = of_classifier(classifier())
    images = some_images(2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = extractor.extract(images)
    np.testing.assert_array_equal(inside, extractor.extract(images))


@pytest.mark.parametrize("architecture", MONAI)
def test_weights_of_monai_give_what_its_network_hands_its_head(tmp_path, architecture):
    network = seeded(lambda: MONAI[architecture](1))
    path = saved(tmp_path / "weights", network)  # a suffix says nothing
    extractor = of_weights(architecture, path)
    images = some_images(2)
    np.testing.assert_allclose(extractor.extract(images), head_inputs(network, images), rtol=1e-4, atol=1e-5)
    assert extractor.name == f"weights:{architecture}"
    assert extractor.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.isfinite(extractor.extract(some_images(1, extractor.smallest))).all()


@pytest.mark.parametrize("architecture", ["resnet18", "densenet121"])
def test_weights_for_colours_see_a_grey_three_times(tmp_path, architecture):
    network = seeded(lambda: MONAI[architecture](3))
    images = some_images(2)
    found = of_weights(architecture, saved(tmp_path / "w", network)).extract(images)
    wanted = head_inputs(network, images.repeat(3, axis=1))
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_weights_of_our_classifier_of_any_width(tmp_path):
    for width in (4, 6):
        model = classifier(width=width)
        found = of_weights("classifier", saved(tmp_path / "w", model)).extract(some_images(2))
        np.testing.assert_array_equal(found, of_classifier(model).extract(some_images(2)))


def test_files_without_head_and_counters_and_of_half_precision_are_read(tmp_path):
    model = classifier()
    state = model.half().state_dict()
    path = tmp_path / "w"
    save_file({k: v for k, v in state.items() if "head" not in k and "num_batches" not in k}, path)
    found = of_weights("classifier", path).extract(some_images(2))
    np.testing.assert_array_equal(found, of_classifier(model.float()).extract(some_images(2)))


def test_reading_weights_draws_nothing_from_the_global_generator(tmp_path):
    path = saved(tmp_path / "w", seeded(lambda: MONAI["resnet18"](1)))
    before = torch.get_rng_state()
    of_weights("resnet18", path)
    assert torch.equal(torch.get_rng_state(), before)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle was opened')",)


def zipped(path):
    torch.save({"stem.weight": Trap()}, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (lambda _: pickle.dumps(Trap()), "a pickle"),
        (zipped, "a zip, as torch.save writes, with a pickle"),
        (lambda _: save(classifier().state_dict())[:-10], "not a whole safetensors file"),
        (lambda _: save(classifier().state_dict())[:100], "not a whole safetensors file"),
        (lambda _: b"", "not a whole safetensors file"),
        (lambda _: (2**60).to_bytes(8, "little") + b"{}", "not a whole safetensors file"),
        (lambda _: (2).to_bytes(8, "little") + b"{}", "missing: "),
    ],
)
def test_a_file_is_judged_by_what_it_holds(tmp_path, content, why):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content(path))
    with pytest.raises(ValueError, match=why):
        of_weights("classifier", path)


def test_no_file_and_no_architecture_are_told(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        of_weights("classifier", tmp_path / "absent")
    with pytest.raises(ValueError, match="is no file"):
        of_weights("classifier", tmp_path)
    with pytest.raises(ValueError, match="no architecture 'vgg16': there are resnet18, resnet50"):
        of_weights("vgg16", tmp_path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "w"
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ValueError, match="2,147,483,648 bytes"):
        of_weights("classifier", path)


@pytest.mark.parametrize("asked", ARCHITECTURES)
def test_weights_of_another_architecture_are_told_by_tensor(tmp_path, asked):
    other = classifier() if asked != "classifier" else seeded(lambda: MONAI["resnet18"](1))
    with pytest.raises(ValueError, match=rf"as weights of {asked}.*missing: '.*unknown: '"):
        of_weights(asked, saved(tmp_path / "w", other))


@pytest.mark.parametrize(
    ("name", "tensor", "why"),
    [
        ("norm.bias", torch.full((32,), torch.nan), "not finite: 'norm.bias'"),
        ("norm.weight", torch.full((32,), 1e300, dtype=torch.float64), "not finite: 'norm.weight'"),
        ("norm.running_var", torch.full((32,), -1.0), "features of weights:classifier are not finite"),
        ("norm.bias", torch.zeros(31), "of another shape: 'norm.bias'"),
        ("norm.bias", torch.zeros(32, dtype=torch.int64), "not of floating-point numbers: 'norm.bias'"),
        ("norm.weight", torch.zeros(32), "the same features for every image"),
        ("stem.weight", torch.zeros(()), "of another shape"),
        ("stem.weight", torch.zeros(0, 4, 3, 3), "of another shape"),
        ("extra\n\x1b[2J" + 200 * "x", torch.zeros(1), r"unknown: 'extra\\n\\x1b\[2Jx+'$"),
    ],
)
def test_tensors_that_cannot_be_used_are_named(tmp_path, name, tensor, why):
    with pytest.raises(ValueError, match=why):
        of_weights("classifier", saved(tmp_path / "w", classifier(), **{name: tensor}))


def test_a_giant_network_is_refused_before_it_is_made(tmp_path):
    # a stem of 10^6 channels is a file of 36 MB, and a network of 10^15 weights
    header = json.dumps(
        {"stem.weight": {"dtype": "F8_E4M3", "shape": [10**6, 4, 3, 3], "data_offsets": [0, 36 * 10**6]}}
    )
    path = tmp_path / "w"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(36 * 10**6))
    with pytest.raises(ValueError, match="missing: "):
        of_weights("classifier", path)


def test_embed_takes_the_features_of_a_classifier():
    model, images = classifier(), some_images(3)
    np.testing.assert_array_equal(embed(model, images), of_classifier(model).extract(images))
