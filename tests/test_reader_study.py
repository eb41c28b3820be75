"""A reader study from its draw to its scores: nothing gives the key away, and no wrong file is scored."""

import base64
import hashlib
import io
import json
import re
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reader_records import SIDE, answers, finished_run, key_of

from data_contracts.manifest import DIAGNOSES
from data_contracts.reader import MOST_BYTES, ReaderKey, check_answers, parse_answers
from data_contracts.results import ReaderStudy, RunSummary, WrongCases
from data_contracts.violations import ContractError
from flows import reader_slices
from flows.errors import ConfigError
from flows.reader_slices import MOST_PIXELS, draw, draw_again, seen_in, with_reader_study
from flows.reader_study import key_path, reading_of, score_answers, scores_path
from flows.report import write_report
from pipeline.formats.raster import read_png, to_uint8
from pipeline.formats.synthetic import read_synthetic
from pipeline.run_dir import RunDir, read_record, write_record

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def summary_of(run: RunDir) -> RunSummary:
    return read_record(run.summary, RunSummary)


def drawn(run: RunDir, *, most: int = 40) -> ReaderKey:
    key = draw(run, summary_of(run), most=most)
    assert key is not None
    return key


def pixels(run: RunDir, item: str) -> np.ndarray:
    return read_png(run.reader_picture(item))


# --- the draw ---


def test_half_are_real_test_slices_and_half_synthetic_of_either_diagnosis(tmp_path: Path) -> None:
    run = finished_run(tmp_path)
    key = drawn(run)
    assert Counter((item.origin, item.diagnosis) for item in key.items) == {
        (origin, diagnosis): 10 for origin in ("real", "synthetic") for diagnosis in DIAGNOSES
    }
    manifest = pd.read_parquet(run.manifest)
    images = to_uint8(np.load(run.normalised(0)))[:, 0]
    tested = {images[i].tobytes(): row for i, row in manifest.iterrows() if row["group"] < "group-900"}
    made = {
        diagnosis: {to_uint8(image[0]).tobytes() for image in read_synthetic(run.synthetic(0, diagnosis))[1]}
        for diagnosis in DIAGNOSES
    }
    for item in key.items:
        found = pixels(run, item.item).tobytes()
        if item.origin == "real":
            assert (tested[found]["diagnosis"], tested[found]["group"]) == (item.diagnosis, item.group)
        else:
            assert found in made[item.diagnosis]


def test_a_patient_comes_once_where_there_are_enough_of_them(tmp_path: Path) -> None:
    groups = [item.group for item in drawn(finished_run(tmp_path / "a", test=24)).items if item.origin == "real"]
    assert len(set(groups)) == len(groups) == 20
    few = [i.group for i in drawn(finished_run(tmp_path / "b", per_patient=2, test=16)).items if i.origin == "real"]
    assert len(few) == 20
    assert max(Counter(few).values()) <= 3  # eight patients for twenty slices: as evenly as that goes
    assert len(set(few)) == 8


def test_the_same_run_draws_the_same_and_another_seed_does_not(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "a")
    first = drawn(run)
    assert drawn(run) == first
    assert drawn(finished_run(tmp_path / "b")) == first
    record = json.loads(run.run_json.read_bytes())
    run.run_json.write_text(json.dumps({**record, "seed": 8}))
    assert drawn(run) != first


def test_fewer_where_there_are_fewer_and_none_below_eight(tmp_path: Path) -> None:
    assert len(drawn(finished_run(tmp_path / "a", per_cell=3)).items) == 12
    assert len(drawn(finished_run(tmp_path / "b"), most=14).items) == 12
    few = finished_run(tmp_path / "c", test=1)
    assert draw(few, summary_of(few)) is None
    assert not key_path(few).exists()
    untouched = with_reader_study(few, summary_of(few))
    assert (untouched.reader_slices, untouched.reader_study) == (None, None)


