"""The reader study in a real browser: from its start to its file, and that file to its scores."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from reader_records import SIDE, finished_run, key_of

from data_contracts.results import RunSummary
from flows.reader_slices import draw, with_reader_study
from flows.reader_study import score_answers
from flows.report import write_report
from pipeline.formats.raster import read_png
from pipeline.run_dir import RunDir, read_record, write_record

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make install")
axe = pytest.importorskip("axe_playwright_python", reason="no axe-core here: make install")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

N = 8
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
NO_STORAGE = (
    "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('denied', 'SecurityError'); }})"
)
# on a canvas of its own each time: chromium remarks on one that is read again and again
DRAWN = """() => { const shown = document.getElementById("reader-slice"), copy = document.createElement("canvas");
  copy.width = shown.width; copy.height = shown.height;
  const context = copy.getContext("2d");
  context.drawImage(shown, 0, 0);
  return [...context.getImageData(0, 0, copy.width, copy.height).data].filter((_, i) => i % 4 === 0); }"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    made = finished_run(tmp_path_factory.mktemp("reader") / "run")
    summary = read_record(made.summary, RunSummary)
    assert draw(made, summary, most=N) is not None
    write_record(made.summary, with_reader_study(made, summary))
    write_report(made, made.report)
    return made


Open = Callable[..., object]


@pytest.fixture
def opened(browser: object, run: RunDir) -> Iterator[Open]:
    """Open the page in a browser of its own; when the test is over it must have been quiet and asked for nothing."""
    contexts, troubles, requests = [], [], []

    def of(*, script: bool = True, before: str = "", size: dict[str, int] = DESK, scheme: str = "light") -> object:
        context = browser.new_context(java_script_enabled=script, viewport=size, color_scheme=scheme)
        context.set_default_timeout(120_000)
        if before:
            context.add_init_script(before)
        page = context.new_page()
        context.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(run.report.as_uri())
        contexts.append(context)
        return page

    yield of
    for context in contexts:
        context.close()
    assert troubles == []
    assert {url.partition(":")[0] for url in requests} <= {"file", "data", "blob"}
    assert {url for url in requests if url.startswith("file:")} == {run.report.as_uri()}


def answer(page: object, *, origin: str = "real", confidence: int = 3, diagnosis: str = "tumour") -> None:
    for name, value in (("origin", origin), ("confidence", confidence), ("diagnosis", diagnosis)):
        page.check(f'input[name="{name}"][value="{value}"]')
    page.click("#reader-questions button[type=submit]")


def progress(page: object) -> str:
    return str(page.inner_text("#reader-progress"))


def saved(page: object, folder: Path) -> Path:
    with page.expect_download() as download:
        page.click("#reader-save")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def shown(page: object, run: RunDir) -> str:
    """Which slice the page shows, by its pixels."""
    pixels = np.array(page.evaluate(DRAWN), np.uint8).reshape(SIDE, SIDE)
    (found,) = [i.item for i in key_of(run).items if np.array_equal(read_png(run.reader_picture(i.item)), pixels)]
    return str(found)


def test_a_reader_answers_all_saves_the_file_and_is_scored(opened: Open, run: RunDir, tmp_path: Path) -> None:
    page, key = opened(), {item.item: item for item in key_of(run).items}
    page.fill("#reader-name", " Öz <b>A</b> ")
    page.click("#reader-begin")
    seen = []
    for i in range(N):
        assert progress(page) == f"Slice {i + 1} of {N}"
        assert page.get_attribute("#reader-slice", "aria-label") == f"Slice {i + 1} of {N}, enlarged"
        page.wait_for_selector("#reader-slice", state="visible")
        item = key[shown(page, run)]
        seen.append(item.item)
        answer(page, origin=item.origin, confidence=1 + i % 5, diagnosis=item.diagnosis)
    path = saved(page, tmp_path)
    told = json.loads(path.read_text())
    assert path.name == f"answers-{key_of(run).study}-z-b-A-b.json"
    assert [one["item"] for one in told["answers"]] == seen
    assert sorted(seen) == sorted(key)
    assert seen != sorted(seen)
    assert told["reader"] == "Öz <b>A</b>"
    study = score_answers([path], run.root)
    assert study.readers[0].accuracy.estimate == study.readers[0].diagnosis_synthetic.estimate == 1
    page.reload()  # now with its scores
    assert "1 reader told real from synthetic right in 100.0" in page.inner_text("#reader-study").replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert page.locator("#reader-study th", has_text="Öz <b>A</b>").count() == 1


def test_the_keyboard_alone_is_enough(opened: Open) -> None:
    page = opened()
    page.focus("#reader-name")
    page.keyboard.press("Enter")
    for i in range(2):
        assert progress(page) == f"Slice {i + 1} of {N}"
        for keys in (
            ("Space",),
            ("Tab", "Space", "ArrowRight", "ArrowRight"),
            ("Tab", "Space", "ArrowDown"),
            ("Enter",),
        ):
            for key in keys:
                page.keyboard.press(key)
    assert page.evaluate("JSON.parse(Object.values(localStorage)[0]).answers.length") == 2
    first = page.evaluate("JSON.parse(Object.values(localStorage)[0]).answers[0]")
    assert (first["origin"], first["confidence"], first["diagnosis"]) == ("real", 3, "no_tumour")


