"""The report in English, Turkish and Croatian: catalogues that are whole, plural forms, numbers, and the page."""

import ast
import html
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest
import reader_records
from babel.messages.catalog import Catalog
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.text import Text
from report_records import (
    LOST,
    build_summary,
    collapsed_generator,
    difference,
    dose,
    estimate,
    fidelity,
    full_summary,
    painted_summary,
    permuted,
    set_scores,
    to_copy_paste,
    training,
    transfer,
    ways,
    with_alarms,
    write_pictures,
)

from data_contracts.machine import Attempt, Fault, Machine, MachineRecord, StageTime
from data_contracts.results import Difference, Estimate, RunSummary, Verdict
from flows.cli import Language
from reports import figures, language, messages, numbers, wording
from reports.index import IndexedRun, Problem, render_index
from reports.language import _, alphabetical, capitalised, in_markup, pgettext, plural, speak
from reports.render import render

OTHERS = ("tr", "hr")
NBSP = numbers.NBSP


@cache
def catalogue(spoken: str) -> Catalog:
    return messages.catalogue(spoken)


@cache
def extracted() -> Catalog:
    return messages.extract()


def forms(told: str | list[str] | tuple[str, ...] | None) -> list[str]:
    return [told] if isinstance(told, str) else list(told or ())


# --- catalogues ---


@pytest.mark.parametrize("spoken", OTHERS)
def test_every_message_is_translated(spoken: str) -> None:
    known = catalogue(spoken)
    wanted = [message for message in extracted() if message.id]
    assert len(wanted) > 1000
    missing = [
        message.id
        for message in wanted
        if (found := known.get(forms(message.id)[0], message.context)) is None
        or found.fuzzy
        or not found.string
        or not all(forms(found.string))
    ]
    assert missing == []


@pytest.mark.parametrize("spoken", OTHERS)
def test_no_translation_has_outlived_its_message(spoken: str) -> None:
    wanted = {(forms(message.id)[0], message.context) for message in extracted() if message.id}
    assert [m.id for m in catalogue(spoken) if m.id and (forms(m.id)[0], m.context) not in wanted] == []


@pytest.mark.parametrize("spoken", OTHERS)
def test_a_translation_fills_the_same_places_and_keeps_the_same_tags(spoken: str) -> None:
    def places(text: str) -> list[str]:
        return sorted({name for _literal, name, _spec, _conversion in Formatter().parse(text) if name is not None})

    def tags(text: str) -> list[str]:
        return sorted(re.findall(r"<[^>]*>", text))

    for message in catalogue(spoken):
        for told in forms(message.string) if message.id else []:
            assert places(told) == places(forms(message.id)[-1]), told
            assert tags(told) == tags(forms(message.id)[-1]), told
            assert all(name.isidentifier() for name in places(told)), told
            edges = re.compile(r"^\s*|\s*$")
            if forms(message.id)[-1].endswith(" "):
                assert told.endswith(" "), told
            else:
                assert edges.sub("", told) == told or forms(message.id)[0].startswith(" "), told


@pytest.mark.parametrize(("spoken", "n"), [("tr", 1), ("hr", 3)])
def test_a_counting_message_has_all_forms_of_the_language(spoken: str, n: int) -> None:
    known = catalogue(spoken)
    assert known.num_plurals == n
    counting = [message for message in known if message.id and not isinstance(message.id, str)]
    assert len(counting) > 50
    assert {len(forms(message.string)) for message in counting} == {n}


def test_no_message_stands_where_no_extractor_finds_it() -> None:
    for path in Path(language.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                hidden = [
                    call
                    for call in ast.walk(node)
                    if isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id in messages.KEYWORDS
                    and any(isinstance(argument, ast.Constant | ast.JoinedStr) for argument in call.args)
                ]
                assert not hidden, f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in messages.KEYWORDS:
                assert not any(isinstance(argument, ast.JoinedStr) for argument in node.args), f"{path}:{node.lineno}"


def test_updating_changes_nothing_where_nothing_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for spoken in OTHERS:
        kept, translated = messages.place(spoken).read_text(), messages.catalogue(spoken)
        target = tmp_path / f"{spoken}.po"
        with monkeypatch.context() as patch:
            patch.setattr(messages, "place", lambda _spoken, target=target: target)
            messages.write(translated, spoken)
        first = target.read_text()
        assert first == kept
        assert "POT-Creation-Date" not in first


# --- speaking ---


def test_the_languages_of_the_command_line_are_those_of_the_catalogues() -> None:
    assert {str(spoken) for spoken in Language} == set(language.LANGUAGES) == set(language.TAGS)


def test_what_has_no_translation_comes_out_in_english() -> None:
    with speak("hr"):
        assert _("A sentence that nobody wrote.") == "A sentence that nobody wrote."
        assert plural("{n} thing", "{n} things", 2) == f"2{NBSP}things"
        assert pgettext("elsewhere", "Gain") == "Gain"
        assert _("Gain") == "Dobitak"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="'xx'"), speak("xx"):
        pass


