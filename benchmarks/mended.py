"""Can generators of whole slices be mended for classifiers? Variants at equal minutes, beside painting and pasting.

    python benchmarks/mended.py SOURCE WORK [--minutes 4] [--seed 0] [--classifiers 2] [--only joint,painted]

SOURCE: a folder of scans with masks such as ../shared/data/lgg_flair. WORK: a folder outside of the repository; what
has its line in WORK/mended.jsonl is not trained again. Minutes are of processor time, over all threads and both
diagnoses. The training part of fold 0 of 3 (as in benchmarks/gan.py) is split once more by subject: two thirds learn, a
third judges, and no test slice is read. Generators, painters, the guide, the screen and the classifiers know the
learning part alone. Generators train without a watch, so that all of its slices are learned from, and the last one is
kept.

The guide is the study's classifier, of the learning part with classic augmentation; its training is not counted. Of
each variant as many slices are drawn as the learning part has of each diagnosis, near-copies and broken ones left out;
of painted and pasted slices none is, for they show heads of the learning part by design. Classifiers learn from a set
alone, and from it beside the real slices, in the same number of steps. Figures are means over classifiers, with the
study's intervals over subjects; likeness is that of benchmarks/gan.py, the mean of both diagnoses, with real judging
slices in brackets.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Final, Literal
from unittest import mock

import numpy as np
import pandas as pd
import torch
from gan import UNLIMITED, Data, Images, Trainer, likeness, load, train_by
from localisation import load as load_masked
from numpy.typing import NDArray
from painting import markdown, points, share

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from flows.config import SynthesisConfig
from pipeline.compute import best_compute
from pipeline.evidence.classifier import ClassifierConfig, predict, train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.memorisation import CopyFinder
from pipeline.evidence.statistics import Bootstrap, bootstrap
from pipeline.export.gate import screen
from pipeline.run_dir import write_table
from pipeline.synthesis import gan, model_dir, painter
from pipeline.synthesis.config import GanConfig
from pipeline.synthesis.lesions import LesionBank, lesion_bank, paste_set
from pipeline.synthesis.painting import lesson, paint_set
from pipeline.synthesis.sample import Code, decode, latent, sample

Set = Mapping[str, Images]  # by diagnosis
ALONE, BESIDE, REAL = "set alone", "real + set", "real"  # what classifiers learn from
MOST_DRAWN: Final = 4  # times what is wanted, before a short set is accepted
APART: Final = 1_000_000  # between seeds of the two diagnoses where they are not to share latents
DRAWS: Final = 2000  # bootstrap resamples of judging subjects


@dataclass(frozen=True)
class Variant:
    """How a set of both diagnoses is dreamt. chosen: each by itself; both diagnoses of one latent and height; or only
    those of which the guide says what they should be.
    """

    strategy: Literal["per_class", "joint", "finetune"] = "joint"
    chosen: Literal["drawn", "paired", "agreed"] = "drawn"


VARIANTS: Final[Mapping[str, Variant]] = {
    "finetune": Variant("finetune"),
    "joint": Variant(),
    "agreed": Variant(chosen="agreed"),
    "paired": Variant(chosen="paired"),
    "per-class": Variant("per_class"),
}
YARDSTICKS: Final = ("painted", "pasted")


class Mending:
    """The learning part with what is known of it, and how a set is judged."""

    def __init__(self, data: Data, *, minutes: float, seed: int, classifiers: int) -> None:
        self.data, self.minutes, self.seed, self.classifiers = data, minutes, seed, classifiers
        learning = ~data.test
        self.real = data.images[learning]
        self.diagnoses = data.rows.loc[learning, "diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64)
        self.finder = CopyFinder(self.real, data.rows.loc[learning, "group"].tolist())
        self.wanted = {one: int(data.of(one, test=False).sum()) for one in DIAGNOSES}
        self.guide = self.learned(self.real, self.diagnoses, seed)

    def learned(self, images: Images, diagnoses: NDArray[np.int64], seed: int) -> Classifier:
        return train_classifier(
            images=images,
            diagnoses=diagnoses,
            classic=True,
            config=ClassifierConfig(),
            seed=seed,
            compute=best_compute(),
        )

    def passes(self, images: Images, diagnosis: str, *, agreed: bool) -> NDArray[np.bool_]:
        """Which slices may leave and, where that is asked for, which the guide takes for what they should be."""
        training = self.data.images[self.data.of(diagnosis, test=False)]
        kept = screen(synthetic=images, training=training, near_copy=self.finder.find(images).near_copy).kept
        if agreed:
            kept &= (predict(self.guide, images) > 0.5) == (diagnosis == TUMOUR)
        return kept

    def predictions(self, arm: str, images: Images, diagnoses: NDArray[np.int64]) -> pd.DataFrame:
        """What each of the classifiers that learn from these says of the judging slices."""
        rows = self.data.rows.loc[self.data.test, ["slice_id", "group", "diagnosis"]].reset_index(drop=True)
        judging = self.data.images[self.data.test]
        tables = [
            rows.assign(fold=0, arm=arm, seed=index, probability=predict(model, judging))
            for index in range(self.classifiers)
            for model in [self.learned(images, diagnoses, self.seed + 1 + index)]  # the guide's seed is none of them
        ]
        return pd.concat(tables, ignore_index=True)

    def of_set(self, chosen: Set) -> pd.DataFrame:
        """Predictions of classifiers of a set alone, and beside the real slices."""
        images = np.concatenate([chosen[one] for one in DIAGNOSES])
        diagnoses = np.repeat(np.arange(len(DIAGNOSES)), [len(chosen[one]) for one in DIAGNOSES])
        both = np.concatenate([self.real, images]), np.concatenate([self.diagnoses, diagnoses])
        return pd.concat([self.predictions(ALONE, images, diagnoses), self.predictions(BESIDE, *both)])


def gan_config(minutes: float) -> GanConfig:
    """Of one diagnosis' half of the minutes."""
    return GanConfig(images=UNLIMITED, minutes=minutes / 2)


