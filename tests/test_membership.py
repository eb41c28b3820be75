import numpy as np
import pytest

from pipeline.evidence.membership import group_scores, membership_auc
from pipeline.evidence.memorisation import thumbnails
from pipeline.scans.phantom import PhantomConfig, phantom

SLICES = 3
CONFIG = PhantomConfig(slices=SLICES, size=48, spacing_mm=(20.0, 4.0, 4.0))


@pytest.fixture(scope="module")
def heads():
    """60 phantom heads, independent of each other, by pixels: (60, SLICES, 1, 48, 48) in [-1, 1]."""
    volumes = [phantom(rng=np.random.default_rng(seed), tumour=False, config=CONFIG).voxels for seed in range(60)]
    scaled = [np.clip(2 * volume / np.percentile(volume, 99.5) - 1, -1, 1) for volume in volumes]
    return np.stack(scaled)[:, :, None].astype(np.float32)


def attack(synthetic, heads, members, others, seed=0):
    def of(chosen):
        return thumbnails(heads[chosen].reshape(-1, *heads.shape[2:])), [str(i) for i in np.repeat(chosen, SLICES)]

    training, training_groups = of(members)
    held_out, held_out_groups = of(others)
    return membership_auc(
        synthetic=thumbnails(synthetic.reshape(-1, *heads.shape[2:])),
        training=training,
        training_groups=training_groups,
        held_out=held_out,
        held_out_groups=held_out_groups,
        rng=np.random.default_rng(seed),
        draws=400,
    )


def test_a_generator_that_returns_its_training_slices_with_noise_is_told(heads):
    rng = np.random.default_rng(0)
    members, others = np.arange(15), np.arange(15, 30)
    copies = heads[members] + 0.1 * rng.normal(size=heads[members].shape).astype(np.float32)
    found = attack(copies, heads, members, others)
    assert found.estimate > 0.95
    assert found.low > 0.5
    few = attack(copies[:8], heads, members, others)  # half of them copied
    assert 0.6 < few.estimate < 0.95


def test_of_independent_heads_nothing_can_be_told(heads):
    held, wide = 0, []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(heads))
        found = attack(heads[order[40:]], heads, order[:20], order[20:40], seed)
        held += found.low <= 0.5 <= found.high
        wide.append(found.high - found.low)
    assert held >= 18
    assert max(wide) < 0.6  # an interval that holds everything says nothing


def test_area_is_the_share_of_ordered_pairs_of_groups():
    rng = np.random.default_rng(3)
    synthetic, training, held_out = (rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 12, 8))
    groups, others = [f"a{i // 3}" for i in range(12)], [f"b{i // 2}" for i in range(8)]
    found = membership_auc(
        synthetic=synthetic,
        training=training,
        training_groups=groups,
        held_out=held_out,
        held_out_groups=others,
        rng=np.random.default_rng(0),
    )
    real, names = np.concatenate([training, held_out]), np.array(groups + others)
    score = {}
    for name in set(names):
        logs = []
        for x in real[names == name]:
            near = min(np.linalg.norm(x - s) for s in synthetic)
            other = min(np.linalg.norm(x - r) for r in real[names != name])
            logs.append(np.log(near / other))
        score[name] = np.mean(logs)
    pairs = [score[a] < score[b] for a in set(groups) for b in set(others)]
    assert found.estimate == pytest.approx(np.mean(pairs))
    assert found.low <= found.estimate <= found.high
    assert group_scores(real=real, groups=names.tolist(), synthetic=synthetic) == pytest.approx(score, abs=1e-5)


def test_certainty_is_never_complete_and_a_seed_repeats_it():
    members, others = np.eye(6, dtype=np.float32), 5 + 3 * np.eye(6, dtype=np.float32)
    arguments = {
        "synthetic": members,
        "training": members,
        "training_groups": list("abcdef"),
        "held_out": others,
        "held_out_groups": list("ghijkl"),
    }
    found = membership_auc(**arguments, rng=np.random.default_rng(0))
    assert (found.estimate, found.high) == (1, 1)
    assert found.low == pytest.approx(1 - 1.96 / 8, abs=1e-3)
    noisy = arguments | {"synthetic": np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32) + 2}
    first, again, other = (membership_auc(**noisy, rng=np.random.default_rng(s)) for s in (5, 5, 6))
    assert first == again
    assert first.estimate == other.estimate


def test_what_cannot_be_asked_is_refused_or_left_open():
    one = np.eye(3, dtype=np.float32)
    arguments = {"synthetic": one, "training": one, "held_out": one + 1, "rng": np.random.default_rng(0)}
    assert membership_auc(**arguments, training_groups=["a"] * 3, held_out_groups=["b", "c", "d"]) is None
    with pytest.raises(ValueError, match="both"):
        membership_auc(**arguments, training_groups=["a", "b", "c"], held_out_groups=["c", "d", "e"])
    arguments["synthetic"] = one[:0]
    with pytest.raises(ValueError, match="no synthetic"):
        membership_auc(**arguments, training_groups=["a", "b", "c"], held_out_groups=["d", "e", "f"])
