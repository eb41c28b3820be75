"""The whole page from a realistic summary: one file, safe, whole, and the same bytes twice."""

import base64
import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from data_contracts.results import (
    ARMS,
    Alarm,
    AlarmReason,
    ArmScores,
    ClassCount,
    CurvePoint,
    DataFlow,
    Difference,
    Estimate,
    FidelityScores,
    MemorisationScores,
    MetricSet,
    Picture,
    Provenance,
    RuleCount,
    RunSummary,
    ShortcutScores,
    TrainingRecord,
)
from reports.render import FILM_BUDGET, PICTURE_BUDGET, render

ANCHORS = (
    "verdict",
    "data",
    "gain",
    "diversity",
    "copies",
    "training",
    "limits",
    "glossary",
    "provenance",
    "warnings",
)


def estimate(value: float, half: float = 0.04) -> Estimate:
    return Estimate(estimate=value, low=value - half, high=value + half)


def difference(reference: str, value: float, low: float, high: float) -> Difference:
    return Difference(
        arm="real+classic+synthetic",
        reference=reference,
        estimate=value,
        low=low,
        high=high,
        n_subjects=56,
        n_slices=833,
        n_seeds=3,
        minimum_detectable_effect=0.031,
        equivalence_margin=0.02,
    )


def arm(name: str, n_added: float, values: tuple[float, float, float]) -> ArmScores:
    sensitivity, specificity, auc = values
    balanced = (sensitivity + specificity) / 2
    return ArmScores(
        arm=name,
        n_seeds=3,
        n_real=0 if name == "synthetic_only" else 889,
        n_added=n_added,
        balanced_accuracy=estimate(balanced),
        accuracy=estimate(balanced + 0.004),
        auc=estimate(auc, 0.02),
        sensitivity=estimate(sensitivity, 0.05),
        specificity=estimate(specificity, 0.05),
    )


def metric_set(
    *, precision: float, recall: float, density: float, coverage: float, kid: float, spread: float
) -> MetricSet:
    return MetricSet(
        precision=precision,
        recall=recall,
        density=density,
        coverage=coverage,
        kid=kid,
        kid_standard_error=0.0008,
        spread=spread,
    )


def of_diagnosis(fold: int, diagnosis: str) -> tuple[FidelityScores, MemorisationScores, TrainingRecord]:
    shift = 0.1 if diagnosis == "no_tumour" else 0.0
    fidelity = FidelityScores(
        fold=fold,
        diagnosis=diagnosis,
        n=300,
        k=5,
        extractor="random-conv-2",
        extractor_digest="a1b2c3d4e5f6" * 5 + "abcd",
        synthetic=metric_set(precision=0.81, recall=0.53, density=0.74, coverage=0.42 + shift, kid=0.0123, spread=0.93),
        held_out_real=metric_set(
            precision=0.86, recall=0.68 - shift / 2, density=0.91, coverage=0.40 + shift / 3, kid=0.0041, spread=1.02
        ),
    )
    memorisation = MemorisationScores(
        fold=fold,
        diagnosis=diagnosis,
        n_generated=400,
        n_near_copies=3,
        n_broken=1,
        n_kept=396,
        threshold=0.021,
        median_distance_synthetic=0.094,
        median_distance_held_out_real=0.087,
        n_held_out_real=250,
        held_out_real_near_copy_share=0.004,
    )
    curve = tuple(
        CurvePoint(
            images_seen=2000 * i,
            generator_loss=0.7 + 0.5 * (1 - 0.97**i) + 0.05 * (i % 3),
            discriminator_loss=0.69 - 0.2 * (1 - 0.97**i) + 0.02 * (i % 4),
            discriminator_accuracy=0.5 + 0.25 * (1 - 0.95**i),
        )
        for i in range(60)
    )
    training = TrainingRecord(
        fold=fold,
        diagnosis=diagnosis,
        n_slices=440,
        n_subjects=53,
        images_seen=118_000,
        generator_parameters=1_204_113,
        discriminator_parameters=988_224,
        curve=curve,
    )
    return fidelity, memorisation, training


