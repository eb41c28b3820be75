"""Figures as SVG: whole, the same bytes twice, right way round, safe with any name, and without fixed colours."""

import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from data_contracts.results import (
    ARMS,
    ArmScores,
    CurvePoint,
    Difference,
    Estimate,
    FidelityScores,
    MetricSet,
    TrainingRecord,
)
from reports import figures

SVG = "{http://www.w3.org/2000/svg}"


def difference(estimate: float, low: float, high: float) -> Difference:
    return Difference(
        arm="real+classic+synthetic",
        reference="real+classic",
        estimate=estimate,
        low=low,
        high=high,
        n_subjects=56,
        n_slices=833,
        n_seeds=3,
        minimum_detectable_effect=0.03,
        equivalence_margin=0.02,
    )


def arm(name: str, value: float) -> ArmScores:
    score = Estimate(estimate=value, low=value - 0.03, high=value + 0.03)
    scores = dict.fromkeys(("balanced_accuracy", "accuracy", "auc", "sensitivity", "specificity"), score)
    return ArmScores.model_validate({"arm": name, "n_seeds": 3, "n_real": 10, "n_added": 0, **scores})


def fidelity(diagnosis: str = "tumour") -> FidelityScores:
    metrics = MetricSet(
        precision=0.8, recall=0.5, density=1.4, coverage=0.4, kid=0.01, kid_standard_error=0.001, spread=0.9
    )
    return FidelityScores(
        fold=0,
        diagnosis=diagnosis,
        n=300,
        k=5,
        extractor="random",
        extractor_digest="a",
        synthetic=metrics,
        held_out_real=metrics,
    )


def training(diagnosis: str = "tumour", n: int = 20) -> TrainingRecord:
    curve = tuple(
        CurvePoint(images_seen=1000 * i, generator_loss=1 + i, discriminator_loss=1, discriminator_accuracy=0.5)
        for i in range(n)
    )
    return TrainingRecord(
        fold=0,
        diagnosis=diagnosis,
        n_slices=1,
        n_subjects=1,
        images_seen=1,
        generator_parameters=1,
        discriminator_parameters=1,
        curve=curve,
    )


def draw(name: str) -> str:
    return {
        "forest": lambda: figures.forest([arm(a, 0.8) for a in ARMS]),
        "differences": lambda: figures.differences((difference(0.021, 0.004, 0.038), difference(-0.01, -0.04, 0.02))),
        "diversity": lambda: figures.diversity(fidelity()),
        "curves": lambda: figures.curves(training()),
    }[name]()


FIGURES = pytest.mark.parametrize("name", ["forest", "differences", "diversity", "curves"])


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn a line above, by the code under test


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in parse(svg).iter(f"{SVG}text")]


def marker_places(svg: str) -> list[float]:
    """Horizontal places of the markers, in the order drawn; ticks are markers too and come first or last."""
    used = parse(svg).iter(f"{SVG}use")
    return [float(element.get("x", "nan")) for element in used]


@FIGURES
def test_same_record_gives_same_bytes(name: str) -> None:
    assert draw(name) == draw(name)


@FIGURES
def test_figure_is_one_whole_svg_that_says_what_it_shows(name: str) -> None:
    root = parse(draw(name))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert len(root.get("aria-label") or "") > 40
    assert not list(root.iter(f"{SVG}metadata"))


@FIGURES
def test_every_colour_is_one_of_the_page(name: str) -> None:
    svg = draw(name)
    assert "var(--accent)" in svg
    assert not re.findall(r"(?:fill|stroke): ?(?:#|rgb)", svg)


@FIGURES
def test_drawing_leaves_no_setting_behind(name: str) -> None:
    before = dict(mpl.rcParams)
    draw(name)
    assert dict(mpl.rcParams) == before


def test_forest_names_every_arm_with_its_interval_in_per_cent() -> None:
    said = " ".join(texts(draw("forest"))).replace("\N{NO-BREAK SPACE}", " ")
    for name in ("Real:", "Real + classic augmentation:", "Real + classic + duplicates:", "Synthetic only:"):
        assert f"{name} 80.0 % (77.0 to 83.0)" in said


def test_better_lies_to_the_right() -> None:
    worse, better = (
        figures.differences((difference(value, value - 0.01, value + 0.01), difference(0.0, -0.09, 0.09)))
        for value in (-0.05, 0.05)
    )
    moved = [b - a for a, b in zip(marker_places(worse), marker_places(better), strict=True) if abs(b - a) > 1]
    assert len(moved) == 1
    assert moved[0] > 0


def test_an_estimate_of_nothing_still_has_an_axis() -> None:
    none = difference(0.0, 0.0, 0.0)
    assert "against no added slices: 0.0 (0.0 to 0.0)" in texts(figures.differences((none,)))


def test_density_above_one_stays_inside_the_axis() -> None:
    ticks = [float(t) for t in texts(draw("diversity")) if re.fullmatch(r"\d\.\d+", t)]
    assert max(ticks) >= 1.2


def test_a_single_tick_of_training_is_drawn_without_a_warning() -> None:
    assert "images seen" in " ".join(texts(figures.curves(training(n=1))))


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><b onload="x">', "$\\frac{1}{2}$ & $", "x" * 2_000])
def test_a_name_is_only_a_name(name: str) -> None:
    for svg in (figures.diversity(fidelity(name)), figures.curves(training(name))):
        root = parse(svg)
        assert name.replace(" ", "-") in (root.get("aria-label") or "").replace(" ", "-")
        assert not list(root.iter(f"{SVG}script"))