def test_large_slices_are_fewer_so_that_the_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_slices, "MOST_PIXELS", 21 * SIDE**2)
    assert len(drawn(finished_run(tmp_path)).items) == 20
    assert MOST_PIXELS // 256**2 >= 40


def test_of_many_slices_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_slices, "LOOKED_AT", 12)
    looked = []
    monkeypatch.setattr(
        reader_slices, "seen_in", lambda _, slices: looked.append(len(slices)) or np.zeros(len(slices), bool)
    )
    keys = [drawn(finished_run(tmp_path / str(seed), per_cell=60, test=60, seed=seed)) for seed in (1, 2)]
    assert looked == [12] * 8
    assert [len(key.items) for key in keys] == [40, 40]
    assert (
        len({item.group for item in keys[0].items if item.origin == "real"} - {f"group-{i:03d}" for i in range(12)}) > 5
    )


def test_what_the_page_shows_elsewhere_is_drawn_last(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "a")
    shown = {
        to_uint8(image[0]).tobytes() for d in DIAGNOSES for image in read_synthetic(run.synthetic(0, d))[1][:4]
    }  # on the sheets of the page
    assert not shown & {pixels(run, item.item).tobytes() for item in drawn(run).items}
    scarce = finished_run(tmp_path / "b", per_cell=6)
    assert sum(item.origin == "synthetic" for item in drawn(scarce).items) == 12
    manifest = pd.read_parquet(run.manifest)
    named = manifest["slice_id"][manifest["group"] < "group-004"].tolist()
    cases = [
        {"slice_id": n, "fold": 0, "diagnosis": "tumour", "probability": 0.1, "reference_probability": 0.1}
        | {"reference_wrong": True}
        for n in named
    ]
    count = {"n_slices": 8, "n_subjects": 4, "n_tumour": 4}
    wrong = WrongCases.model_validate(
        {"n_slices": 28, "n_subjects": 14, "n_trainings": 1, "both": count, "mended": count, "broken": count}
        | {"cases": tuple(cases)}
    )
    key = draw(run, summary_of(run).model_copy(update={"wrong": wrong}))
    assert key is not None
    assert not {item.group for item in key.items} & {f"group-{i:03d}" for i in range(4)}


def test_copies_of_a_slice_that_the_page_shows_are_drawn_last_too(tmp_path: Path) -> None:
    run = finished_run(tmp_path, per_patient=2, test=28)
    count = {"n_slices": 4, "n_subjects": 4, "n_tumour": 4}
    case = {"fold": 0, "diagnosis": "tumour", "probability": 0.1, "reference_probability": 0.1, "reference_wrong": True}
    told = {"n_slices": 28, "n_subjects": 14, "n_trainings": 1, "both": count, "mended": count, "broken": count}
    wrong = WrongCases.model_validate(
        {**told, "cases": tuple({**case, "slice_id": f"file-100{2 * i}"} for i in range(4))}
    )
    summary = summary_of(run).model_copy(update={"wrong": wrong})
    copies = summary.data.model_copy(update={"subjects_known": False})
    key = draw(run, summary.model_copy(update={"data": copies}))
    assert key is not None
    assert len(key.items) == 40
    assert not {item.group for item in key.items} & {f"group-{i:03d}" for i in range(4)}


def test_slices_are_found_in_sheets_wherever_they_lie() -> None:
    rng = np.random.default_rng(0)
    slices = rng.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    slices[1, :3] = 0  # as most slices are: black at the top
    sheet = np.zeros((30, 41), np.uint8)
    sheet[22:30, 33:41] = slices[1]
    sheet[0:8, 5:13] = slices[2]
    sheet[3, 7] ^= 1
    assert seen_in([np.zeros((4, 4), np.uint8), sheet], slices).tolist() == [False, True, False]