def watched_tick(images_seen: int, attempt: int, sickness: float, verdict: str) -> CurvePoint:
    """A tick of a generator that grows as varied as real slices, less `sickness` in [0, 1]."""
    grown = (1 - 0.94 ** (images_seen / 2000)) * (1 - sickness)
    return CurvePoint.model_validate(
        {
            "images_seen": images_seen,
            "attempt": attempt,
            "generator_loss": 0.9 + 0.05 * (images_seen // 2000 % 3) + sickness,
            "discriminator_loss": 0.6 - 0.2 * sickness,
            "discriminator_accuracy": 0.6 + 0.35 * sickness,
            "verdict": verdict,
            "judged": images_seen > 10_000,
            "n": 64,
            "coverage": 0.5 * grown,
            "coverage_real": 0.46,
            "kid": 0.005 + 0.12 * (1 - grown) ** 2,
            "kid_real": 0.004,
            "diversity": 0.30 * grown,
            "diversity_real": 0.33,
        }
    )


def with_alarms(record: TrainingRecord, *, stopped: bool, best_wrong: int) -> TrainingRecord:
    """The same training watched: ill from 42,000 images, back to 34,000; ill again from 70,000, back or stopped."""
    ticks = []
    for attempt, (first, well_until, last) in enumerate([(0, 40, 48), (36, 68, 78), (64, 200, 118)]):
        if attempt < 2 or not stopped:
            for n in range(first, last + 1, 2):
                sickness = min(0.85, max(0, n - well_until) / 8)
                verdict = "healthy" if not sickness else "suspect" if n < last else "alarm"
                ticks.append(watched_tick(1000 * n, attempt, sickness, verdict))
    clumps = AlarmReason(rule="repeats", value=0.21, limit=0.4)
    fallen = AlarmReason(rule="fallen", value=0.13, limit=0.41)
    alarms = (
        Alarm(images_seen=48_000, reasons=(clumps, fallen), return_to=34_000),
        Alarm(images_seen=78_000, reasons=(fallen,), return_to=62_000),
    )
    changes = {"curve": tuple(ticks), "alarms": alarms, "watched": True, "stopped": stopped, "best_wrong": best_wrong}
    changes |= {"confirm": 3, "n_held_out": 39, "augmented": True}
    end, kept = (78_000, 68_000) if stopped else (118_000, 112_000)
    return record.model_copy(update={**changes, "images_seen": end, "kept_at": kept})


def pictures(fold: int) -> tuple[Picture, ...]:
    found = []
    for diagnosis in ("tumour", "no_tumour"):
        for kind, origin, n in (
            ("slices", "real", 24),
            ("slices", "synthetic", 24),
            ("training", "synthetic", 8),
            ("review", "real", 5),
            ("nearest_pairs", "both", 8),
        ):
            path = f"pictures/{fold}-{diagnosis}-{kind}-{origin}.png"
            found.append(Picture(kind=kind, fold=fold, diagnosis=diagnosis, origin=origin, path=path, n=n))
        path = f"pictures/{fold}-{diagnosis}-film"
        moving = Picture(
            kind="film",
            fold=fold,
            diagnosis=diagnosis,
            origin="synthetic",
            path=f"{path}.gif",
            n=4,
            still=f"{path}-end.png",
        )
        found.append(moving)
    return tuple(found)


def build_summary(*, folds: int = 1, subjects_known: bool = True, **changes: object) -> RunSummary:
    """A run on 109 subjects that gained 2.1 points; `changes` replace whole fields of the summary."""
    scores = [of_diagnosis(fold, diagnosis) for fold in range(folds) for diagnosis in ("tumour", "no_tumour")]
    classes = (
        ClassCount(
            diagnosis="no_tumour",
            subjects=101,
            slices=842,
            train_subjects=50,
            train_slices=440,
            test_subjects=51,
            test_slices=402,
        ),
        ClassCount(
            diagnosis="tumour",
            subjects=109,
            slices=880,
            train_subjects=53,
            train_slices=449,
            test_subjects=56,
            test_slices=431,
        ),
    )
    out = (
        RuleCount(outcome="quarantined", rule="not_a_head", count=1, example="bright area 3 % of the frame, want 15 %"),
        RuleCount(outcome="quarantined", rule="unreadable", count=2, example="the file ends after 312 bytes"),
        RuleCount(outcome="left_out", rule="tumour_too_small", count=61, example="37 tumour pixels, want 0 or 100"),
    )
    data = DataFlow(
        files_found=1786,
        slices_used=1722,
        subjects=109,
        subjects_known=subjects_known,
        label_rules=("mask",),
        sequences=("FLAIR",),
        planes=("axial",),
        out=out,
        review=(RuleCount(outcome="review", rule="text_suspected", count=3, example="5 letters, want 2"),),
        classes=classes,
        exact_duplicates=4,
        near_duplicate_pairs=11,
        image_size=64,
        folds_evaluated=folds,
        folds_drawn=5,
    )
    values = {
        "real": (0, (0.802, 0.846, 0.878)),
        "real+classic": (0, (0.851, 0.871, 0.916)),
        "real+classic+duplicates": (800, (0.846, 0.874, 0.914)),
        "real+classic+synthetic": (800, (0.879, 0.885, 0.931)),
        "synthetic_only": (800, (0.702, 0.655, 0.741)),
    }
    fields: dict[str, object] = {
        "verdict": "gain",
        "difference": difference("real+classic", 0.021, 0.004, 0.038),
        "difference_to_duplicates": difference("real+classic+duplicates", 0.022, 0.002, 0.042),
        "data": data,
        "shortcuts": tuple(
            ShortcutScores(
                what=what,
                n_features=15,
                n_slices=880,
                n_subjects=56,
                balanced_accuracy=estimate(0.61),
                chance_high=0.58,
                suspected=what == "file_facts",
                telling=("file_bytes", "width"),
            )
            for what in ("file_facts", "border")
        ),
        "arms": tuple(arm(name, *values[name]) for name in ARMS),
        "fidelity": tuple(s[0] for s in scores),
        "memorisation": tuple(s[1] for s in scores),
        "training": tuple(s[2] for s in scores),
        "pictures": tuple(p for fold in range(folds) for p in pictures(fold)),
        "warnings": ("the rarer diagnosis holds 402 test slices",),
        "provenance": Provenance(
            preset="standard",
            seed=20,
            versions={"torch": "2.13.0", "numpy": "2.4.6"},
            config={"gan": {"gamma": 1.0, "images_seen": 118000}, "source": "scans"},
            config_digest="c" * 64,
            source_digest="d" * 64,
        ),
    }
    return RunSummary.model_validate({**fields, **changes})


def write_pictures(summary: RunSummary, root: Path) -> None:
    """A grey square a picture: the page does not care what a picture shows."""
    for shown in summary.pictures:
        for name in (shown.path, shown.still):
            if name:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (36, 36), 128).save(path)


