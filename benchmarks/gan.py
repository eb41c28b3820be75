"""What the GAN reaches on real slices: quality, strategies, other recipes at equal time, planted collapses.

    python benchmarks/gan.py EXPERIMENT DATA WORK [--minutes M] [--seeds 0,1]

EXPERIMENT: quality | strategies | fixed | recipes | modes | leak | strong | ten | healthy. DATA: a folder of
scans such as ../shared/data/lgg_flair. WORK: a folder outside of the repository, in which all is kept and gone on from;
each training ends as a line of WORK/EXPERIMENT.jsonl. Minutes are of processor time, over all threads, so that they
mean the same beside other jobs. One of three folds of subjects is kept from everything that learns and is what
"held-out real" means; all sets are judged at one n against the same training images, the mean over DRAWS draws of n.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import MetricSet
from flows.config import SynthesisConfig
from flows.watch import make_ruler, training_set
from pipeline.compute import best_compute
from pipeline.evidence import fidelity, memorisation
from pipeline.evidence.classifier import ClassifierConfig, predict, train_classifier
from pipeline.evidence.features import RandomFeatures, standardise
from pipeline.evidence.modes import real_limits
from pipeline.run_dir import RunDir
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.normalise import NormaliseConfig, apply, fit, measure_all
from pipeline.scans.split import SplitConfig, split
from pipeline.synthesis import gan, health, model_dir, recipes, training
from pipeline.synthesis.augment import AugmentConfig
from pipeline.synthesis.augment import apply as augment_images
from pipeline.synthesis.augment import draw as draw_augmentation
from pipeline.synthesis.collapse import Watch, WatchConfig
from pipeline.synthesis.config import GanConfig
from pipeline.synthesis.optimisers import OptimiserConfig
from pipeline.synthesis.sample import sample

Images = NDArray[np.float32]
Features = NDArray[np.float32]
Draw = Callable[[int], Images]  # so many images of a set
Finder = Callable[[Draw], bool]  # was a collapse found in them?
SIDE, K, DRAWS, SAMPLES = 64, 5, 20, 600
MEASURES = ("coverage", "recall", "precision", "density", "kid", "spread")
UNLIMITED = 100_000_000  # images: minutes end the training
HEAD = -0.8  # grey above which a pixel is of the head
FROZEN = (1, 3, 10, 30, 60, 100, 130, 160, 200, 300)  # latents that a planted collapse still knows
WATCHED = (1, 3, 10, SAMPLES)
OTHERS = ("akkaya-new", "dcgan", "sngan")


@dataclass(frozen=True)
class Data:
    """All slices of a set, normalised by its training part, and which of them are test slices."""

    name: str
    images: Images  # (N, 1, SIDE, SIDE)
    rows: pd.DataFrame  # the manifest
    test: NDArray[np.bool_]

    def of(self, diagnosis: str, *, test: bool) -> NDArray[np.bool_]:
        """Rows of one diagnosis of the training or the test part."""
        chosen: NDArray[np.bool_] = (self.rows["diagnosis"] == diagnosis).to_numpy() & (self.test == test)
        return chosen


def load(source: Path, work: Path, *, size: int = SIDE, inner: bool = False) -> Data:
    """Ingest once into `work`, split by subject and duplicate group (seed 0), normalise on the training part.

    inner: of the training part alone, which is split once more in the same way: for what is chosen by what is measured.
    """
    run = RunDir(work / source.name)
    if not run.manifest.exists():
        ingest(source=str(source), out=run, config=IngestConfig(), seed=0, key=None, progress=lambda *_: None)
    rows = pd.read_parquet(run.manifest)
    three = SplitConfig(folds_drawn=3, folds_evaluated=1)
    fold = split(rows, config=three, seed=0).folds[0]
    if inner:
        rows = rows[rows["group"].isin(fold.train)].reset_index(drop=True)
        fold = split(rows, config=three, seed=0).folds[0]
    test = rows["group"].isin(fold.test).to_numpy()
    measured = measure_all(run, list(rows["slice_id"]), NormaliseConfig(size=size))
    fitted = fit([one for one, held in zip(measured, test, strict=True) if not held])
    return Data(source.name, np.stack([apply(one, fitted) for one in measured]), rows, test)


def judge(samples: Mapping[str, Images], data: Data) -> dict[str, Any]:
    """`likeness`, and what a classifier learns from the samples.

    real_auc: of a classifier trained on them alone and tested on real test slices; both diagnoses needed.
    """
    found = likeness(samples, data)
    if set(samples) == set(DIAGNOSES):
        n = min(map(len, samples.values()))
        learnt = np.concatenate([samples[diagnosis][:n] for diagnosis in DIAGNOSES])
        real = (data.rows["diagnosis"] == "tumour").to_numpy()[data.test]
        aucs = []
        for seed in range(2):
            classifier = train_classifier(
                images=learnt,
                diagnoses=np.repeat(np.arange(len(DIAGNOSES)), n),
                classic=True,
                config=ClassifierConfig(),
                seed=seed,
                compute=best_compute(),
            )
            aucs.append(roc_auc_score(real, predict(classifier, data.images[data.test])))
        found["real_auc"] = float(np.mean(aucs))
    return found


def likeness(samples: Mapping[str, Images], data: Data) -> dict[str, Any]:
    """Each diagnosis' samples (n, 1, SIDE, SIDE), and beside them held-out real slices."""
    extractor, found = RandomFeatures(), dict[str, Any]()
    for diagnosis, images in samples.items():
        part, test = data.of(diagnosis, test=False), data.of(diagnosis, test=True)
        reference = extractor.extract(data.images[part])
        sets = [standardise(extractor.extract(of), reference=reference) for of in (images, data.images[test])]
        training = standardise(reference, reference=reference)
        n = min(len(training), *map(len, sets))
        scores = [[_scores(of, training, n, draw) for draw in range(DRAWS)] for of in sets]
        groups = data.rows.loc[part, "group"].tolist()
        finder = memorisation.CopyFinder(data.images[part], groups)
        copies = [float(finder.find(of).near_copy.mean()) for of in (images, data.images[test])]
        found[diagnosis] = {
            "n": n,
            **{name: [float(np.mean([getattr(s, name) for s in of])) for of in scores] for name in MEASURES},
            "near_copies": copies,
        }
    return found