def test_a_language_is_spoken_inside_its_block_and_its_thread_alone() -> None:
    with speak("tr"):
        with speak("hr"):
            assert language.spoken() == "hr"
        assert language.spoken() == "tr"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(language.spoken).result() == "en"
    assert language.spoken() == "en"


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (1, "1 presjek"),
        (2, "2 presjeka"),
        (5, "5 presjeka"),
        (11, "11 presjeka"),
        (21, "21 presjek"),
        (1234, "1.234 presjeka"),
        (1.5, "1,5 presjeka"),
    ],
)
def test_croatian_counts(n: float, told: str) -> None:
    with speak("hr"):
        assert numbers.slices(n) == told.replace(" ", NBSP)


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (1, "Nađena 1 datoteka"),
        (2, "Nađene 2 datoteke"),
        (5, "Nađeno 5 datoteka"),
        (12, "Nađeno 12 datoteka"),
        (21, "Nađena 21 datoteka"),
        (22, "Nađene 22 datoteke"),
    ],
)
def test_croatian_has_three_forms(n: int, told: str) -> None:
    with speak("hr"):
        assert plural("{n} file found", "{n} files found", n).replace(NBSP, " ") == told


def test_turkish_has_one_form() -> None:
    with speak("tr"):
        assert [numbers.slices(n) for n in (1, 2, 1234)] == [f"{n}{NBSP}kesit" for n in ("1", "2", "1.234")]


def test_a_counted_diagnosis_keeps_its_place_in_every_language() -> None:
    said = {}
    for spoken in language.LANGUAGES:
        with speak(spoken):
            said[spoken] = [wording.names.slices_of(name) for name in ("tumour", "no_tumour", "glioma")]
    assert said == {
        "en": ["tumour slices", "no-tumour slices", "glioma slices"],
        "tr": ["tümörlü kesitler", "tümörsüz kesitler", "glioma kesitler"],
        "hr": ["presjeci s tumorom", "presjeci bez tumora", "presjeci glioma"],
    }


# --- numbers ---

WRITTEN = {
    "en": ["86.0 %", "86.0 % (81.2 to 90.1)", "0.916 (0.870 to 0.951)", "+2.1 points (+0.4 to +3.8)", "p = 0.013"],
    "tr": [
        "%86,0",
        "%86,0 (81,2 ila 90,1)",
        "0,916 (0,870 ila 0,951)",
        "+2,1 puan (+0,4 ila +3,8)",
        "p = 0,013",
    ],
    "hr": ["86,0 %", "86,0 % (81,2 do 90,1)", "0,916 (0,870 do 0,951)", "+2,1 bodova (+0,4 do +3,8)", "p = 0,013"],
}


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_numbers_are_written_as_the_reader_writes_them(spoken: str) -> None:
    with speak(spoken):
        told = [
            numbers.percent(0.86),
            numbers.percent_interval(Estimate(estimate=0.86, low=0.812, high=0.901)),
            numbers.plain_interval(Estimate(estimate=0.916, low=0.870, high=0.951)),
            numbers.points_interval(Estimate(estimate=0.021, low=0.004, high=0.038)),
            numbers.probability(0.013),
        ]
    assert [text.replace(NBSP, " ") for text in told] == WRITTEN[spoken]


def test_no_interval_breaks_between_its_ends() -> None:
    for spoken in language.LANGUAGES:
        with speak(spoken):
            assert " " not in numbers.between("1", "2")


@pytest.mark.parametrize(
    ("spoken", "count", "minus", "small"),
    [
        ("en", "118,000", "−3.5 %", "p < 0.001"),
        ("tr", "118.000", "−%3,5", "p < 0,001"),
        ("hr", "118.000", "−3,5 %", "p < 0,001"),
    ],
)
def test_grouping_minus_and_small_p(spoken: str, count: str, minus: str, small: str) -> None:
    with speak(spoken):
        told = [numbers.whole(118_000), numbers.percent(-0.035), numbers.probability(0.0004)]
    assert [text.replace(NBSP, " ") for text in told] == [count, minus, small]