def test_painted_slices_stand_for_the_patient_they_were_painted_over(tmp_path: Path) -> None:
    key = drawn(finished_run(tmp_path, per_cell=40, painted=True))
    groups = Counter(item.group for item in key.items if item.origin == "synthetic")
    assert set(groups) == {f"group-{900 + i}" for i in range(6)}
    assert max(groups.values()) - min(groups.values()) <= 1
    alone = drawn(finished_run(tmp_path / "gan"))
    assert len({item.group for item in alone.items if item.origin == "synthetic"}) == 20


# --- nothing gives the key away ---


def chunks(data: bytes) -> list[str]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append(data[at + 4 : at + 8].decode())
        at += 12 + length
    return found


@pytest.mark.parametrize("painted", [False, True])
def test_files_differ_in_nothing_but_their_pixels(tmp_path: Path, painted: bool) -> None:
    run = finished_run(tmp_path, painted=painted)
    images = np.load(run.normalised(0))
    # flat real slices and noisy synthetic ones would be told apart by the length of a compressed file
    images[:] = np.linspace(-1, 1, len(images))[:, None, None, None]
    np.save(run.normalised(0), images)
    key = drawn(run)
    files = [run.reader_picture(item.item).read_bytes() for item in key.items]
    assert len({len(data) for data in files}) == 1
    assert {tuple(dict.fromkeys(chunks(data))) for data in files} == {("IHDR", "IDAT", "IEND")}
    assert len({data[:33] for data in files}) == 1  # size, bits, colour
    assert sorted(p.name for p in run.reader_picture("x").parent.iterdir()) == [f"{i.item}.png" for i in key.items]


def test_order_and_names_say_nothing(tmp_path: Path) -> None:
    """Over many runs, neither the first slices nor neighbours are more often of one origin than chance has it."""
    first = neighbours = 0
    for seed in range(40):
        key = drawn(finished_run(tmp_path / str(seed), per_cell=6, test=6, seed=seed), most=16)
        assert [item.item for item in key.items] == [f"item-{i:02d}" for i in range(1, 17)]
        synthetic = [item.origin == "synthetic" for item in key.items]
        first += sum(synthetic[:8])
        neighbours += sum(a == b for a, b in pairwise(synthetic))
    assert abs(first / 320 - 0.5) < 0.1
    assert abs(neighbours / 600 - 7 / 15) < 0.08  # 8 and 8 in random order


def test_the_order_does_not_follow_from_the_seed_that_the_page_tells(tmp_path: Path) -> None:
    keys = [drawn(finished_run(tmp_path / str(seed), seed=seed)) for seed in (1, 2)]  # other pixels, the same run seed
    orders = [[(item.origin, item.diagnosis) for item in key.items] for key in keys]
    assert orders[0] != orders[1]


