"""The index over many runs: what it finds, in which order, what it joins, what changed, and what it refuses."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from report_records import build_summary, difference, fidelity, painted_summary, recorded, run_data

from data_contracts.machine import Attempt, Machine, MachineRecord
from data_contracts.results import RunSummary
from flows.errors import ConfigError
from flows.index import write_index
from pipeline.run_dir import RunDir, write_record, write_table
from reports import figures
from reports.figures.trend import coverage, kept_out
from reports.index import Change, Finished, IndexedRun, changes, in_series, is_same_source, render_index, steps
from reports.wording import index

DAY = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)
MACHINE = Machine(
    processor="Abacus 9",
    cores=2,
    threads=2,
    memory_gib=8.0,
    accelerators=(),
    system="Debian, x86_64",
    python="3.11.7",
    precision="cpu float32",
)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def seen(page: Path | str) -> str:
    """What a reader reads of a page."""
    text = page.read_text() if isinstance(page, Path) else page
    return plain(re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", text.partition("<body>")[2]))))


def summary(gain: float = 0.021, *, source: str = "d" * 64, seed: int = 20, **told: object) -> RunSummary:
    """told: other fields of its provenance."""
    built = build_summary(difference=difference(gain, gain - 0.017, gain + 0.017))
    return recorded(built, source_digest=source, seed=seed, **told)


def account(began: datetime, **changed: object) -> MachineRecord:
    machine = MACHINE.model_copy(update=changed)
    ended = began + timedelta(hours=1)
    done = Attempt(machine=machine, began=began, ended=ended, seconds=3600, outcome="finished", peak_memory_gib=1.0)
    return MachineRecord(attempts=(done,), stages=())


def run(name: str, day: int = 0, told: RunSummary | None = None, slices: str = "", **fields: object) -> IndexedRun:
    made = IndexedRun(
        name=name, link=f"./{name}/report.html", when=DAY + timedelta(days=day), noted=True,
        summary=told or summary(), slices=frozenset(slices),
    )  # fmt: skip
    return replace(made, **fields)


def write(folder: Path, told: RunSummary | None, *, began: datetime | None = None, slices: str = "") -> RunDir:
    made = RunDir(folder)
    folder.mkdir(parents=True)
    made.run_json.write_text("{}")
    if told is not None:
        write_record(made.summary, told)
        made.report.write_text("a page")
    if began is not None:
        write_record(made.machine, account(began))
    if slices:
        write_table(made.seen, pd.DataFrame({"sha256": list(slices)}, dtype=str))
    return made


def letters(*runs: IndexedRun) -> str:
    return "".join(one.source for one in in_series(runs))


# --- what is of one source ---


def test_equal_digests_are_one_source_and_others_are_not() -> None:
    assert letters(run("a"), run("b", 1), run("c", 2, summary(source="e" * 64)), run("d", 3)) == "AABA"


def test_a_source_that_grew_is_the_same_and_one_that_lost_more_than_a_tenth_is_not() -> None:
    first, other = run("a", 0, summary(source="1"), slices="abcdefghij"), summary(source="2")
    assert letters(first, run("b", 1, other, slices="abcdefghijklmnop")) == "AA"
    assert letters(first, run("b", 1, other, slices="abcdefghiXYZ")) == "AA"  # nine of ten are there again
    assert letters(first, run("b", 1, other, slices="abcdefghXYZ")) == "AB"
    assert letters(first, run("b", 1, other)) == "AB"
    assert letters(run("a", 0, summary(source="1")), run("b", 1, other, slices="ab")) == "AB"  # nothing is known of a


def test_each_run_is_held_against_the_latest_of_a_source() -> None:
    grown = [
        run(name, day, summary(source=name), slices=slices)
        for day, (name, slices) in enumerate(
            [("a", "abcdefghij"), ("b", "abcdefghijklmnopqrst"), ("c", "abcdefghijkl")]
        )
    ]
    assert letters(*grown) == "AAB"


def test_phantoms_are_other_ones_with_each_seed() -> None:
    assert is_same_source(run("a", 0, summary(source="demo", seed=1)), run("b", 1, summary(source="demo", seed=1)))
    assert not is_same_source(run("a", 0, summary(source="demo", seed=1)), run("b", 1, summary(source="demo", seed=2)))


def test_more_sources_than_letters() -> None:
    many = in_series([run(f"r{i}", i, summary(source=str(i))) for i in range(28)])
    assert [one.source for one in many][24:] == ["Y", "Z", "AA", "AB"]


# --- what changed ---


def test_changes_name_what_differs_and_what_is_absent() -> None:
    found = changes({"a": 1, "b": None, "c": [1, 2]}, {"a": 2, "c": [1, 2], "d": "new"})
    assert found == (Change("a", "1", "2"), Change("d", "–", "new"), Change("b", "null", "–"))
    assert len(changes({"a": "x" * 999}, {})[0].before) == 200


def test_a_step_tells_configuration_software_and_machine_apart() -> None:
    old = run("a", 0, summary(), machine=account(DAY))
    told = summary(
        seed=21, config={"gan": {"gamma": 2.0, "images_seen": 118000}, "source": "scans"}, versions={"torch": "2.14.0"}
    )
    new = run("b", 1, told, machine=account(DAY, precision="cuda bfloat16"))
    (found,) = steps(in_series([old, new]))
    assert found.config == (Change("seed", "20", "21"), Change("gan.gamma", "1.0", "2.0"))
    assert found.software == (Change("torch", "2.13.0", "2.14.0"), Change("numpy", "2.4.6", "–"))
    assert found.machine == (Change("precision", "cpu float32", "cuda bfloat16"),)
    assert found.altered
    (unknown,) = steps(in_series([run("a"), new]))
    assert unknown.machine == ()  # the first did not note its machine


def test_another_seed_alone_alters_nothing_and_steps_join_only_one_source() -> None:
    runs = [run("a"), run("x", 1, summary(source="e")), run("b", 2, summary(seed=21)), run("y", 3, summary(source="e"))]
    found = steps(in_series(runs))
    assert [(one.before.number, one.after.number, one.altered) for one in found] == [(1, 3, False), (2, 4, False)]


# --- sentences ---


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (0.010, 0.021, "The gain went from +1.0 to +2.1, +1.1 points: inside the 95 % interval of the earlier run."),
        (0.021, -0.01, "The gain went from +2.1 to −1.0, −3.1 points: below the 95 % interval of the earlier run."),
        (-0.01, 0.021, "The gain went from −1.0 to +2.1, +3.1 points: above the 95 % interval of the earlier run."),
        (0.021, 0.0213, "The gain stayed at +2.1 points."),
    ],
)
def test_how_the_gain_went(old: float, new: float, said: str) -> None:
    before, after = (difference(gain, gain - 0.017, gain + 0.017) for gain in (old, new))
    assert plain(index.gain_step(before, after)) == said


def test_what_became_of_the_source() -> None:
    assert index.source_step(same=True, n_before=0, n_again=0, n_new=0) == "The source is the same, byte for byte."
    assert index.source_step(same=False, n_before=9, n_again=9, n_new=0) == (
        "The files of the source differ, its slices do not."
    )
    assert index.source_step(same=False, n_before=1000, n_again=990, n_new=1200) == (
        "The source changed: 990 of 1,000 slices are there again, 1,200 are new."
    )


def test_what_is_left_where_no_setting_differs() -> None:
    said = {(seed, grew): index.nothing_else(seed=seed, grew=grew) for seed in (True, False) for grew in (True, False)}
    assert said == {
        (True, False): "Only the seed differs: what changed in the results is luck.",
        (True, True): "Configuration, software and machine are the same; seed and source differ.",
        (False, True): "Configuration, software and machine are the same; only the source differs.",
        (False, False): "Nothing that is noted differs: this run repeats the one before it.",
    }


def test_the_headline_counts() -> None:
    said = [plain(index.headline(finished=f, sources=s, others=o)) for f, s, o in [(1, 1, 0), (12, 3, 1), (0, 0, 2)]]
    assert said == [
        "1 finished run of 1 source",
        "12 finished runs of 3 sources, 1 not finished or not readable",
        "0 finished runs, 2 not finished or not readable",
    ]
    assert plain(index.newest(summary(), 12)) == "The newest finished run, number 12: gain, +2.1 points (+0.4 to +3.8)."


def test_the_order_says_what_it_rests_on() -> None:
    assert index.order(noted=3, by_file=0) == "In the order in which they began."
    assert "copying may change those times" in index.order(noted=0, by_file=3)
    assert plain(index.order(noted=3, by_file=1)) == (
        "In the order in which they began; 1 run did not note that and stands by the time of its file, which copying "
        "may change. It is marked “file”."
    )


def test_every_problem_has_its_reason() -> None:
    assert [index.problem(name)[:12] for name in ("unfinished", "not_a_summary", "other_version", "closed")] == [
        "Not finished",
        "Its summary.",
        "Its summary.",
        "Its files ma",
    ]


# --- figures ---


def of(*runs: IndexedRun) -> tuple[Finished, ...]:
    return in_series(runs)


DRAWN: dict[str, Callable[[tuple[Finished, ...]], str]] = {
    "gain": figures.gain_over_runs,
    "diversity": figures.diversity_over_runs,
    "data": figures.data_over_runs,
}


@pytest.mark.parametrize("name", DRAWN)
def test_figures_are_the_same_bytes_twice_and_in_the_colours_of_the_page(name: str) -> None:
    runs = of(run("a"), run("b", 1, summary(0.03)), run("c", 2, summary(source="e")), run("p", 3, painted_summary()))
    drawn = DRAWN[name](runs)
    assert drawn == DRAWN[name](runs)
    assert re.findall(r"#0[1-6]0[1-6]0[1-6]\b", drawn) == []
    assert 'role="img"' in drawn
    assert DRAWN[name](runs[:1]) != drawn


def lines(drawn: str, *, dashed: bool) -> int:
    """Lines from run to run, which are drawn one point wide and in the colour of a source."""
    found = [path for path in re.findall(r"<path [^>]*>", drawn) if "var(--accent)" in path and "fill: none" in path]
    return sum(("stroke-dasharray" in path) is dashed for path in found)


def test_only_runs_of_one_source_are_joined_and_altered_ones_by_dashes() -> None:
    same, seed = run("a"), run("b", 1, summary(seed=21))
    other, altered = run("c", 1, summary(source="e")), run("d", 1, summary(preset="large"))
    counted = [
        (lines(drawn, dashed=False), lines(drawn, dashed=True))
        for drawn in (figures.data_over_runs(of(same, next_run)) for next_run in (seed, other, altered))
    ]
    alone = lines(figures.data_over_runs(of(same)), dashed=False)
    assert counted == [(alone + 2, 0), (alone, 0), (alone, 2)]  # a line in each of two panels


def test_figures_say_their_numbers_aloud() -> None:
    runs = of(run("a"), run("c", 2, summary(-0.03, source="e")))
    gain = plain(unescape(figures.gain_over_runs(runs)))
    assert "run 1 (source A) +2.1 points (+0.4 to +3.8); run 2 (source B) −3.0 points (−4.7 to −1.3)" in gain
    assert "run 1 (source A), tumour slices, 42 % beside 40 %" in plain(unescape(figures.diversity_over_runs(runs)))
    assert "run 1 (source A) 1,722 slices used, 64 kept out" in plain(unescape(figures.data_over_runs(runs)))


def test_coverage_is_the_mean_over_folds_in_the_space_that_decides_and_of_painted_runs_none() -> None:
    scores = (fidelity(0.5, 0.2), fidelity(0.5, 0.4, fold=1), fidelity(0.5, 0.9, extractor="other"))
    told = build_summary(fidelity=scores)
    assert coverage(told, "tumour", real=False) == pytest.approx(30)
    assert coverage(told, "tumour", real=True) == pytest.approx(40)
    assert coverage(told, "no_tumour", real=False) is None
    assert coverage(painted_summary(), "tumour", real=False) is None
    assert kept_out(build_summary(data=run_data(folds=1, subjects_known=True))) == 64


def test_many_runs_are_drawn_and_a_run_without_a_measure_leaves_a_gap() -> None:
    many = of(*(run(f"r{i:03}", i, summary(0.001 * i, seed=i)) for i in range(60)))
    assert plain(figures.gain_over_runs(many)).count("run ") >= 60
    figures.diversity_over_runs(of(run("a", 0, build_summary(fidelity=()))))


# --- the page ---


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    top = tmp_path / "runs"
    write(top / "nightly" / "b", summary(0.03, seed=21), began=DAY + timedelta(days=1))
    write(top / "nightly" / "a", summary(0.01), began=DAY)
    write(top / "x" / "y" / "deep", summary(-0.02, source="e" * 64), began=DAY + timedelta(days=3))
    write(top / "x" / "y" / "z" / "deeper", summary())
    write(top / "half", None, began=DAY)
    write(top / "torn", None).summary.write_text('{"schema_version": 4, "verdict"')
    write(top / "old", None).summary.write_text('{"schema_version": 1}')
    write(top / "odd", None).summary.mkdir()
    write(top / "nightly" / "a" / "external", None)  # a part of its run
    (top / "notes").mkdir()
    (top / "notes.txt").write_text("mine")
    for name in ("half", "torn", "old", "odd"):
        os.utime(top / name / "run.json", (0, 1_700_000_000))
    return top


def test_the_page_shows_finished_runs_in_order_and_says_why_others_are_not(runs: Path) -> None:
    page = write_index(runs, None)
    assert page == runs / "index.html"
    text, said = page.read_text(), seen(page)
    assert "3 finished runs of 2 sources, 4 not finished or not readable" in said
    order = [said.index(name) for name in ("nightly/a", "nightly/b", "x/y/deep")]
    assert order == sorted(order)
    assert "deeper" not in said
    assert "external" not in said
    for name, reason in (("half", "has no summary.json"), ("torn", "not whole"), ("old", "another version")):
        assert re.search(rf" {name} .*?{reason}", said)
    assert re.search(r" odd .*?may not be read", said)
    assert "Source A: from run 1 to run 2" in said
    assert "The gain went from +1.0 to +3.0, +2.0 points: above" in said
    assert "Only the seed differs" in said
    links = [unquote(link) for link in re.findall(r'href="(\./[^"]*)"', text)]
    assert links == ["./nightly/a/report.html", "./nightly/b/report.html", "./x/y/deep/report.html"]
    assert all((runs / link).exists() for link in links)
    assert "default-src &#39;none&#39;; script-src &#39;none&#39;" in text
    assert "<script" not in text
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/[^\"]*", "", text)


def test_the_same_folders_give_the_same_bytes_and_links_follow_the_page(runs: Path, tmp_path: Path) -> None:
    first = write_index(runs, None).read_bytes()
    assert write_index(runs, None).read_bytes() == first
    elsewhere = write_index(runs, tmp_path / "pages" / "all.html").read_text()
    assert 'href="./../runs/nightly/a/report.html"' in elsewhere


def test_runs_without_an_account_stand_by_the_time_of_their_file(tmp_path: Path) -> None:
    for name, day in (("late", 2), ("early", 1)):
        made = write(tmp_path / "runs" / name, summary())
        os.utime(made.run_json, (0, (DAY + timedelta(days=day)).timestamp()))
    said = seen(write_index(tmp_path / "runs", None))
    assert said.index("early 2 Nov 2026, 02:00 UTC (file)") < said.index("late 3 Nov 2026, 02:00 UTC (file)")
    assert "for none of them noted when it began" in said


def test_a_growing_source_is_told_by_its_slices(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "a", summary(source="1"), began=DAY, slices="abcdefghij")
    write(tmp_path / "runs" / "b", summary(source="2"), began=DAY + timedelta(days=1), slices="abcdefghijkl")
    torn = write(tmp_path / "runs" / "c", summary(source="3"), began=DAY + timedelta(days=2))
    torn.seen.write_bytes(b"no table")
    said = seen(write_index(tmp_path / "runs", None))
    assert "3 finished runs of 2 sources" in said
    assert "The source changed: 10 of 10 slices are there again, 2 are new." in said
    assert "only the source differs" in said


def test_hostile_names_show_as_text_and_lead_where_they_should(tmp_path: Path) -> None:
    names = [b"<img src=x onerror=alert(1)>", b"\"'&amp;", "\u202eevil".encode(), b"a\nb", b"\xff\xfe", b"javascript:1"]
    for number, name in enumerate(names):
        folder = tmp_path / "runs" / os.fsdecode(name)
        write(folder, summary(preset="<b>" + "x" * 10_000), began=DAY + timedelta(days=number))
    text = write_index(tmp_path / "runs", None).read_text()
    assert "<img" not in text
    assert "<b>x" not in text
    links = [unquote(unescape(link), errors="surrogateescape") for link in re.findall(r'href="(\./[^"]*)"', text)]
    assert len(links) == len(names)
    assert all(os.path.exists(os.path.join(tmp_path / "runs", link)) for link in links)  # noqa: PTH110, PTH118


def test_a_run_alone_is_compared_with_nothing_and_a_missing_report_gets_no_link(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "a", summary(), began=DAY).report.unlink()
    page = write_index(tmp_path / "runs", None)
    assert "so there is nothing to compare" in seen(page)
    assert "a (no report.html)" in seen(page)
    assert 'href="./' not in page.read_text()


def test_a_page_of_unfinished_runs_alone() -> None:
    said = seen(render_index([run("a", summary=None, problem="unfinished")]))
    assert "0 finished runs, 1 not finished or not readable" in said
    assert "Gain of each run" not in said


def test_what_cannot_be_indexed_is_refused_in_one_line(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for top, out, said in (
        (tmp_path / "none", None, "is no folder"),
        (runs / "notes.txt", None, "is no folder"),
        (tmp_path / "empty", None, "no run below"),
        (runs / "half", None, "itself a run"),
        (runs, tmp_path / "empty", "is a folder; name a file"),
        (runs, runs / "notes.txt" / "x.html", "cannot be written"),
    ):
        with pytest.raises(ConfigError, match=said):
            write_index(top, out)
    assert not (tmp_path / "empty" / "index.html").exists()


def test_a_page_of_somebody_else_is_not_written_over_unasked(runs: Path) -> None:
    (runs / "index.html").write_text("<html>precious</html>")
    with pytest.raises(ConfigError, match="not made by this program"):
        write_index(runs, None)
    assert "precious" in (runs / "index.html").read_text()
    write_index(runs, runs / "index.html")
    assert "3 finished runs" in seen(runs / "index.html")
    write_index(runs, None)