def _scores(candidate: Features, training: Features, n: int, draw: int) -> MetricSet:
    """n of the candidates against n training images; one draw takes the same training images for every candidate."""
    chosen = candidate[np.random.default_rng(draw).choice(len(candidate), n, replace=False)]
    return fidelity.metric_set(candidate=chosen, training=training, k=K, rng=np.random.default_rng(draw))


class Trainer:
    """Trains what an experiment asks for on one set, in folders of WORK, and notes each finished training."""

    def __init__(self, data: Data, work: Path, experiment: str, minutes: float, *, watched: bool = True) -> None:
        """watched: by the judge's measures, unless a training is given others."""
        self.data, self.work, self.experiment, self.minutes = data, work, experiment, minutes
        self.make_ruler = make_ruler(k=K) if watched else None
        self.notes = work / f"{experiment}.jsonl"
        # what looks at trained generators looks at those of `quality`, if these minutes are its own
        self.folder = "quality" if experiment in ("modes", "leak") else experiment

    def train(
        self,
        name: str,
        config: GanConfig,
        seed: int,
        *,
        images: Images | None = None,
        only: str | None = None,
        **more: Any,
    ) -> Path:
        """Train on the training part, of `only` one diagnosis; returns the model's folder. The rest as in training."""
        rows = ~self.data.test if only is None else self.data.of(only, test=False)
        folder = (
            self.work
            / "models"
            / self.data.name
            / self.folder
            / f"{name}-{seed}-{self.minutes:g}"
            / (more.get("diagnosis") or only or "joint")
        )
        source = self.data.images if images is None else images
        training.train(
            folder=folder,
            data=training_set(source[rows], self.data.rows[rows]),
            config=config,
            seed=seed,
            compute=best_compute(),
            progress=lambda done, _, said: print(f"{name} {seed} {only}: {done} images, {said}", flush=True),
            **{"make_ruler": self.make_ruler} | more,
        )
        return folder

    def note(self, name: str, seed: int, minutes: float, folders: Mapping[str, Path], *, shrink: int = 1) -> None:
        """Sample the models, judge them, and write a line with how their trainings went."""
        samples, went = {}, {}
        for diagnosis, folder in folders.items():
            generator, trained = model_dir.load_generator(folder)
            drawn = torch.from_numpy(sample(generator, trained, seeds=range(SAMPLES)))
            samples[diagnosis] = torch.nn.functional.avg_pool2d(drawn, shrink).numpy()
            went[diagnosis] = {
                "images_seen": trained.images_seen,
                "kept_at": trained.kept_at,
                "unimproved_since": trained.unimproved_since,
                "alarms": [[reason.rule for reason in alarm.reasons] for alarm in trained.alarms],
                "best_wrong": trained.best_wrong,
                "stopped": trained.stopped,
            }
        line = {"data": self.data.name, "name": name, "seed": seed, "cpu_minutes": minutes, "went": went}
        line |= judge(samples, self.data)
        with self.notes.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(table([line]), flush=True)

    def done(self, name: str, seed: int) -> bool:
        """Whether this training has its line."""
        if not self.notes.exists():
            return False
        lines = [json.loads(line) for line in self.notes.read_text().splitlines()]
        wanted = (self.data.name, name, seed, self.minutes)
        return any((one["data"], one["name"], one["seed"], one["cpu_minutes"]) == wanted for one in lines)


