"""The collapse watch in a training: it goes back, goes on otherwise, stops, and keeps the best; and survives a kill."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import MetricSet
from flows.watch import make_ruler
from pipeline.compute import PLAIN
from pipeline.formats.raster import read_png
from pipeline.synthesis import gan, model_dir, training
from pipeline.synthesis.augment import AugmentConfig
from pipeline.synthesis.collapse import WatchConfig, faults
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.health import Accuracy, Health, Measured, Ruler
from pipeline.synthesis.model_dir import ModelError, TrainedGan
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.optimisers import OptimiserConfig
from pipeline.synthesis.training import TrainingSet
from pipeline.synthesis.watching import MakeRuler, Watching, hold_out

SIDE, BATCH = 32, 8
CONFIG = GanConfig(
    images=20 * BATCH,
    batch_size=BATCH,
    tick=BATCH,
    network=LeanConfig(latent_dim=8, width=4, max_width=8),
    augmentation=AugmentConfig(strength=0.4),
    position_bins=1,
    snapshot_images=2,
)


def slices(n: int = 90, per_group: int = 3, diagnoses: tuple[str, ...] = ("tumour",)) -> TrainingSet:
    """Soft blobs at random places, a place for each group: few pixels, and no two groups alike."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    group_of = np.arange(n) // per_group
    centre = rng.uniform(8, 24, (group_of.max() + 1, 2))[group_of] + rng.normal(0, 0.5, (n, 2))
    far = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
    images = 1.8 * np.exp(-far / 40) - 0.9 + rng.normal(0, 0.02, (n, SIDE, SIDE))
    return TrainingSet(
        images=np.clip(images, -1, 1)[:, None].astype(np.float32),
        groups=[f"s{g}" for g in group_of],
        diagnoses=[diagnoses[g % len(diagnoses)] for g in group_of],
        positions=np.full(n, np.nan),
        sequences=["unknown"] * n,
        planes=["unknown"] * n,
    )


class Killed(Exception):
    pass


def no_ruler(_images: np.ndarray, _groups: Sequence[str]) -> Ruler:
    """For scripted trainings, whose health is not measured."""
    same = MetricSet(precision=1, recall=1, density=1, coverage=1, kid=0, kid_standard_error=0, spread=1)
    return Ruler(
        extract=lambda images: images[:, 0, 0],
        compare=lambda **_: same,
        near_copies=lambda images: np.zeros(len(images), np.bool_),
    )


def train(
    folder: Path, *, config: GanConfig = CONFIG, die_after: int | None = None, ruler: MakeRuler = no_ruler
) -> TrainedGan:
    ticks = 0

    def progress(_done: int, _total: int, said: str) -> None:
        nonlocal ticks
        ticks += bool(said)  # the first call only says from where it begins
        if ticks == die_after:
            raise Killed

    return training.train(
        folder=folder,
        data=slices(),
        config=config,
        seed=3,
        compute=PLAIN,
        progress=progress,
        make_ruler=ruler,
    )