def dreamt(mending: Mending, trainer: Trainer, variant: Variant) -> tuple[Set, int]:
    """The variant's set, at most as many as are wanted, and how many real images its generators were shown."""
    how = SynthesisConfig(strategy=variant.strategy)
    # variants that differ in what is chosen share their generators
    folders = train_by(how, trainer, variant.strategy, gan_config(mending.minutes), mending.seed)
    models = {one: model_dir.load_generator(folder) for one, folder in folders.items()}
    draw = pairs if variant.chosen == "paired" else apart
    chosen: dict[str, list[Images]] = {one: [] for one in DIAGNOSES}
    most = max(mending.wanted.values())
    for start in range(0, MOST_DRAWN * most, most):
        drawn = draw(models, range(start, start + most))
        passed = {one: mending.passes(drawn[one], one, agreed=variant.chosen == "agreed") for one in DIAGNOSES}
        if variant.chosen == "paired":
            both = passed[TUMOUR] & passed[NO_TUMOUR]
            passed = {TUMOUR: both, NO_TUMOUR: both}
        for one in DIAGNOSES:
            chosen[one] += list(drawn[one][passed[one]])
        if all(len(chosen[one]) >= mending.wanted[one] for one in DIAGNOSES):
            break
    return {one: np.stack(of[: mending.wanted[one]]) for one, of in chosen.items()}, shown(models, variant)


def shown(models: Mapping[str, tuple[torch.nn.Module, model_dir.TrainedGan]], variant: Variant) -> int:
    """Real images that all generators of a variant were shown, those of a joint one once."""
    trained = [of for _, of in models.values()]
    joint = trained[0].joint_until or 0
    if variant.strategy == "joint":
        return joint
    return joint + sum(of.images_seen - (of.joint_until or 0) for of in trained)


def apart(models: Mapping[str, tuple[torch.nn.Module, model_dir.TrainedGan]], seeds: Sequence[int]) -> Set:
    """A slice of each diagnosis for each seed, no latent in both."""
    return {one: sample(*models[one], seeds=[seed + i * APART for seed in seeds]) for i, one in enumerate(DIAGNOSES)}


def pairs(models: Mapping[str, tuple[torch.nn.Module, model_dir.TrainedGan]], seeds: Sequence[int]) -> Set:
    """Both diagnoses of the latent and the height of each seed: what differs shows the diagnosis, or should."""
    generator, trained = models[TUMOUR]
    numbers = {level: c for c, level in enumerate(trained.conditions.levels)}
    found: dict[str, list[Images]] = {one: [] for one in DIAGNOSES}
    for seed in seeds:
        z, c = latent(seed, trained)
        twin = numbers.get(trained.conditions.levels[c].model_copy(update={"diagnosis": NO_TUMOUR}))
        if twin is not None:  # a height may have too few slices of one diagnosis to be a condition of it
            for one, condition in ((TUMOUR, c), (NO_TUMOUR, twin)):
                found[one].append(decode(generator, Code(z[None], condition)))
    return {one: np.stack(of) for one, of in found.items()}


def changed(mending: Mending, work: Path, bank: LesionBank, name: str) -> tuple[Set, int]:
    """Painted slices, of painters that share the minutes, or pasted ones; and images that the painters were shown."""
    if name == "pasted":
        pasted = paste_set(bank, mending.wanted[TUMOUR], mending.wanted[NO_TUMOUR], np.random.default_rng(mending.seed))
        return {one: pasted[one].images for one in DIAGNOSES}, 0
    config = painter.PainterConfig(images=UNLIMITED, minutes=mending.minutes / 2)
    found, seen = {}, 0
    for i, one in enumerate(DIAGNOSES):
        folder = work / "models" / f"painted-{mending.seed}-{mending.minutes:g}" / one
        learned = lesson(bank, one, seed=mending.seed + i)
        trained = painter.train_painter(
            folder=folder,
            diagnosis=one,
            pairs=learned.pairs,
            canvases=learned.canvases,
            examples=learned.examples,
            config=config,
            seed=mending.seed + i,
            compute=best_compute(),
            progress=lambda done, _, said: print(f"painter: {done} images, {said}", flush=True),
        )
        generator, _ = painter.load_painter(folder)
        n, seed = mending.wanted[one], mending.seed + len(DIAGNOSES) + i
        found[one] = paint_set(bank, generator, diagnosis=one, n=n, seed=seed, compute=best_compute()).images
        seen += trained.images_seen
    return found, seen