def table(lines: list[dict[str, Any]]) -> str:
    """Lines as rows of a Markdown table: each measure, and that of held-out real slices in brackets."""
    rows = [
        "| set | what | seed | CPU min | diagnosis | n | coverage | recall | KID | near-copies | alarms |",
        "|" + "---|" * 11,
    ]
    for line in lines:
        for diagnosis in (d for d in DIAGNOSES if d in line):
            of, went = line[diagnosis], line["went"].get(diagnosis, {})
            cells = [line["data"], line["name"], line["seed"], f"{line['cpu_minutes']:g}", diagnosis, of["n"]]
            cells += [f"{of[m][0]:.2f} ({of[m][1]:.2f})" for m in ("coverage", "recall", "kid")]
            cells += [f"{of['near_copies'][0]:.3f} ({of['near_copies'][1]:.3f})", len(went.get("alarms", []))]
            rows.append("| " + " | ".join(map(str, cells)) + " |")
        if "real_auc" in line:
            rows.append(f"AUC on real test slices after training on these alone: {line['real_auc']:.3f}")
    return "\n".join(rows)


def quality(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """The default recipe and strategy, so many minutes for each diagnosis."""
    config = GanConfig(images=UNLIMITED, minutes=minutes)
    for seed in seeds:
        if not trainer.done("default", seed):
            trainer.note("default", seed, minutes, train_by(SynthesisConfig(), trainer, "default", config, seed))


def strategies(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """One GAN a diagnosis, a joint one, a joint one and then a copy a diagnosis, at equal minutes in all."""
    config = GanConfig(images=UNLIMITED, minutes=minutes)
    for seed in seeds:
        for strategy in ("per_class", "joint", "finetune"):
            if not trainer.done(strategy, seed):
                how = SynthesisConfig(strategy=strategy)
                trainer.note(strategy, seed, minutes, train_by(how, trainer, strategy, config, seed))


def train_by(how: SynthesisConfig, trainer: Trainer, name: str, config: GanConfig, seed: int) -> dict[str, Path]:
    """Train by a strategy; the folder of each diagnosis' model."""
    if how.strategy == "per_class":
        return {one: trainer.train(name, config, seed, only=one) for one in DIAGNOSES}
    joint = trainer.train(name, config.with_budget(how.joint_budget), seed)
    if how.strategy == "finetune":
        longer = config.with_budget(how.copy_budget)
        return {one: trainer.train(name, longer, seed, diagnosis=one, start=joint) for one in DIAGNOSES}
    folders = {one: joint.parent / one for one in DIAGNOSES}
    for one, folder in folders.items():
        if not model_dir.config_path(folder).exists():
            model_dir.derive(joint, folder, diagnosis=one)
    return folders


def fixed(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """The default with augmentation of one strength throughout, in place of ADA."""
    config = GanConfig(images=UNLIMITED, minutes=minutes, augmentation=AugmentConfig())
    for seed in seeds:
        if not trainer.done("fixed", seed):
            trainer.note("fixed", seed, minutes, train_by(SynthesisConfig(), trainer, "fixed", config, seed))


def others(trainer: Trainer, minutes: float, seeds: list[int], source: Path) -> None:
    """The default against other recipes at equal minutes, each at its own size and judged at SIDE.

    The others are trained as they are: without a watch, the last generator kept.
    """
    quality(trainer, minutes, seeds)
    for name in OTHERS:
        config = recipes.load(name)
        size = config.network.image_size
        images = trainer.data.images if size == SIDE else load(source, trainer.work, size=size).images
        config = config.model_copy(update={"images": UNLIMITED, "minutes": minutes})
        for seed in seeds:
            if not trainer.done(name, seed):
                folders = {
                    one: trainer.train(name, config, seed, images=images, only=one, make_ruler=None)
                    for one in DIAGNOSES
                }
                trainer.note(name, seed, minutes, folders, shrink=size // SIDE)


def modes(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """A trained generator frozen to k of its latents, 20 draws for each k: do the watch and the verdict find it?

    The watch sees 2 n of them at three ticks, the verdict of the evidence n once. The watch, which takes longer, is
    asked for WATCHED alone.
    """
    config = GanConfig(images=UNLIMITED, minutes=minutes)
    folders = train_by(SynthesisConfig(), trainer, "default", config, seeds[0])
    print("| set | diagnosis | latents | watch: alarm | verdict: collapsed |")
    for diagnosis in DIAGNOSES:
        generator, trained = model_dir.load_generator(folders[diagnosis])
        pool = sample(generator, trained, seeds=range(SAMPLES))
        watch, verdict = _watch_of(trainer.data, diagnosis), _verdict_of(trainer.data, diagnosis)
        for k in (*FROZEN, SAMPLES):
            kept = [pool[np.random.default_rng(seed).choice(SAMPLES, k, replace=False)] for seed in range(DRAWS)]
            drawn = [_drawn(of, seed, again=k < SAMPLES) for seed, of in enumerate(kept)]
            raised = f"{sum(map(watch, drawn))} of {DRAWS}" if k in WATCHED else ""
            spoken = f"{sum(map(verdict, drawn))} of {DRAWS}"
            print(f"| {trainer.data.name} | {diagnosis} | {k} | {raised} | {spoken} |", flush=True)
        held_out = trainer.data.images[trainer.data.of(diagnosis, test=True)]
        real = sum(verdict(_drawn(held_out, seed, again=False)) for seed in range(DRAWS))
        print(f"| {trainer.data.name} | {diagnosis} | held-out patients | | {real} of {DRAWS} |", flush=True)


def _drawn(images: Images, seed: int, *, again: bool) -> Draw:
    """Draws so many of the images, the same one again or not."""
    rng = np.random.default_rng(seed)
    return lambda n: images[rng.choice(len(images), n, replace=again)]


def _watch_of(data: Data, diagnosis: str) -> Finder:
    """Whether the watch of a training raises the alarm at three ticks of 2 n images."""
    rows = data.of(diagnosis, test=False)
    groups, images = data.rows.loc[rows, "group"].tolist(), data.images[rows]
    ruler = make_ruler(k=K)(images, groups)
    held = data.images[data.of(diagnosis, test=True)]  # nothing is learnt here any more
    against = health.reference(training=images, groups=groups, held_out=held, ruler=ruler, rng=np.random.default_rng(0))

    def raised(draw: Draw) -> bool:
        watch, verdict = Watch(WatchConfig()), ""
        for progress in (0.7, 0.75, 0.8):
            looked = health.measure(images_seen=UNLIMITED, samples=draw(2 * against.n), reference=against, ruler=ruler)
            verdict = watch.look(looked, progress=progress).verdict
        return verdict == "alarm"

    return raised


def _verdict_of(data: Data, diagnosis: str) -> Finder:
    """Whether the mode-collapse verdict is spoken over n images; its limits are drawn anew each time."""
    extractor = RandomFeatures()
    parts = [data.of(diagnosis, test=test) for test in (False, True)]
    reference = extractor.extract(data.images[parts[0]])
    real = [standardise(extractor.extract(data.images[part]), reference=reference) for part in parts]
    n = min(map(len, real))

    rng = np.random.default_rng(0)

    def spoken(draw: Draw) -> bool:
        limits = real_limits(
            training=real[0],
            held_out_real=real[1],
            training_groups=data.rows.loc[parts[0], "group"].tolist(),
            held_out_groups=data.rows.loc[parts[1], "group"].tolist(),
            n=n,
            k=K,
            rng=rng,
        )
        return limits.judge(standardise(extractor.extract(draw(n)), reference=reference), rng=rng).mode_collapse

    return spoken


def leak(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """Do samples show the augmentation? Spread over images of what it changes: real, samples, augmented real."""
    config = GanConfig(images=UNLIMITED, minutes=minutes)
    folders = train_by(SynthesisConfig(), trainer, "default", config, seeds[0])
    for diagnosis in DIAGNOSES:
        generator, trained = model_dir.load_generator(folders[diagnosis])
        real = torch.from_numpy(trainer.data.images[trainer.data.of(diagnosis, test=False)])
        drawn = draw_augmentation(SAMPLES, config.augmentation, torch.Generator().manual_seed(0))
        again = real[torch.arange(SAMPLES) % len(real)]
        sets = real, torch.from_numpy(sample(generator, trained, seeds=range(SAMPLES))), augment_images(again, drawn)
        print("| diagnosis | spread over images of | real | samples | augmented real |")
        for name in shown_by(real):
            cells = [f"{float(shown_by(images)[name].std()):.3f}" for images in sets]
            print(f"| {diagnosis} | {name} | {' | '.join(cells)} |", flush=True)
        boxes = [f"{float(flattest_square(images).lt(0.02).float().mean()):.3f}" for images in sets]
        print(f"| {diagnosis} | (share with a flat grey square) | {' | '.join(boxes)} |", flush=True)


def shown_by(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What augmentation changes, of each image (N, 1, S, S): (N,) each; lengths as shares of the side."""
    head = (images[:, 0] > HEAD).double()
    side = images.shape[-1]
    area = head.sum((1, 2)).clamp_min(1)
    at = torch.arange(side, dtype=torch.float64) / side
    row, column = (head.sum(2) * at).sum(1) / area, (head.sum(1) * at).sum(1) / area
    dy, dx = at[None, :, None] - row[:, None, None], at[None, None, :] - column[:, None, None]
    moments = [(head * product).sum((1, 2)) / area for product in (dy * dy, dx * dx, dy * dx)]
    tilt = torch.rad2deg(torch.atan2(2 * moments[2], moments[0] - moments[1]) / 2)  # of the longer axis
    grey = (images[:, 0].double() * head).sum((1, 2)) / area
    return {"size": (area / side**2).sqrt(), "row": row, "column": column, "tilt, degrees": tilt, "grey": grey}


def flattest_square(images: torch.Tensor) -> torch.Tensor:
    """Of each image (N, 1, S, S) the least root mean square of grey in a square of a fifth of the side: (N,)."""
    mean_square = torch.nn.functional.avg_pool2d(images**2, images.shape[-1] // 5, stride=1)
    return mean_square.flatten(1).amin(1).sqrt()


def strong(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """A discriminator made far too strong: 25 times the rate, no penalty, nothing augmented or blurred."""
    config = GanConfig(
        images=UNLIMITED,
        minutes=minutes,
        tick=1024,
        gamma=0.0,
        blur=0.0,
        augmentation=AugmentConfig(strength=0.0),
        discriminator_optimiser=OptimiserConfig(learning_rate=1e-2),
    )
    _alarms(trainer, "strong", config, minutes, seeds)


def ten(trainer: Trainer, minutes: float, seeds: list[int], source: Path) -> None:
    """The user's first system on ten images, as the user trained it."""
    data = load(source, trainer.work, size=128)
    config = recipes.load("akkaya-old").model_copy(update={"images": UNLIMITED, "minutes": minutes, "tick": 512})
    for seed in seeds:
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(np.flatnonzero(data.of("tumour", test=False)), 10, replace=False))
        few = Data(f"{data.name}-ten", data.images[chosen], data.rows.iloc[chosen], np.zeros(10, np.bool_))
        _alarms(Trainer(few, trainer.work, trainer.experiment, minutes), "akkaya-old", config, minutes, [seed])


def healthy(trainer: Trainer, minutes: float, seeds: list[int]) -> None:
    """The default recipe with a short budget, over and over: an alarm is a false one unless its samples say other."""
    config = GanConfig(images=UNLIMITED, minutes=minutes, tick=1024)
    _alarms(trainer, "default", config, minutes, seeds)


def _alarms(trainer: Trainer, name: str, config: GanConfig, minutes: float, seeds: list[int]) -> None:
    """Train on tumour slices and print the alarms."""
    for seed in seeds:
        folder = trainer.train(name, config, seed, only="tumour")
        _, trained = model_dir.load_generator(folder)
        last = model_dir.read_curve(folder).iloc[-1]
        line = {
            "data": trainer.data.name,
            "name": name,
            "seed": seed,
            "cpu_minutes": minutes,
            "images_seen": trained.images_seen,
            "alarms": [
                [alarm.images_seen, *(f"{r.rule} {r.value:.2f} ({r.limit:.2f})" for r in alarm.reasons)]
                for alarm in trained.alarms
            ],
            "stopped": trained.stopped,
            "coverage": [float(last["coverage"]), float(last["coverage_real"])],
            "diversity": [float(last["diversity"]), float(last["diversity_real"])],
        }
        if not trainer.done(name, seed):
            with trainer.notes.open("a") as file:
                file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def main() -> None:
    """Run one experiment and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    experiments = ("quality", "strategies", "fixed", "recipes", "modes", "leak", "strong", "ten", "healthy")
    parser.add_argument("experiment", choices=experiments)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0])
    given = parser.parse_args()
    trainer = Trainer(load(given.data, given.work), given.work, given.experiment, given.minutes)
    run = {
        "quality": quality,
        "strategies": strategies,
        "fixed": fixed,
        "recipes": lambda t, m, s: others(t, m, s, given.data),
        "modes": modes,
        "leak": leak,
        "strong": strong,
        "ten": lambda t, m, s: ten(t, m, s, given.data),
        "healthy": healthy,
    }[given.experiment]
    with mock.patch.object(gan, "time", SimpleNamespace(monotonic=time.process_time)):  # budgets of processor time
        run(trainer, given.minutes, given.seeds)
    if given.experiment in ("quality", "strategies", "fixed", "recipes"):
        print(table([json.loads(line) for line in trainer.notes.read_text().splitlines()]))


if __name__ == "__main__":
    main()