def test_a_number_rounds_alike_in_every_language() -> None:
    for value in (0.005, 0.015, 2.675, 1e-9, -0.0004, 12345.5):
        digits = set()
        for spoken in language.LANGUAGES:
            with speak(spoken):
                digits.add(re.sub(r"\D", "", numbers.decimal(value, 2)))
        assert len(digits) == 1


def test_capital_letters_and_alphabet_are_those_of_the_language() -> None:
    with speak("tr"):
        assert capitalised("işaret") == "İşaret"
        assert capitalised("ısı") == "Isı"
        assert sorted(["Zar", "Çift", "Işık", "İğne", "Can", "Doz"], key=alphabetical) == [
            "Can", "Çift", "Doz", "Işık", "İğne", "Zar",
        ]  # fmt: skip
    with speak("hr"):
        assert sorted(["Žrtva", "Zub", "Šav", "Ćelija", "Čvor", "Sve", "Cista"], key=alphabetical) == [
            "Cista", "Čvor", "Ćelija", "Sve", "Šav", "Zub", "Žrtva",
        ]  # fmt: skip
    assert capitalised("işaret") == "Işaret"
    assert capitalised("") == ""


# --- markup ---


def test_what_is_filled_into_a_template_message_is_escaped() -> None:
    with speak("tr"):
        told = in_markup("{verdict}: augment-mri report").format(verdict="<script>alert(1)</script>")
    assert told == Markup("&lt;script&gt;alert(1)&lt;/script&gt;: augment-mri raporu")


# --- the page ---


