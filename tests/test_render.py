"""The whole page from a realistic summary: one file, safe, whole, and the same bytes twice."""

import base64
import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from report_records import (
    LOST,
    build_summary,
    collapsed_generator,
    external,
    full_summary,
    permuted,
    pictures,
    with_alarms,
    write_pictures,
)

from data_contracts.results import AlarmReason, CurvePoint, Picture, Provenance, RuleCount, RunSummary
from reports import scripts, tables
from reports.render import FILM_BUDGET, PICTURE_BUDGET, environment, render, script_names

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


NO_FIGURES = {"arms": (), "fidelity": (), "training": ()}  # quicker, for tests of pictures


class Page(HTMLParser):
    """What a browser would find: ids, links, pictures, tags, and the text of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)
        else:
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
    assert not {"iframe", "object", "embed"} & set(page.tags)
    assert not page.values("script", "src")
    assert page.scripts == [script.text for script in scripts.read(script_names(build_summary()))]
    assert page.values("meta", "content")[-1] == scripts.policy(scripts.read(script_names(build_summary())))
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
    page = Page(render(summary=build_summary(**NO_FIGURES, pictures=(shown,)), run_root=root))
    assert not page.values("img", "src")
    assert problem in page.text


def test_tables_name_every_fold_and_pictures_only_the_first(run_root: Path) -> None:
    page = Page(render(summary=build_summary(folds=2), run_root=run_root))
    assert len(page.values("img", "src")) == len(pictures(0)) + 2  # the stills of two films
    assert all("fold 1" not in alt for alt in page.values("img", "alt"))
    one = Page(render(summary=build_summary(folds=1), run_root=run_root))
    assert (
        page.tags.count("tr") - one.tags.count("tr") == 2 + 8 + 8 + 2 + 2
    )  # collapse, likeness, variety, copies, training


def one_film(run_root: Path, **changes: object) -> Page:
    """The page of a run with a film and nothing else to see."""
    film = next(shown for shown in build_summary().pictures if shown.kind == "film")
    summary = build_summary(**NO_FIGURES, pictures=(film.model_copy(update=changes),))
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
        block = style[style.index(f"@media {medium}") :].split("\n}", 1)[0]
        assert ".picture .moving, .stop { display: none; } .picture .still { display: block; }" in block


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
    assert page.scripts == [script.text for script in scripts.read(script_names(summary))]
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert [source[5:15] for source in page.values("img", "src")] == ["image/png;", "image/gif;", "image/png;"]
    assert page.text.count(HOSTILE) > 8


def test_marks_that_turn_text_about_are_written_out_and_nothing_else_is() -> None:
    page = environment().from_string("<i title='{{ name }}'>{{ name }}</i> {{ 3 }} {{ _('{n} left').format(n=name) }}")
    turned = "a\u202eb\u2066<b>\u061c"
    said = "a[U+202E]b[U+2066]&lt;b&gt;[U+061C]"
    assert page.render(name=turned) == f"<i title='{said}'>{said}</i> 3 {said} left"
    harmless = "\u05e9\u05dc\u05d5\u05dd č\N{NO-BREAK SPACE}\u2212"  # right-to-left letters, our own signs
    assert page.render(name=harmless) == f"<i title='{harmless}'>{harmless}</i> 3 {harmless} left"


@pytest.mark.parametrize(("letters", "long"), [(40, False), (41, True)])
def test_a_word_too_long_for_a_column_may_break_anywhere(letters: int, long: bool) -> None:
    shown = environment().from_string("{% from 'macros.html.j2' import table with context %}{{ table(t) }}")
    one = tables.Table(caption="Names", columns=("Name", "Other"), rows=(("x " + letters * "y", "z"),))
    page = Page(shown.render(t=one))
    assert page.values("th", "class") == (["long"] if long else [])
    assert page.values("td", "class") == []


@pytest.mark.parametrize("field", ["arms", "fidelity", "memorisation", "training", "pictures", "warnings"])
def test_page_stands_where_a_part_of_the_run_is_empty(run_root: Path, field: str) -> None:
    page = Page(render(summary=build_summary(**{field: ()}), run_root=run_root))
    assert set(ANCHORS) <= set(page.ids)
    assert not re.findall(r"\b(None|nan|Undefined)\b", page.text)


def first_screen(html: str) -> str:
    part = html[html.index('<section id="verdict"') : html.index('<section id="data"')]
    return Page(part).text


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
    first = first_screen(render(summary=build_summary(verdict=verdict), run_root=run_root))
    assert said in first
    assert "56\N{NO-BREAK SPACE}subjects" in first
    assert ("smallest true difference" in first) == (verdict != "gain")
    for light in ("Utility", "Diversity", "Copies of patients", "Data quality"):
        assert light in first


OPTIONAL = {
    "statistics": "Asked in other ways",
    "dose": "How much was added",
    "learning": "Learned from fewer",
    "controls": "controls that must come out null did",
    "external": "locked until the end",
    "discriminators": "What the discriminator of each kept generator could tell",
    "memorisation": "This attack could not tell who was in the training part",
    "arms": "Sensitivity at 90 % specificity",
    "arm_details": "What was missed, in counts",
}


def test_every_part_of_the_evidence_is_shown_where_there_is_one_and_not_missed_where_there_is_none(
    run_root: Path,
) -> None:
    summary = full_summary()
    html = render(summary=summary, run_root=run_root)
    assert html == render(summary=RunSummary.model_validate_json(summary.model_dump_json()), run_root=run_root)
    full, bare = Page(html), Page(render(summary=build_summary(), run_root=run_root))
    for said in OPTIONAL.values():
        assert said in full.text.replace("\N{NO-BREAK SPACE}", " ")
        assert said not in bare.text.replace("\N{NO-BREAK SPACE}", " ")
    assert len(full.ids) == len(set(full.ids))
    for page in (full, bare):
        assert not re.findall(r"\b(None|nan|Undefined)\b", page.text)
    # "passed" and its opposite are words, and so is the decisive dose
    assert full.text.count("NOT passed") == 0
    assert "1 (decides)" in full.text


@pytest.mark.parametrize(
    "absent", [("statistics", "dose", "controls"), ("learning", "external", "discriminators", "arm_details")]
)
def test_each_part_of_the_evidence_stands_without_the_others(run_root: Path, absent: tuple[str, ...]) -> None:
    nothing = {name: None if name in ("statistics", "external") else () for name in absent}
    text = Page(render(summary=full_summary(**nothing), run_root=run_root)).text.replace("\N{NO-BREAK SPACE}", " ")
    parts = ("statistics", "dose", "learning", "controls", "external", "discriminators", "arm_details")
    assert {name for name in parts if OPTIONAL[name] not in text} == set(absent)
    assert not re.findall(r"\b(None|nan|Undefined)\b", text)


def test_what_an_external_test_found_stands_on_the_first_screen_whatever_the_verdict(run_root: Path) -> None:
    unsure = full_summary(verdict="insufficient_evidence", external=external(0.02, 0.1))
    text = first_screen(render(summary=unsure, run_root=run_root)).replace("\N{NO-BREAK SPACE}", " ")
    said = "External test. Synthetic slices made +6.0 points (+2.0 to +10.0) of difference in balanced accuracy"
    assert f"{said}: a gain is shown." in " ".join(text.split())
    assert "External test" not in first_screen(render(summary=full_summary(external=None), run_root=run_root))


@pytest.mark.parametrize("verdict", ["gain", "insufficient_evidence"])
def test_a_control_that_did_not_come_out_null_stands_on_the_first_screen(run_root: Path, verdict: str) -> None:
    controls = (permuted(0.71, passed=False), collapsed_generator())
    html = render(summary=full_summary(verdict=verdict, controls=controls), run_root=run_root)
    assert html[html.index('<section id="verdict"') :].startswith('<section id="verdict" class="problem"')
    text = first_screen(html).replace("\N{NO-BREAK SPACE}", " ")
    assert "a gain is shown" not in text  # by an external test of the same program
    assert "The figures of this study are not to be believed, because a classifier that learned" in text
    assert "71.0 % (66.0 to 76.0), where 50 % is guessing" in text
    assert "helped" not in text.lower()
    assert "worth adding" not in text
    page = Page(html).text
    assert page.count("NOT passed") == 1
    assert "not to be believed: augment-mri report" in page


def test_a_control_that_could_not_tell_has_no_tick(run_root: Path) -> None:
    html = render(summary=full_summary(controls=(permuted(passed=None), collapsed_generator())), run_root=run_root)
    part = html[html.index("<h3>Controls</h3>") : html.index("<h3>Asked in other ways</h3>")]
    assert '<p class="doubt caution">' in part
    text = Page(part).text.replace("\N{NO-BREAK SPACE}", " ")
    assert "1 of 3 controls could not tell." in text
    assert "Corners and border of the normalised images alone" in text


def test_only_the_primary_feature_space_sets_lights_sentences_and_figures(run_root: Path) -> None:
    plain = build_summary()
    other = tuple(
        s.model_copy(update={"extractor": "classifier", "collapse": LOST, "extractor_digest": "e" * 64})
        for s in plain.fidelity
    )
    html = render(summary=build_summary(fidelity=(*other, *plain.fidelity)), run_root=run_root)
    text = Page(html).text
    assert "Mode collapse, the generator of" not in text
    assert "The same in other features: classifier" in text
    figures_of = [label for label in Page(html).values("svg", "aria-label") if label.startswith("Precision, recall")]
    assert len(figures_of) == 2
    alone = Page(render(summary=build_summary(fidelity=other), run_root=run_root)).text  # then the first is asked
    assert "Mode collapse, the generator of tumour slices repeats itself: coverage 12" in alone


def test_unknown_subjects_are_image_groups_everywhere(run_root: Path) -> None:
    data = build_summary(subjects_known=False).data
    elsewhere = external(subjects_known=False)
    page = Page(render(summary=full_summary(data=data, external=elsewhere), run_root=run_root))
    assert "56\N{NO-BREAK SPACE}image groups" in page.text
    assert "\N{NO-BREAK SPACE}subject" not in page.text