def test_nothing_is_confirmed_before_all_is_answered_and_there_is_no_way_back(opened: Open) -> None:
    page = opened()
    page.click("#reader-begin")
    page.check('input[name="origin"][value="real"]')
    page.click("#reader-questions button[type=submit]")
    assert progress(page) == f"Slice 1 of {N}"
    answer(page)
    assert progress(page) == f"Slice 2 of {N}"
    assert page.locator("#reader-questions :checked").count() == 0
    assert sorted(page.locator("#reader-task button").all_inner_texts()) == ["Confirm", "Pause"]


def test_the_rest_of_the_page_is_hidden_while_slices_are_read(opened: Open) -> None:
    page = opened()
    assert page.is_visible("#verdict")
    page.click("#reader-begin")
    assert not any(page.is_visible(one) for one in ("#verdict", "#diversity", "nav", "header", "footer"))
    page.click("#reader-pause")
    assert not page.is_visible("#reader-slice")
    assert not page.is_visible("#verdict")
    page.click("#reader-continue")
    assert progress(page) == f"Slice 1 of {N}"
    page.click("#reader-pause")
    page.click("#reader-leave")
    assert page.is_visible("#verdict")
    assert page.is_visible("#reader-go-on")


def test_answers_and_half_an_answer_survive_a_reload(opened: Open, tmp_path: Path) -> None:
    page = opened()
    page.fill("#reader-name", "AB")
    page.click("#reader-begin")
    for _ in range(3):
        answer(page)
    page.check('input[name="origin"][value="synthetic"]')
    page.check('input[name="confidence"][value="5"]')
    page.reload()
    assert (
        page.inner_text("#reader-resume p >> nth=0")
        == f"3 of {N} slices are answered. You can go on where you stopped."
    )
    page.click("#reader-go-on")
    assert progress(page) == f"Slice 4 of {N}"
    assert page.is_checked('input[name="origin"][value="synthetic"]')
    assert page.is_checked('input[name="confidence"][value="5"]')
    page.check('input[name="diagnosis"][value="tumour"]')
    page.click("#reader-questions button[type=submit]")
    for _ in range(N - 4):
        answer(page)
    page.reload()
    assert page.inner_text("#reader-resume p >> nth=0") == (
        f"All {N} slices are answered. What is left is to save your answers."
    )
    page.click("#reader-go-on")
    told = json.loads(saved(page, tmp_path).read_text())
    assert [(one["origin"], one["confidence"]) for one in told["answers"]][2:5] == [
        ("real", 3),
        ("synthetic", 5),
        ("real", 3),
    ]


def test_where_nothing_can_be_kept_the_page_says_so_and_works(opened: Open, tmp_path: Path) -> None:
    page = opened(before=NO_STORAGE)
    assert "This browser keeps nothing for this page" in page.inner_text("#reader")
    page.click("#reader-begin")
    for _ in range(N):
        answer(page)
    assert len(json.loads(saved(page, tmp_path).read_text())["answers"]) == N


def test_each_reader_has_an_order_of_his_own_and_a_name_always_the_same(opened: Open) -> None:
    orders = []
    for name in ("AB", "ab", "CD", "", ""):
        page = opened()
        page.fill("#reader-name", name)
        page.click("#reader-begin")
        for _ in range(N):
            answer(page)
        kept = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
        orders.append(tuple(one["item"] for one in kept["answers"]))
    assert orders[0] == orders[1]
    assert len(set(orders)) == 4


def test_another_reader_begins_with_nothing_after_being_asked(opened: Open) -> None:
    page = opened()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.fill("#reader-name", "AB")
    page.click("#reader-begin")
    answer(page)
    page.click("#reader-pause")
    page.click("#reader-leave")
    page.fill("#reader-name", "CD")
    page.click("#reader-begin")
    assert asked == ["Begin anew? What is kept in this browser (1 of 8 answers) is then lost."]
    assert progress(page) == f"Slice 1 of {N}"
    kept = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
    assert (kept["reader"], kept["answers"]) == ("CD", [])
    for _ in range(N):
        answer(page)
    page.click("#reader-anew")
    assert page.is_visible("#reader-start")
    assert not page.is_visible("#reader-go-on")
    assert page.evaluate("localStorage.length") == 0


def test_without_javascript_a_sentence_says_that_the_study_needs_it(opened: Open) -> None:
    page = opened(script=False)
    assert page.is_visible("#reader-off")
    assert not page.is_visible("#reader")
    assert not opened().is_visible("#reader-off")


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_axe_finds_nothing_and_nothing_sticks_out(opened: Open, size: dict[str, int], scheme: str) -> None:
    page = opened(size=size, scheme=scheme)
    page.evaluate((Path(axe.__path__[0]) / "axe.min.js").read_text(encoding="utf-8"))

    def look() -> None:
        result = page.evaluate("() => axe.run(document.getElementById('reader-study'), {resultTypes: ['violations']})")
        assert len(result["passes"]) > 5
        assert [(one["id"], one["nodes"][0]["html"]) for one in result["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")

    look()
    page.click("#reader-begin")
    look()
    scale = page.evaluate("document.getElementById('reader-slice').getBoundingClientRect().width") / SIDE
    assert scale == int(scale) >= 16  # whole pixels of the screen for each of the slice
    assert page.evaluate("getComputedStyle(document.getElementById('reader-slice')).imageRendering") == "pixelated"
    page.click("#reader-pause")
    look()
    page.click("#reader-continue")
    for _ in range(N):
        answer(page)
    look()