@pytest.fixture(autouse=True)
def _drawn_as_its_words(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures as their texts alone: the marks are looked at in tests/test_figures.py, and drawing takes long."""

    def savefig(figure: Figure, buffer: object, **_options: object) -> None:
        words = dict.fromkeys(text.get_text() for text in figure.findobj(Text) if text.get_text())
        texts = "".join(f"<text>{html.escape(word)}</text>" for word in words)
        buffer.write(f"<svg>{texts}</svg>")  # type: ignore[attr-defined]

    monkeypatch.setattr(Figure, "savefig", savefig)
    yield
    assert language.spoken() == "en"


def verdict(name: str, estimate: float, low: float, high: float, **changes: object) -> RunSummary:
    return full_summary(verdict=name, difference=difference(estimate, low, high), **changes)


def alarmed() -> RunSummary:
    trainings = (
        with_alarms(training([0.6, 0.7, 0.97]), stopped=True, best_wrong=1),
        with_alarms(training([0.6, 0.7, 0.8], diagnosis="no_tumour"), stopped=False, best_wrong=2).model_copy(
            update={"unimproved_since": 112_000}
        ),
    )
    return build_summary(training=trainings)


def summaries() -> dict[str, RunSummary]:
    """All the ways that a page of the tests can take."""
    to_duplicates = difference(0.0, -0.01, 0.01, reference="real+classic+duplicates")
    failed = (permuted(0.61, passed=False), collapsed_generator(passed=None))
    return {
        "plain": build_summary(),
        "image groups": build_summary(folds=5, subjects_known=False),
        "full": full_summary(),
        "painted": painted_summary(),
        "pasted": painted_summary(
            folds=1,
            difference_to_copy_paste=to_copy_paste(),
            transfer=(transfer(shortcuts=True), transfer(1)),
            ways=ways(),
        ),
        "harm": verdict("harm", -0.03, -0.05, -0.01),
        "equivalent": verdict("equivalent", 0.0, -0.01, 0.01),
        "unsure": verdict("insufficient_evidence", 0.01, 0.001, 0.02, difference_to_duplicates=to_duplicates),
        "failed": full_summary(controls=failed),
        "alarms": alarmed(),
        "collapsed": full_summary(fidelity=(fidelity(collapse=LOST),)),
        "read": full_summary(
            reader_slices=reader_records.slices(),
            reader_study=reader_records.study(
                reader_records.scores((0.7, 0.6, 0.8)), [reader_records.scores(reader=name) for name in ("AB", "")]
            ),
        ),
        "nothing": build_summary(training=(), fidelity=(), memorisation=(), arms=(), shortcuts=(), pictures=()),
    }


def account() -> MachineRecord:
    """A run that was taken up again after an error."""
    machine = Machine(
        processor="x86_64", cores=16, threads=8, memory_gib=128.0, accelerators=("abacus",), system="Linux",
        python="3.11.2", precision="cpu float32",
    )  # fmt: skip
    began = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    attempts = tuple(
        Attempt(
            machine=machine, began=began, ended=began + timedelta(hours=2), seconds=7200, outcome=outcome,
            peak_memory_gib=1.5,
        )
        for outcome in ("failed", "finished")
    )  # fmt: skip
    stages = (
        StageTime.model_validate(
            {"stage": "train", "fold": 0, "diagnosis": "tumour", "seconds": 3600.0, "attempts": 2}
        ),
    )
    faults = (Fault.model_validate({"attempt": 0, "stage": "train", "kind": "memory", "error": "MemoryError"}),)
    return MachineRecord(attempts=attempts, stages=stages, faults=faults)


def visible(page: str) -> str:
    """The words that a reader sees or hears, without what is code or configuration."""
    body = re.sub(r"<(style|script|pre|code)\b.*?</\1>", " ", page, flags=re.DOTALL)
    spoken = re.findall(r'(?:aria-label|alt|title|data-label)="([^"]*)"', body)
    return html.unescape(" \n".join([re.sub(r"<[^>]*>", " \n", body), *spoken]))


# Words that no Turkish and no Croatian sentence has: articles, pronouns, prepositions and verbs of English.
ENGLISH = frozenset(
    re.findall(
        r"\w+",
        "the of is are was were that which with from where for than by this these those they its has have been "
        "would may can whether how what who more less fewer every each only not could should",
    )
)
# What stands on these pages as it came in: findings of files, warnings of the run, and titles of papers.
AS_IT_CAME = re.compile(
    r"bright area 3 % of the frame, want 15 %|the file ends after 312 bytes|the rarer diagnosis holds 402 test slices"
    r"|Communications of the ACM|Model Cards for Model Reporting|not, hasta anatomisi"
)


@pytest.mark.parametrize("name", sorted(summaries()))
def test_the_page_is_whole_in_every_language(name: str, tmp_path: Path) -> None:
    summary = summaries()[name]
    write_pictures(summary, tmp_path)
    machine = account()
    pages = {
        spoken: render(summary=summary, run_root=tmp_path, machine=machine, spoken=spoken)
        for spoken in language.LANGUAGES
    }
    for spoken, page in pages.items():
        assert page.startswith("<!DOCTYPE html>")
        assert f'<html lang="{language.TAGS[spoken]}">' in page
        assert page.count("<section") == pages["en"].count("<section")
        assert page.count("<tr") == pages["en"].count("<tr")
        assert re.findall(r'\sid="([^"]*)"', page) == re.findall(r'\sid="([^"]*)"', pages["en"])
    assert render(summary=summary, run_root=tmp_path, machine=machine) == pages["en"]
    for spoken in OTHERS:
        assert english_lines(pages[spoken]) == []


def english_lines(page: str) -> list[str]:
    """The lines that a reader sees and that hold an English word."""
    lines = AS_IT_CAME.sub(" ", visible(page)).split("\n")
    return [line.strip() for line in lines if ENGLISH & set(re.findall(r"[^\W\d_]+", line.lower()))]


@pytest.mark.parametrize("spoken", OTHERS)
def test_the_index_is_in_the_language(spoken: str) -> None:
    began = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)

    def run(name: str, day: int, **told: object) -> IndexedRun:
        fields = {"summary": build_summary(), "slices": frozenset("abc"), "noted": True, "machine": account(), **told}
        return IndexedRun(name=name, link=f"./{name}/report.html", when=began + timedelta(days=day), **fields)

    changed = build_summary(difference=difference(0.05, 0.03, 0.07))
    seed = changed.provenance.model_copy(update={"seed": 21, "config": {"utility": {"folds": 3}}})
    runs = [run("a", 0), run("b", 1, summary=changed.model_copy(update={"provenance": seed}))]
    broken = [run("x", 2, summary=None, problem=problem) for problem in get_args(Problem)]
    page = render_index([*runs, *broken], spoken=spoken)
    assert f'<html lang="{spoken}">' in page
    assert english_lines(page) == []


def test_the_search_for_english_finds_it(tmp_path: Path) -> None:
    words = set(re.findall(r"[^\W\d_]+", visible(render(summary=build_summary(), run_root=tmp_path)).lower()))
    assert len(ENGLISH & words) > 20


FIRST_SCREEN = {
    "tr": (
        "Sentetik kesit eklemek işe yaradı: sınıflandırıcı gerçek taramalarda daha doğru oldu.",
        "Gözden kaçan tümörler",
        "dengeli doğrulukta yüzde puanı",
        "+2,1",
        "Yararlı oldu",
    ),
    "hr": (
        "Dodavanje sintetičkih presjeka pomoglo je: klasifikator je postao točniji na stvarnim snimkama.",
        "Propušteni tumori",
        "postotnih bodova uravnotežene točnosti",
        "+2,1",
        "Pomoglo",
    ),
}


@pytest.mark.parametrize("spoken", OTHERS)
def test_the_first_screen_reads_in_the_language(spoken: str, tmp_path: Path) -> None:
    page = visible(render(summary=build_summary(), run_root=tmp_path, spoken=spoken))
    for said in FIRST_SCREEN[spoken]:
        assert said in page


@pytest.mark.parametrize("spoken", OTHERS)
def test_every_verdict_has_its_own_headline(spoken: str) -> None:
    with speak(spoken):
        said = {
            wording.verdict.headline(build_summary(verdict=name, difference=difference(0.0, -0.01, 0.01)))
            for name in get_args(Verdict)
        }
    assert len(said) == len(get_args(Verdict))


@pytest.mark.parametrize("spoken", OTHERS)
def test_the_recommendation_has_its_first_sentence_apart(spoken: str) -> None:
    for painted in (False, True):
        made = painted_summary() if painted else build_summary(difference_to_copy_paste=to_copy_paste())
        with speak(spoken):
            what, _stop, why = wording.paste.recommendation(made).partition(". ")
        assert re.match(r"(Öneri|Preporuka): \w+", what)
        assert why


@pytest.mark.parametrize("spoken", OTHERS)
def test_axes_have_the_decimal_sign_of_the_language(spoken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # drawn indeed
    drawn = {}
    for each in ("en", spoken):
        with speak(each):
            drawn[each] = re.findall(r">([^<]*)</text>", figures.diversity(fidelity(synthetic=set_scores(recall=0.31))))
    assert "0.5" in " ".join(drawn["en"])
    assert "0,5" in " ".join(drawn[spoken])
    assert not re.search(r"\d\.\d", " ".join(drawn[spoken]))


@pytest.mark.parametrize("spoken", OTHERS)
def test_a_dose_is_written_with_the_decimal_sign_of_the_language(spoken: str) -> None:
    with speak(spoken):
        said = wording.further.dose_reading(dose(estimate(0.004), estimate(0.012), estimate(0.03), estimate(0.02)))
    assert re.search(r"\d,\d", said)
    assert not re.search(r"\d\.\d", said)


HOSTILE = "<script>alert('{n} %s')</script>\N{RIGHT-TO-LEFT OVERRIDE}\"{verdict}&amp;" + "ı" * 10_000


@pytest.mark.parametrize("spoken", language.LANGUAGES)
def test_hostile_text_shows_as_text_in_every_language(spoken: str, tmp_path: Path) -> None:
    plain = build_summary()
    provenance = plain.provenance.model_copy(
        update={"preset": HOSTILE, "config": {HOSTILE: HOSTILE}, "versions": {HOSTILE: HOSTILE}}
    )
    data = plain.data.model_copy(
        update={
            "label_rules": (HOSTILE,),
            "sequences": (HOSTILE,),
            "classes": tuple(one.model_copy(update={"diagnosis": HOSTILE}) for one in plain.data.classes),
            "out": tuple(one.model_copy(update={"rule": HOSTILE, "example": HOSTILE}) for one in plain.data.out),
        }
    )
    hostile = plain.model_copy(
        update={
            "provenance": provenance,
            "data": data,
            "warnings": (HOSTILE,),
            "fidelity": tuple(one.model_copy(update={"diagnosis": HOSTILE}) for one in plain.fidelity),
            "memorisation": tuple(one.model_copy(update={"diagnosis": HOSTILE}) for one in plain.memorisation),
            "training": tuple(one.model_copy(update={"diagnosis": HOSTILE}) for one in plain.training),
        }
    )
    page = render(summary=hostile, run_root=tmp_path, spoken=spoken)
    assert "<script>alert" not in page
    assert "alert(&#39;{n} %s&#39;)" in page or "alert(&#x27;{n} %s&#x27;)" in page
    assert "{n} %s" in visible(page)  # nothing was filled in for it


def test_a_difference_against_an_unknown_arm_is_told_in_every_language() -> None:
    odd = Difference.model_validate({**difference().model_dump(), "metric": "auc"})
    for spoken, said in {"en": "AUC", "tr": "AUC", "hr": "AUC"}.items():
        with speak(spoken):
            assert said in wording.verdict.difference_sentence(odd, known=True)