GOOD = Measured(0.9, 1.0, 0.01)
WELL = Health(
    images_seen=0,
    n=32,
    diversity=GOOD,
    nearest=GOOD,
    dissimilarity=GOOD,
    coverage=GOOD,
    recall=GOOD,
    kid=Measured(0.1, 0.05, 0.01),
    near_copies=Measured(0.0, 0.0, 0.0),
    accuracy=Accuracy(0.6, 0.6, 0.6, 32, 256, 16),
)
ILL = replace(WELL, nearest=Measured(0.1, 1.0, 0.01))  # a few modes again and again


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training falls ill at its tick 11; kernel distance is least at tick 5."""

    def measure(_self: Watching, state: gan.State, *, accuracy: float) -> Health:
        assert 0 <= accuracy <= 1
        tick = state.images_seen // BATCH
        kid = Measured(0.1 + 0.01 * abs(tick - 5), 0.05, 0.001)
        return replace(WELL if tick <= 10 else ILL, images_seen=state.images_seen, kid=kid)

    monkeypatch.setattr(Watching, "measure", measure)


@pytest.mark.usefixtures("scripted")
def test_an_alarm_goes_back_and_on_slower_with_more_augmentation_and_after_three_the_best_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_tick_5: list[dict[str, torch.Tensor]] = []
    after_alarm: list[tuple[float, float, int]] = []
    held_back = gan.hold_back

    def spy(state: gan.State, *args: object, **kwargs: object) -> None:
        held_back(state, *args, **kwargs)  # type: ignore[arg-type]
        after_alarm.append((state.generator_optimiser.param_groups[0]["lr"], state.strength, state.images_seen))

    look = Watching.look

    def seen(self: Watching, state: gan.State, **more: float) -> object:
        if state.images_seen == 5 * BATCH:
            at_tick_5.append({name: one.clone() for name, one in state.generator_ema.state_dict().items()})
        return look(self, state, **more)

    monkeypatch.setattr(gan, "hold_back", spy)
    monkeypatch.setattr(Watching, "look", seen)
    trained = train(tmp_path)
    curve = model_dir.read_curve(tmp_path)
    # ill at 11, 12, 13; back to 10; ill at once again, twice more
    assert (curve["images_seen"] // BATCH).tolist() == [*range(1, 14), 11, 12, 13, 11, 12, 13]
    assert curve["attempt"].tolist() == [0] * 13 + [1] * 3 + [2] * 3
    assert curve["verdict"].tolist() == (
        ["healthy"] * 10 + ["suspect", "suspect", "alarm"] * 2 + ["suspect", "suspect", "stop"]
    )
    rate = CONFIG.generator_optimiser.learning_rate
    assert np.allclose(after_alarm, [(rate / 2, 0.6, 80), (rate / 4, 0.9, 80)])
    assert [(alarm.images_seen, alarm.return_to) for alarm in trained.alarms] == [(104, 80)] * 3
    assert {reason.rule for alarm in trained.alarms for reason in alarm.reasons} == {"repeats"}
    assert (trained.stopped, trained.watched, trained.kept_at, trained.best_wrong) == (True, True, 40, 0)
    kept = load_file(tmp_path / "generator.safetensors")
    assert len(at_tick_5) == 1
    assert all(torch.equal(kept[name], one) for name, one in at_tick_5[0].items())
    assert len(model_dir.snapshots(tmp_path)) == 19  # those of the collapse among them
    assert list((tmp_path / "checkpoint").iterdir()) == []


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize("die_after", [4, 13, 14])
def test_a_killed_training_goes_through_its_alarms_as_if_it_had_never_stopped(tmp_path: Path, die_after: int) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", die_after=die_after)
    assert train(tmp_path / "killed") == whole
    first, second = (model_dir.read_curve(tmp_path / name) for name in ("whole", "killed"))
    assert first.equals(second)
    weights = [(tmp_path / name / "generator.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("die_after", [22, 25])
def test_a_training_ends_where_nothing_becomes_clearly_better_and_its_copies_train_on_without_blur(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, die_after: int
) -> None:
    def measure(_self: Watching, state: gan.State, *, accuracy: float) -> Health:
        return replace(WELL, images_seen=state.images_seen)

    said: list[str] = []

    def run(folder: str, images: int, *, patience: int = 5, die_at: int | None = None, **more: object) -> TrainedGan:
        def progress(_done: int, _total: int, words: str) -> None:
            said.append(words)
            if die_at is not None and sum(map(bool, said)) == die_at:
                raise Killed

        said.clear()
        watch = WatchConfig(patience=patience * BATCH)
        return training.train(
            folder=tmp_path / folder,
            data=slices(diagnoses=("no_tumour", "tumour")),
            config=CONFIG.model_copy(update={"images": images * BATCH, "watch": watch}),
            seed=3,
            compute=PLAIN,
            progress=progress,
            make_ruler=no_ruler,
            **more,  # type: ignore[arg-type]
        )

    monkeypatch.setattr(Watching, "measure", measure)
    joint = run("joint", 40)
    # the blur ends at half of the budget, at tick 20, and no tick after the first is clearly better
    assert (joint.images_seen, joint.unimproved_since, joint.kept_at) == (25 * BATCH, 20 * BATCH, BATCH)
    assert (joint.stopped, joint.alarms) == (False, ())
    assert said[-1].endswith("; ended here, nothing has become clearly better since 160 images")
    assert not any("ended here" in words for words in said[:-1])

    with pytest.raises(Killed):
        run("killed", 40, die_at=die_after)
    assert run("killed", 40) == joint
    assert len(said) == (1 + 25 - die_after if die_after < 25 else 0)  # what had ended there trains no further
    for name in ("generator.safetensors", "curves.parquet"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "joint" / name).read_bytes()

    copy = run("copy", 60, diagnosis="tumour", start=tmp_path / "joint")
    assert (copy.gan.blur, joint.gan.blur) == (0, CONFIG.blur)
    assert (copy.joint_until, copy.kept_at) == (25 * BATCH, 26 * BATCH)
    assert (copy.images_seen, copy.unimproved_since) == (31 * BATCH, 26 * BATCH)
    endless = run("endless", 40, patience=0)
    assert (endless.images_seen, endless.unimproved_since) == (40 * BATCH, None)


def test_a_training_that_was_never_healthy_starts_anew_and_in_the_end_says_so(tmp_path: Path) -> None:
    # a generator that does not move: its first weights draw nearly one grey image
    still = OptimiserConfig(learning_rate=1e-12)
    config = CONFIG.model_copy(update={"generator_optimiser": still})
    trained = train(tmp_path, config=config, ruler=make_ruler(k=5))
    curve = model_dir.read_curve(tmp_path)
    assert [alarm.return_to for alarm in trained.alarms] == [None] * 3
    assert all("alike" in {reason.rule for reason in alarm.reasons} for alarm in trained.alarms)
    assert trained.stopped
    assert trained.best_wrong == 2
    starts = curve.groupby("attempt")["images_seen"].min().tolist()
    assert starts == [BATCH] * 3
    assert len({round(v, 9) for v in curve.groupby("attempt")["diversity"].first()}) == 3  # other first weights


def test_without_an_alarm_the_best_tick_is_kept_and_every_tick_is_measured(tmp_path: Path) -> None:
    short = CONFIG.model_copy(update={"images": 4 * BATCH, "watch": WatchConfig(grace=1)})
    trained = train(tmp_path, config=short, ruler=make_ruler(k=5))
    curve = model_dir.read_curve(tmp_path)
    assert len(curve) == 4
    assert not curve[["coverage", "kid", "recall_real", "accuracy_held_out"]].isna().any(axis=None)
    assert not trained.alarms
    assert not trained.stopped
    assert trained.kept_at in curve["images_seen"].tolist()
    assert (trained.n_slices + trained.n_held_out, trained.n_held_out) == (90, 18)  # whole groups of three


def test_the_held_out_slices_are_seen_by_the_watch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[torch.Tensor] = []
    step = gan.train_step

    def spy(state: gan.State, *, images: torch.Tensor, **rest: object) -> object:
        given.append(images)
        return step(state, images=images, **rest)  # type: ignore[arg-type]

    rulers: list[int] = []

    def counting(images: np.ndarray, groups: Sequence[str]) -> Ruler:
        rulers.append(len(images))
        return no_ruler(images, groups)

    monkeypatch.setattr(gan, "train_step", spy)
    data = slices()
    config = CONFIG.model_copy(update={"mirror": False, "watch": WatchConfig(grace=1)})
    trained = training.train(
        folder=tmp_path,
        data=data,
        config=config,
        seed=3,
        compute=PLAIN,
        progress=lambda *_: None,
        make_ruler=counting,
    )
    seen = {one.numpy().tobytes() for batch in given for one in batch}
    shown = [data.images[i].tobytes() in seen for i in range(len(data.images))]
    held = hold_out(data.groups, share=0.1, rng=np.random.default_rng(3))
    assert held.sum() == trained.n_held_out == 18
    assert rulers == [72]  # what is near a training image, and on what scale, is read without them too
    assert not any(np.array(shown)[held])
    assert sum(shown) > 40


@pytest.mark.parametrize(
    ("groups", "share", "taken"),
    [
        ([f"s{i // 4}" for i in range(400)], 0.1, 40),
        ([f"s{i // 10}" for i in range(100)], 0.1, 20),  # 16 at least, in whole groups
        ([f"s{i}" for i in range(60)], 0.1, 0),  # more than a fifth
        (["a"] * 90 + ["b"] * 10, 0.1, 0),  # two groups: one must be left to tell copies from likeness
        ([f"s{i // 4}" for i in range(400)], 0.0, 0),
    ],
)
def test_whole_groups_are_held_out_or_none(groups: list[str], share: float, taken: int) -> None:
    for seed in range(5):
        held = hold_out(groups, share=share, rng=np.random.default_rng(seed))
        assert held.sum() == taken
        inside, outside = ({g for g, h in zip(groups, held, strict=True) if h is side} for side in (True, False))
        assert not inside & outside


def test_a_joint_gan_becomes_one_of_each_diagnosis_or_is_gone_on_from(tmp_path: Path) -> None:
    data = slices(diagnoses=("no_tumour", "tumour"))
    config = CONFIG.model_copy(update={"images": 4 * BATCH, "watch": WatchConfig(grace=1)})

    def run(folder: Path, config: GanConfig, **more: object) -> TrainedGan:
        return training.train(
            folder=folder,
            data=data,
            config=config,
            seed=3,
            compute=PLAIN,
            progress=lambda *_: None,
            make_ruler=no_ruler,
            **more,  # type: ignore[arg-type]
        )

    joint = run(tmp_path / "joint", config)
    assert joint.diagnosis == "joint"
    assert joint.network.conditions == 2
    before = model_dir.healthy_path(tmp_path / "joint").read_bytes()
    for diagnosis in ("no_tumour", "tumour"):
        derived = model_dir.derive(tmp_path / "joint", tmp_path / "derived" / diagnosis, diagnosis=diagnosis)
        _, loaded = model_dir.load_generator(tmp_path / "derived" / diagnosis)
        assert loaded == derived
        assert sum(n > 0 for n in derived.condition_counts) == 1
        assert len(model_dir.snapshots(tmp_path / "derived" / diagnosis)) == 4

        longer = config.model_copy(update={"images": 7 * BATCH})
        copy = run(tmp_path / diagnosis, longer, diagnosis=diagnosis, start=tmp_path / "joint")
        assert copy.diagnosis == diagnosis
        assert copy.conditions == joint.conditions
        assert copy.condition_counts == derived.condition_counts
        curve = model_dir.read_curve(tmp_path / diagnosis)
        assert curve["images_seen"].tolist() == [BATCH * i for i in range(1, 8)]  # the joint training's past is its own
        assert copy.joint_until == derived.joint_until == 4 * BATCH
        pictures = model_dir.snapshots(tmp_path / diagnosis)
        assert len(pictures) == 7
        first, last = read_png(pictures[0]), read_png(pictures[-1])
        assert first.shape == last.shape == (SIDE, 2 * SIDE)
        both = read_png(model_dir.snapshots(tmp_path / "joint")[0])
        assert np.array_equal(first, both[:SIDE] if diagnosis == DIAGNOSES[0] else both[SIDE:])
        assert copy.n_slices == copy.condition_counts[derived.condition_counts.index(max(derived.condition_counts))]
    assert sum(derived.condition_counts) < joint.n_slices
    assert model_dir.healthy_path(tmp_path / "joint").read_bytes() == before


def test_no_condition_is_left_with_too_few_slices_by_holding_out(tmp_path: Path) -> None:
    data = slices()
    sequences = ["FLAIR"] * 90
    rng = np.random.default_rng(3)
    held = np.flatnonzero(hold_out(data.groups, share=0.1, rng=rng))
    for row in held[:9]:
        sequences[row] = "T1"  # nine slices, all of groups that would be held out
    given = TrainingSet(data.images, data.groups, data.diagnoses, data.positions, sequences, data.planes)
    config = CONFIG.model_copy(update={"images": 2 * BATCH, "watch": WatchConfig(grace=1)})
    trained = training.train(
        folder=tmp_path,
        data=given,
        config=config,
        seed=3,
        compute=PLAIN,
        progress=lambda *_: None,
        make_ruler=no_ruler,
    )
    assert trained.condition_counts == (72, 9)
    assert trained.n_held_out == 9


def test_eight_images_known_without_augmentation_are_no_reason_to_stop() -> None:
    known = replace(WELL, accuracy=Accuracy(1.0, 1.0, None, 32, 256, 0, as_trained=0.8))
    assert not faults(known, WatchConfig())
    wins = replace(WELL, accuracy=Accuracy(1.0, 1.0, None, 32, 256, 0, as_trained=0.99))
    assert [reason.rule for reason in faults(wins, WatchConfig())] == ["discriminator_wins"]
    assert not faults(wins, WatchConfig(wins=2.0))


def test_a_training_that_begins_anew_is_young_again_by_the_clock_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = [0]

    def measure(_self: Watching, state: gan.State, *, accuracy: float) -> Health:
        ticks[0] += 1
        # the first start never gets well; the second one does, after as many ticks as a young one has
        return replace(ILL if ticks[0] <= 10 else WELL, images_seen=state.images_seen)

    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(Watching, "measure", measure)
    monkeypatch.setattr("pipeline.synthesis.gan.time.monotonic", lambda: float(next(clock)))
    config = CONFIG.model_copy(update={"images": 10_000, "minutes": 1.5, "watch": WatchConfig(grace=0.15)})
    trained = train(tmp_path, config=config)
    curve = model_dir.read_curve(tmp_path)
    assert [alarm.return_to for alarm in trained.alarms] == [None]
    assert not trained.stopped
    assert trained.best_wrong == 0
    assert curve["verdict"].tolist()[:12] == ["suspect"] * 6 + ["alarm"] + ["suspect"] * 3 + ["healthy"] * 2
    assert curve["images_seen"].tolist()[6:8] == [7 * BATCH, BATCH]


def test_copies_of_a_joint_gan_that_was_stopped_ill_begin_from_first_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watching, "measure", lambda _self, state, accuracy: replace(ILL, images_seen=state.images_seen))
    joint = training.train(
        folder=tmp_path / "joint",
        data=slices(diagnoses=("no_tumour", "tumour")),
        config=CONFIG,
        seed=3,
        compute=PLAIN,
        progress=lambda *_: None,
        make_ruler=no_ruler,
    )
    assert (joint.stopped, joint.best_wrong, len(joint.alarms)) == (True, 2, 3)
    start = model_dir.read_state(model_dir.healthy_path(tmp_path / "joint"), advice="")
    assert (start["images_seen"], start["seconds"]) == (0, 0.0)


def test_a_copy_has_the_past_of_the_healthy_state_that_it_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(_self: Watching, state: gan.State, *, accuracy: float) -> Health:
        last = state.images_seen in (7 * BATCH, 8 * BATCH)  # of the joint training: at fault, and no time to go back
        return replace(ILL if last and _self.config.images == 8 * BATCH else WELL, images_seen=state.images_seen)

    monkeypatch.setattr(Watching, "measure", measure)
    data = slices(diagnoses=("no_tumour", "tumour"))
    for images, folder, more in (
        (8, "joint", {}),
        (10, "tumour", {"diagnosis": "tumour", "start": tmp_path / "joint"}),
    ):
        trained = training.train(
            folder=tmp_path / folder,
            data=data,
            config=CONFIG.model_copy(update={"images": images * BATCH}),
            seed=3,
            compute=PLAIN,
            progress=lambda *_: None,
            make_ruler=no_ruler,
            **more,  # type: ignore[arg-type]
        )
    curve = model_dir.read_curve(tmp_path / "tumour")
    assert (curve["images_seen"] // BATCH).tolist() == list(range(1, 11))  # and not 7 and 8 twice
    assert (trained.joint_until, trained.joint_ticks) == (6 * BATCH, 6)
    assert len(model_dir.snapshots(tmp_path / "tumour")) == 10


@pytest.mark.usefixtures("scripted")
def test_what_a_kill_leaves_is_removed_and_not_taken_for_a_picture(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(tmp_path, die_after=4)
    left = [tmp_path / "snapshots" / ".00003-000000032.png.1.part.png", tmp_path / "checkpoint" / ".state.pt.1.part.pt"]
    for path in left:
        path.write_bytes(b"half")
    assert len(model_dir.snapshots(tmp_path)) == 4
    train(tmp_path)
    assert not any(path.exists() for path in left)
    model_dir.checkpoint_path(tmp_path).write_bytes(b"of a kill between the last two writes")
    train(tmp_path)
    assert not model_dir.checkpoint_path(tmp_path).exists()


def test_weights_that_leave_no_condition_to_draw_and_a_generator_that_ran_away_are_clear_errors(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"sampling": "weighted", "condition_weights": (0.0,)})
    with pytest.raises(ModelError, match="no condition that has images a weight above 0"):
        train(tmp_path / "weights", config=config)
    wild = OptimiserConfig(kind="sgd", learning_rate=1e34)  # weights are finite, and what they draw is not
    config = CONFIG.model_copy(update={"generator_optimiser": wild, "ema_half_life": 0})
    with pytest.raises(gan.TrainingFailed, match="images of the averaged generator are no longer finite, at 8 images"):
        train(tmp_path / "wild", config=config, ruler=make_ruler(k=5))


def test_copies_may_weigh_conditions_that_they_do_not_have(tmp_path: Path) -> None:
    data = slices(diagnoses=("no_tumour", "tumour"))
    config = CONFIG.model_copy(
        update={
            "images": 2 * BATCH,
            "sampling": "weighted",
            "condition_weights": (1.0, 1.0),
            "watch": WatchConfig(on=False),
        }
    )

    def run(folder: Path, config: GanConfig, **more: object) -> TrainedGan:
        return training.train(
            folder=folder,
            data=data,
            config=config,
            seed=3,
            compute=PLAIN,
            progress=lambda *_: None,
            **more,  # type: ignore[arg-type]
        )

    run(tmp_path / "joint", config)
    longer = config.model_copy(update={"images": 3 * BATCH})
    assert run(tmp_path / "copy", longer, diagnosis="no_tumour", start=tmp_path / "joint").images_seen == 3 * BATCH
    with pytest.raises(ModelError, match="budget is spent"):
        run(tmp_path / "none", config, diagnosis="no_tumour", start=tmp_path / "joint")