def test_the_page_holds_no_key(tmp_path: Path) -> None:
    run = finished_run(tmp_path, test=24)
    write_record(run.summary, with_reader_study(run, summary_of(run)))
    write_report(run, run.report)
    key, html = key_of(run), run.report.read_text()
    section = re.search(r'<section id="reader-study">.*?</section>', html, re.DOTALL)
    assert section is not None
    (told,) = re.findall(r'data-told="([^"]*)"', section[0])
    data = json.loads(told.replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&"))
    assert set(data) == {"study", "size", "columns", "names", "texts"}
    assert data["names"] == [item.item for item in key.items]
    for item in key.items:
        assert item.group not in section[0]
    for row in pd.read_parquet(run.manifest)["slice_id"]:
        assert row not in section[0]
    (source,) = re.findall(r'id="reader-sheet" src="data:image/png;base64,([^"]+)"', section[0])
    assert "reader_key" not in html
    # the study's name is of its pictures alone: known without the key, so nothing about the key can be tried on it
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    assert sheet.shape == (5 * SIDE, 8 * SIDE)
    tiles = [sheet[r * SIDE : (r + 1) * SIDE, c * SIDE : (c + 1) * SIDE] for r in range(5) for c in range(8)]
    for item, one in zip(key.items, tiles, strict=True):
        assert np.array_equal(one, pixels(run, item.item))
    assert hashlib.sha256(b"".join(one.tobytes() for one in tiles)).hexdigest()[:16] == key.study


def test_scores_on_the_page_tell_no_single_slice(tmp_path: Path) -> None:
    run, files = scored(tmp_path)
    html = run.report.read_text()
    assert "item-01&#34;" in html  # a name, to the script
    for item in key_of(run).items:
        assert html.count(item.item) == 1
    assert len(files) == 2


# --- answers ---


def saved(tmp_path: Path, name: str, content: object) -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def scored(tmp_path: Path) -> tuple[RunDir, list[Path]]:
    run = finished_run(tmp_path / "run")
    write_record(run.summary, with_reader_study(run, summary_of(run)))
    files = [
        saved(tmp_path, f"{name}.json", answers(key_of(run), reader=name, seed=i, wrong=wrong).model_dump())
        for i, (name, wrong) in enumerate((("AB", 10), ("CD", 20)))
    ]
    score_answers(files, run.root)
    return run, files


def test_scores_reach_the_summary_and_the_page_and_are_replaced_by_the_next(tmp_path: Path) -> None:
    run, files = scored(tmp_path)
    study = read_record(scores_path(run), ReaderStudy)
    assert [one.accuracy.estimate for one in study.readers] == [0.75, 0.5]
    assert study.together.accuracy.estimate == 0.625
    assert study.together.diagnosis_real.estimate == study.together.diagnosis_synthetic.estimate == 1
    assert summary_of(run).reader_study == study
    page = run.report.read_text()
    assert "2 readers told real from synthetic right in 62.5" in page.replace("\N{NO-BREAK SPACE}", " ")
    before = page
    score_answers(files, run.root)
    assert run.report.read_text() == before  # the same files, the same bytes
    score_answers(files[:1], run.root)
    assert [one.reader for one in read_record(scores_path(run), ReaderStudy).readers] == ["AB"]
    assert summary_of(run).reader_study == read_record(scores_path(run), ReaderStudy)


def test_a_report_stage_that_runs_again_keeps_scores_and_slices(tmp_path: Path) -> None:
    run, _ = scored(tmp_path)
    plain = summary_of(run).model_copy(update={"reader_slices": None, "reader_study": None})
    assert with_reader_study(run, plain) == summary_of(run)


def test_answers_are_sorted_by_the_key(tmp_path: Path) -> None:
    run, _ = scored(tmp_path)
    key = key_of(run)
    reading = reading_of([answers(key, wrong=3, seed=5)], key)
    assert (reading.said_synthetic[0] != reading.synthetic).tolist() == [i < 3 for i in range(len(key.items))]
    assert (reading.said_tumour[0] == reading.tumour).all()
    assert reading.confidence[0].tolist() == [1 + i % 5 for i in range(len(key.items))]
    assert reading.groups == tuple(item.group for item in key.items)


def without(told: dict[str, object], place: int) -> dict[str, object]:
    kept = [answer for i, answer in enumerate(told["answers"]) if i != place]  # type: ignore[arg-type]
    return {**told, "answers": kept}


def changed(told: dict[str, object], **changes: object) -> dict[str, object]:
    first, *rest = told["answers"]  # type: ignore[misc]
    return {**told, "answers": [{**first, **changes}, *rest]}


BROKEN: dict[str, tuple[Callable[[dict[str, object]], object], str]] = {
    "no JSON": (lambda _: "answers: 1", "not the JSON that the page exports"),
    "nothing": (lambda _: "", "not the JSON that the page exports"),
    "a list": (lambda _: [], "not the JSON that the page exports"),
    "half a file": (lambda told: json.dumps(told)[:-30], "not the JSON that the page exports"),
    "another kind": (lambda told: {**told, "kind": "x"}, "kind is not what the page exports"),
    "a later version": (lambda told: {**told, "version": 2}, "version is not what the page exports"),
    "no reader": (lambda told: {k: v for k, v in told.items() if k != "reader"}, "reader is missing"),
    "a key more": (lambda told: {**told, "patient": "x"}, "no export has patient"),
    "control characters": (lambda told: {**told, "reader": "A\x1bB"}, "reader is not what the page exports"),
    "a long name": (lambda told: {**told, "reader": "A" * 61}, "reader is not what the page exports"),
    "text for a number": (lambda told: changed(told, confidence="5"), "answers.0.confidence is not what"),
    "confidence 0": (lambda told: changed(told, confidence=0), "answers.0.confidence is not what"),
    "confidence 6": (lambda told: changed(told, confidence=6), "answers.0.confidence is not what"),
    "a third origin": (lambda told: changed(told, origin="fake"), "answers.0.origin is not what"),
    "a path as an item": (lambda told: changed(told, item="../item-01"), "answers.0.item is not what"),
    "an unknown slice": (lambda told: changed(told, item="item-99"), "this study has no item-99"),
    "one missing": (lambda told: without(told, 0), "1 of 40 slices have no answer"),
    "none at all": (lambda told: {**told, "answers": []}, "40 of 40 slices have no answer"),
    "one twice": (lambda told: {**told, "answers": [*told["answers"], told["answers"][0]]}, "answered twice"),
    "another run": (lambda told: {**told, "study": "0" * 16}, "it answers study 0000000000000000"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = finished_run(tmp_path_factory.mktemp("reader") / "run")
    write_record(made.summary, with_reader_study(made, summary_of(made)))
    return made


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_readers_is_refused_by_name_and_nothing_is_written(
    tmp_path: Path, run: RunDir, what: str
) -> None:
    spoil, said = BROKEN[what]
    good = answers(key_of(run), reader="good").model_dump(mode="json")
    bad = saved(tmp_path, "bad.json", spoil(answers(key_of(run), reader="bad", seed=2).model_dump(mode="json")))
    with pytest.raises(ContractError) as raised:
        score_answers([saved(tmp_path, "good.json", good), bad], run.root)
    text = str(raised.value)
    assert said in text
    assert str(bad) in text
    assert "good.json" not in text
    assert re.search(r"export|page", text)  # what to do
    assert "pydantic" not in text
    assert not scores_path(run).exists()
    assert summary_of(run).reader_study is None


def test_a_huge_file_is_not_read_whole(tmp_path: Path, run: RunDir) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES * 50)
    with pytest.raises(ContractError, match="larger than"):
        score_answers([path], run.root)
    with pytest.raises(ContractError, match="larger than"):
        parse_answers(b" " * (MOST_BYTES + 1), name="x")


@pytest.mark.parametrize(
    ("names", "seeds", "twice"),
    [
        (("AB", "ab "), (1, 2), True),  # one who typed the same name in another way
        (("", ""), (1, 1), True),  # one file given twice
        (("", ""), (1, 2), False),
        (("AB", "CD"), (1, 1), False),
        (("AB", ""), (1, 1), False),
    ],
)
def test_a_reader_counts_once(run: RunDir, names: tuple[str, str], seeds: tuple[int, int], twice: bool) -> None:
    key = key_of(run)
    told = [(f"{i}.json", answers(key, reader=n, seed=s)) for i, (n, s) in enumerate(zip(names, seeds, strict=True))]
    found = [str(violation) for violation in check_answers(told, key)]
    assert bool(found) is twice
    if twice:
        (said,) = found
        assert said == (
            "1.json: reader twice: the same reader as in 0.json; name each reader's answers once, or, of two people, "
            "change the name in one of the files"
        )


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, run: RunDir) -> None:
    told = answers(key_of(run)).model_dump(mode="json")
    files = [saved(tmp_path, "a.json", "{"), saved(tmp_path, "b.json", changed(told, confidence=9, origin=1))]
    with pytest.raises(ContractError) as raised:
        score_answers(files, run.root)
    assert len(raised.value.violations) == 3


def test_runs_without_a_study_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        score_answers([], tmp_path)
    with pytest.raises(ConfigError, match="holds no finished run"):
        draw_again(tmp_path)
    bare = finished_run(tmp_path / "bare")
    with pytest.raises(ConfigError, match="reader-study draw"):
        score_answers([], bare.root)
    small = finished_run(tmp_path / "small", test=1)
    with pytest.raises(ConfigError, match="too few slices: 8 are needed"):
        draw_again(small.root)


def test_drawing_anew_refuses_the_answers_that_were_there(tmp_path: Path) -> None:
    run, files = scored(tmp_path)
    with pytest.raises(ConfigError, match="--again"):
        draw_again(run.root, most=20)
    summary = draw_again(run.root, most=20, again=True)
    assert summary.reader_slices is not None
    assert len(summary.reader_slices.names) == len(key_of(run).items) == 20
    assert summary.reader_study is None
    assert not scores_path(run).exists()
    assert len(list(run.reader_picture("x").parent.iterdir())) == 20
    assert "told real from synthetic" not in run.report.read_text()
    with pytest.raises(ContractError, match="it answers study"):
        score_answers(files, run.root)


def test_a_page_of_other_slices_than_the_key_is_not_scored(tmp_path: Path) -> None:
    run, files = scored(tmp_path)
    key = key_of(run)
    write_record(key_path(run), key.model_copy(update={"study": "f" * 16}))
    with pytest.raises(ConfigError, match="other slices than its key"):
        score_answers(files, run.root)
    key_path(run).write_text("{}")
    with pytest.raises(ContractError, match="broken run"):
        score_answers(files, run.root)
    run.summary.write_text("{}")
    for fails in (lambda: score_answers(files, run.root), lambda: draw_again(run.root, again=True)):
        with pytest.raises(ConfigError, match=r"summary\.json is not whole, or of another version"):
            fails()


# --- the command line ---


def test_the_command_scores_and_its_exit_codes_tell_a_bad_file_from_a_bad_call(
    tmp_path: Path, augment_mri: Command
) -> None:
    run = finished_run(tmp_path / "run")
    done = augment_mri("reader-study", "draw", run.root)
    assert done.returncode == 0, done.stderr
    assert "40 slices drawn" in done.stderr
    path = saved(tmp_path, "AB.json", answers(key_of(run), wrong=10).model_dump(mode="json"))
    done = augment_mri("reader-study", "score", path, "--run", run.root)
    assert done.returncode == 0, done.stderr
    assert "1 reader, 40 slices: real or synthetic told right in 75.0 % (" in done.stderr
    broken = augment_mri("reader-study", "score", path, saved(tmp_path, "x.json", "{"), "--run", run.root)
    assert broken.returncode == 3
    assert "x.json" in broken.stderr
    missing = augment_mri("reader-study", "score", tmp_path / "none.json", "--run", run.root)
    assert missing.returncode == 2
    assert "none.json cannot be read" in missing.stderr
    for call in ((path,), ("--run", run.root), (path, "--run", tmp_path)):
        assert augment_mri("reader-study", "score", *call).returncode == 2


def test_scoring_needs_no_torch(tmp_path: Path, run: RunDir) -> None:
    path = saved(tmp_path, "AB.json", answers(key_of(run)).model_dump(mode="json"))
    code = (
        "import sys; from pathlib import Path; from flows.reader_study import score_answers; "
        f"score_answers([Path({str(path)!r})], Path({str(run.root)!r})); "
        "print(sorted({'torch', 'monai', 'prefect', 'nibabel', 'pydicom'} & set(sys.modules)))"
    )
    before = summary_of(run)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    write_record(run.summary, before)
    scores_path(run).unlink()
    assert done.stdout.strip() == "[]", done.stderr