class Page(HTMLParser):
    """What a browser would find: ids, links, pictures, tags, and the text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, name: str) -> list[str]:
        return [value for t, n, value in self.attributes if (t, n) == (tag, name)]


@pytest.fixture
def run_root(tmp_path: Path) -> Path:
    write_pictures(build_summary(folds=2), tmp_path)
    return tmp_path


def test_same_summary_gives_same_bytes(run_root: Path) -> None:
    assert render(summary=build_summary(), run_root=run_root) == render(summary=build_summary(), run_root=run_root)


def test_summary_read_back_from_json_gives_the_same_page(run_root: Path) -> None:
    again = RunSummary.model_validate_json(build_summary().model_dump_json())
    assert render(summary=again, run_root=run_root) == render(summary=build_summary(), run_root=run_root)


def test_every_anchor_stands_once_and_every_link_finds_it(run_root: Path) -> None:
    page = Page(render(summary=build_summary(folds=2), run_root=run_root))
    assert set(ANCHORS) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id stands twice"
    assert {link.removeprefix("#") for link in page.values("a", "href")} <= set(page.ids)


def test_every_reference_inside_a_figure_is_kept(run_root: Path) -> None:
    html = render(summary=build_summary(), run_root=run_root)
    page = Page(html)
    used = page.values("use", "xlink:href") + page.values("use", "href") + re.findall(r"url\((#[^)]+)\)", html)
    assert used
    assert {name.removeprefix("#") for name in used} <= set(page.ids)


def test_page_is_one_file_that_asks_nothing_of_the_network(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("the report opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    html = render(summary=build_summary(), run_root=run_root)
    page = Page(html)
    assert not {"script", "iframe", "object", "embed"} & set(page.tags)
    assert all(re.match("data:image/(png|gif);base64,", source) for source in page.values("img", "src"))
    assert all(link.startswith(("#", "data:")) for tag in ("a", "link") for link in page.values(tag, "href"))
    assert "@import" not in html
    assert not re.findall(r"url\((?!#)", html)
    assert len(html.encode()) < 3_000_000


def test_pictures_are_whole_and_say_what_they_show(run_root: Path) -> None:
    summary = build_summary()
    page = Page(render(summary=summary, run_root=run_root))
    inside = [base64.b64decode(source.partition(",")[2]) for source in page.values("img", "src")]
    files = [name for shown in summary.pictures for name in (shown.path, shown.still) if name]
    assert sorted(inside) == sorted((run_root / name).read_bytes() for name in files)
    assert "24 synthetic tumour slices (fold 0)." in page.values("img", "alt")
    assert "24 real no-tumour slices (fold 0)." in page.values("img", "alt")
    labels = page.values("svg", "aria-label")
    assert len(labels) == page.values("svg", "role").count("img") > 4


def test_missing_picture_is_a_line_not_a_broken_image(run_root: Path) -> None:
    summary = build_summary()
    (run_root / summary.pictures[0].path).unlink()
    page = Page(render(summary=summary, run_root=run_root))
    assert len(page.values("img", "src")) == len(summary.pictures) - 1 + 2  # a still stands by each of two films
    assert "Picture not shown: its file is missing from the run folder." in page.text
    assert "It would show: 24 real tumour slices (fold 0)." in page.text


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../outside.png", "its path leaves the run folder"),
        ("notes.png", "its file is neither a PNG nor a GIF picture"),
        (".", "its file is missing from the run folder"),
        ("big.png", "left out to keep this page small"),
        ("big.gif", "left out to keep this page small"),
    ],
)
def test_picture_that_must_not_be_shown_is_named_with_its_reason(tmp_path: Path, path: str, problem: str) -> None:
    root = tmp_path / "run"
    root.mkdir()
    Figure(figsize=(0.1, 0.1)).savefig(tmp_path / "outside.png")
    (root / "notes.png").write_text("<svg onload='alert(1)'>")
    (root / "big.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(PICTURE_BUDGET))
    (root / "big.gif").write_bytes(b"GIF89a" + bytes(FILM_BUDGET))
    shown = Picture(kind="slices", fold=0, diagnosis="tumour", origin="real", path=path, n=24)
    page = Page(render(summary=build_summary(pictures=(shown,)), run_root=root))
    assert not page.values("img", "src")
    assert problem in page.text


def test_tables_name_every_fold_and_pictures_only_the_first(run_root: Path) -> None:
    page = Page(render(summary=build_summary(folds=2), run_root=run_root))
    assert len(page.values("img", "src")) == len(pictures(0)) + 2  # the stills of two films
    assert all("fold 1" not in alt for alt in page.values("img", "alt"))
    one = Page(render(summary=build_summary(folds=1), run_root=run_root))
    assert page.tags.count("tr") - one.tags.count("tr") == 4 + 2 + 2  # fidelity, memorisation, training of fold 1


def one_film(run_root: Path, **changes: object) -> Page:
    """The page of a run with a film and nothing else to see."""
    film = next(shown for shown in build_summary().pictures if shown.kind == "film")
    summary = build_summary(pictures=(film.model_copy(update=changes),))
    return Page(render(summary=summary, run_root=run_root))


def test_a_film_can_be_stopped_and_stands_still_where_nothing_may_move(run_root: Path) -> None:
    page = one_film(run_root)
    assert [source[:15] for source in page.values("img", "src")] == ["data:image/gif;", "data:image/png;"]
    assert page.values("img", "class") == ["moving", "still"]
    said = [text.replace("\N{NO-BREAK SPACE}", " ") for text in page.values("img", "alt")]
    assert said[0].startswith("Film: what the generator of tumour slices made of the same 4 latents")
    assert said[1] == "The last moment of the film: 4 slices by the generator of tumour slices."
    assert page.values("input", "type") == ["checkbox"]
    style = (Path(__file__).parents[1] / "reports" / "templates" / "style.css").read_text()
    for medium in ("(prefers-reduced-motion: reduce)", "print"):
        block = style[style.index(f"@media {medium}") :]
        assert ".picture .moving, .stop { display: none; } .picture .still { display: block; }" in block[:400]


@pytest.mark.parametrize(
    ("still", "problem"),
    [
        ("gone.png", "its file is missing from the run folder"),
        ("pictures/0-tumour-film.gif", "its file is not a PNG picture"),  # it would move as well
        ("../outside.png", "its path leaves the run folder"),
    ],
)
def test_a_film_that_cannot_be_stopped_is_not_shown(run_root: Path, still: str, problem: str) -> None:
    page = one_film(run_root, still=still)
    assert not page.values("img", "src")
    assert f"Picture not shown: of the still in its place {problem}." in page.text


def test_a_film_is_known_by_its_content_and_not_by_its_name(run_root: Path) -> None:
    (run_root / "film.png").write_bytes((run_root / "pictures/0-tumour-film.gif").read_bytes())
    page = one_film(run_root, path="film.png")
    assert page.values("img", "src")[0].startswith("data:image/gif;")


def test_films_do_not_take_the_place_of_evidence(run_root: Path) -> None:
    """Each kind has its own budget: a full one of films leaves the other as it was."""
    heavy = run_root / "pictures/0-tumour-film.gif"
    heavy.write_bytes(heavy.read_bytes().ljust(FILM_BUDGET, b"\0"))
    page = Page(render(summary=build_summary(), run_root=run_root))
    kinds = [source[:15] for source in page.values("img", "src")]
    assert kinds.count("data:image/gif;") == 1
    assert kinds.count("data:image/png;") == len(pictures(0)) - 2 + 1
    assert page.text.count("left out to keep this page small") == 1


@pytest.mark.parametrize(("stopped", "best_wrong"), [(False, 0), (False, 1), (True, 2)])
def test_a_watched_training_is_told_with_its_alarms(run_root: Path, stopped: bool, best_wrong: int) -> None:
    calm, ill = build_summary().training
    summary = build_summary(training=(calm, with_alarms(ill, stopped=stopped, best_wrong=best_wrong)))
    html = render(summary=summary, run_root=run_root)
    page = Page(html)
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert html == render(summary=RunSummary.model_validate_json(summary.model_dump_json()), run_root=run_root)
    assert "No collapse watch looked on during this training" in text  # the calm one
    assert "Alarm 1, at 48,000 images" in text
    assert "Alarm 2, at 78,000 images" in text
    assert ("Training was stopped" in text) == stopped
    assert "n = 64 generated against as many real slices of the training part; kernel distance to 39 slices" in text
    assert "(alarm below 40 %; n = 64)" in text
    assert ("Do not trust the generator of no-tumour slices" in text) == (best_wrong == 2)
    assert sum(label.startswith("Coverage, diversity and kernel") for label in page.values("svg", "aria-label")) == 1
    assert not re.findall(r"\b(None|nan|Undefined)\b", page.text)
    assert len(page.ids) == len(set(page.ids))


def test_numbers_that_are_none_are_no_contract(run_root: Path) -> None:
    point = build_summary().training[0].curve[0].model_dump()
    with pytest.raises(ValueError, match="finite"):
        CurvePoint.model_validate({**point, "kid": float("nan")})
    with pytest.raises(ValueError, match="rule"):
        AlarmReason.model_validate({"rule": HOSTILE, "value": 1.0, "limit": 1.0})


def test_a_summary_written_before_there_was_a_watch_still_renders(run_root: Path) -> None:
    before = json.loads(build_summary().model_dump_json())
    watch = {"watched", "alarms", "stopped", "kept_at", "best_wrong"} | NOT_YET_NOTED
    before["schema_version"] = 1
    before["training"] = [
        {name: value for name, value in record.items() if name not in watch}
        | {"curve": [{k: tick[k] for k in list(tick) if "loss" in k or k in OLD} for tick in record["curve"]]}
        for record in before["training"]
    ]
    page = Page(render(summary=RunSummary.model_validate(before), run_root=run_root))
    assert page.text.count("No collapse watch looked on") == 2


def test_a_summary_written_before_a_watch_noted_its_n_still_renders(run_root: Path) -> None:
    ill = with_alarms(build_summary().training[0], stopped=False, best_wrong=0)
    before = json.loads(build_summary(training=(ill,)).model_dump_json())
    for record in before["training"]:
        for name in NOT_YET_NOTED:
            del record[name]
        for tick in record["curve"]:
            del tick["judged"], tick["n"]
    page = Page(render(summary=RunSummary.model_validate(before), run_root=run_root))
    text = page.text.replace("\N{NO-BREAK SPACE}", " ")
    assert "raised 2 alarms in" in text
    assert "and went on more slowly." in text
    assert not re.findall(r"\b(None|nan|Undefined)\b", page.text)


OLD = ("images_seen", "discriminator_accuracy")
NOT_YET_NOTED = {"n_held_out", "confirm", "augmented", "joint_ticks"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> $\\frac{a}{b}$ {{ 7 * 7 }} " + "x" * 10_000


def test_hostile_text_is_shown_as_text(run_root: Path) -> None:
    provenance = Provenance(
        preset=HOSTILE,
        seed=1,
        versions={HOSTILE: HOSTILE},
        config={HOSTILE: [HOSTILE]},
        config_digest="c",
        source_digest="d",
    )
    plain = build_summary()
    rule = RuleCount(outcome="quarantined", rule=HOSTILE, count=1, example=HOSTILE)
    summary = build_summary(
        provenance=provenance,
        warnings=(HOSTILE,),
        data=plain.data.model_copy(update={"out": (rule,), "sequences": (HOSTILE,)}),
        fidelity=(plain.fidelity[0].model_copy(update={"diagnosis": HOSTILE, "extractor": HOSTILE}),),
        training=(
            with_alarms(plain.training[0].model_copy(update={"diagnosis": HOSTILE}), stopped=True, best_wrong=2),
        ),
        pictures=tuple(plain.pictures[i].model_copy(update={"diagnosis": HOSTILE}) for i in (0, 5)),
    )
    page = Page(render(summary=summary, run_root=run_root))
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert [source[5:15] for source in page.values("img", "src")] == ["image/png;", "image/gif;", "image/png;"]
    assert page.text.count(HOSTILE) > 8


@pytest.mark.parametrize("field", ["arms", "fidelity", "memorisation", "training", "pictures", "warnings"])
def test_page_stands_where_a_part_of_the_run_is_empty(run_root: Path, field: str) -> None:
    page = Page(render(summary=build_summary(**{field: ()}), run_root=run_root))
    assert set(ANCHORS) <= set(page.ids)
    assert not re.findall(r"\b(None|nan|Undefined)\b", page.text)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("gain", "helped"),
        ("equivalent", "did not help"),
        ("harm", "did harm"),
        ("insufficient_evidence", "Not shown to help"),
    ],
)
def test_first_screen_says_the_verdict_and_what_could_be_seen(run_root: Path, verdict: str, said: str) -> None:
    html = render(summary=build_summary(verdict=verdict), run_root=run_root)
    first = Page(html[html.index('<section id="verdict"') : html.index('<section id="data"')]).text
    assert said in first
    assert "56\N{NO-BREAK SPACE}subjects" in first
    assert ("smallest true difference" in first) == (verdict != "gain")
    for light in ("Utility", "Diversity", "Copies of patients", "Data quality"):
        assert light in first


def test_unknown_subjects_are_image_groups_everywhere(run_root: Path) -> None:
    page = Page(render(summary=build_summary(subjects_known=False), run_root=run_root))
    assert "56\N{NO-BREAK SPACE}image groups" in page.text
    assert "\N{NO-BREAK SPACE}subject" not in page.text