def bank_of(source: Path, work: Path, data: Data) -> LesionBank:
    """Lesions and canvases of the learning part, by the masks that the scans have."""
    masks, learning = load_masked(source, work, size=data.images.shape[-1]).masks, ~data.test
    rows = data.rows[learning]
    return lesion_bank(
        real=data.images[learning],
        masks=masks[learning],
        diagnoses=rows["diagnosis"].tolist(),
        groups=rows["group"].tolist(),
        positions=rows["position"].to_numpy(float).tolist(),
    )


def measured(name: str, trainer: Trainer, mending: Mending, make: Callable[[], tuple[Set, int]]) -> None:
    """Make a set, judge it, and write its predictions and its line, unless it has one."""
    if trainer.done(name, mending.seed):
        return
    started = time.process_time()
    chosen, seen = make()
    write_table(predictions_path(trainer, name, mending.seed), mending.of_set(chosen))
    line = {"data": trainer.data.name, "name": name, "seed": mending.seed, "cpu_minutes": mending.minutes}
    line |= {"images_seen": seen, "n": {one: len(chosen[one]) for one in DIAGNOSES}}
    line |= likeness(chosen, mending.data)
    with trainer.notes.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{name}: {(time.process_time() - started) / 60:.1f} processor minutes in all", flush=True)


def predictions_path(trainer: Trainer, name: str, seed: int) -> Path:
    return trainer.work / "mended" / f"{name}-{seed}-{trainer.minutes:g}.parquet"


def table(trainer: Trainer, seed: int) -> str:
    """A row a variant that is finished, as Markdown."""
    real = pd.read_parquet(predictions_path(trainer, REAL, seed))
    alone = drawn_from(real)
    titles = ["set", "images seen", "slices", "coverage", "recall", "KID", "AUC, alone", "balanced accuracy, alone"]
    titles += ["AUC, with real", "balanced accuracy, with real", "points above real + classic"]
    of_real = [figure(alone, REAL, "auc"), share(alone.estimate(REAL, "balanced_accuracy"))]
    cells = [["none: real + classic", *[""] * 7, *of_real, ""]]
    for line in map(json.loads, trainer.notes.read_text().splitlines()):
        if (line["seed"], line["cpu_minutes"]) != (seed, trainer.minutes):
            continue
        found = drawn_from(pd.concat([real, pd.read_parquet(predictions_path(trainer, line["name"], seed))]))
        cells.append([line["name"], f"{line['images_seen']:,}", " + ".join(map(str, line["n"].values()))])
        for measure in ("coverage", "recall", "kid"):
            of = np.mean([line[one][measure] for one in DIAGNOSES], axis=0)
            cells[-1].append(f"{of[0]:.2f} ({of[1]:.2f})")
        for arm in (ALONE, BESIDE):
            cells[-1] += [figure(found, arm, "auc"), share(found.estimate(arm, "balanced_accuracy"))]
        cells[-1].append(points(found.difference(BESIDE, REAL, "balanced_accuracy")[0]))
    return markdown(titles, cells)


def drawn_from(predictions: pd.DataFrame) -> Bootstrap:
    """The same resamples of subjects for every variant."""
    return bootstrap(predictions=predictions, draws=DRAWS, rng=np.random.default_rng(0))


def figure(found: Bootstrap, arm: str, metric: str) -> str:
    return f"{found.estimate(arm, metric).estimate:.3f}"


def main() -> None:
    """Train and judge what has no line yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--classifiers", type=int, default=2, help="trainings of each classifier")
    names = (*VARIANTS, *YARDSTICKS)
    parser.add_argument("--only", type=lambda text: text.split(","), default=names)
    given = parser.parse_args()
    if unknown := set(given.only) - set(names):
        parser.error(f"no such variant: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    data = load(given.source, given.work, inner=True)
    mending = Mending(data, minutes=given.minutes, seed=given.seed, classifiers=given.classifiers)
    trainer = Trainer(data, given.work, "mended", given.minutes, watched=False)
    if not predictions_path(trainer, REAL, given.seed).exists():
        found = mending.predictions(REAL, mending.real, mending.diagnoses)
        write_table(predictions_path(trainer, REAL, given.seed), found)
    bank = bank_of(given.source, given.work, data)
    clock = SimpleNamespace(monotonic=time.process_time)  # budgets of processor time
    with mock.patch.object(gan, "time", clock), mock.patch.object(painter, "time", clock):
        for name in given.only:
            yardstick = partial(changed, mending, given.work, bank, name)
            make = yardstick if name in YARDSTICKS else partial(dreamt, mending, trainer, VARIANTS[name])
            measured(name, trainer, mending, make)
            print(table(trainer, given.seed), flush=True)


if __name__ == "__main__":
    main()
