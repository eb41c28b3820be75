"""The report in a real browser: Debian's chromium opens the file itself, as its reader does."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import BaseModel
from report_records import build_summary, full_summary, painted_summary, with_alarms, write_pictures

from data_contracts.results import RuleCount, RunSummary
from flows.pictures import PAIRS, nearest_pairs
from pipeline.run_dir import RunDir
from reports.render import render

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make install")
axe = pytest.importorskip("axe_playwright_python", reason="no axe-core here: make install")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PAPER = {"width": 688, "height": 1017}  # A4 at 96 dots an inch, less the margins of 14 mm that the page sets
SIDE = 16  # pixels of a slice on the sheets of pairs

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></title></style> $\\frac{a}{b}$ {{ 7 * 7 }} "
HOSTILE += "\u202eright to left\u200f " + "x" * 10_000
AS_SHOWN = HOSTILE.replace("\u202e", "[U+202E]").replace("\u200f", "[U+200F]")
OURS = {"diagnosis", "path", "still", "metric", "slice_id", "names"}  # what the program itself says, never a source
SHOWN = ("rule", "example", "warnings", "versions", "config", "sequences", "planes", "telling", "extractor", "preset")


# --- pages ---


def bare() -> RunSummary:
    """A run of which nothing is left but its verdict."""
    absent = ("arms", "fidelity", "memorisation", "training", "pictures", "shortcuts", "warnings")
    return build_summary(**dict.fromkeys(absent, ()))


def spoiled(record: BaseModel) -> BaseModel:
    """The same record with hostile text, after the field's own name, in every field that takes any text."""
    changes = {
        name: _spoiled(name, getattr(record, name), kind.annotation)
        for name, kind in type(record).model_fields.items()
        if name not in OURS
    }
    return record.model_copy(update=changes)


def _spoiled(name: str, value: object, kind: object) -> object:
    if isinstance(value, BaseModel):
        return spoiled(value)
    if isinstance(value, tuple):
        return tuple(_spoiled(name, one, get_args(kind)[0]) for one in value)
    if name == "versions":
        return {f"package {HOSTILE}": f"versions {HOSTILE}"}
    if name == "config":
        return {f"key {HOSTILE}": [f"config {HOSTILE}"]}
    return f"{name} {HOSTILE}" if isinstance(value, str) and kind in (str, str | None) else value


def hostile() -> RunSummary:
    plain = full_summary()
    review = (RuleCount(outcome="review", rule="text", count=3, example="letters"),)
    watched = with_alarms(plain.training[0], stopped=True, best_wrong=2)
    data = plain.data.model_copy(update={"review": review})
    return spoiled(plain.model_copy(update={"data": data, "training": (watched, *plain.training[1:])}))


SUMMARIES = {
    "ordinary": full_summary,
    "painted": lambda: painted_summary(folds=2),
    "bare": bare,
    "hostile": hostile,
}


def grey(pair: int, *, real: bool) -> int:
    """The grey, 0 to 255, of one slice of a pair: no two slices of a sheet have the same."""
    return 20 + 10 * pair + (120 if real else 0)


def draw_pairs(run: RunDir, summary: RunSummary) -> None:
    """Sheets of nearest pairs as a run draws them, each slice of one grey."""
    levels = np.array([[grey(pair, real=real) for real in (False, True)] for pair in range(PAIRS)]) / 127.5 - 1
    made, real = (np.broadcast_to(levels[:, i, None, None, None], (PAIRS, 1, SIDE, SIDE)) for i in (0, 1))
    for picture in summary.pictures:
        if picture.kind == "nearest_pairs":
            distances = np.arange(PAIRS, dtype=np.float32)
            nearest_pairs(
                run,
                picture.fold,
                picture.diagnosis,
                generated=made.astype(np.float32),
                nearest=real.astype(np.float32),
                distances=distances,
            )
            drawn = run.picture(f"{picture.fold}-{picture.diagnosis}-nearest.png")
            drawn.replace(run.root / picture.path)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Where the page of one of SUMMARIES lies, written when it is first asked for."""
    root = tmp_path_factory.mktemp("pages")

    def of(name: str) -> str:
        path = root / name / "report.html"
        if not path.exists():
            summary = SUMMARIES[name]()
            write_pictures(summary, path.parent)
            path.parent.mkdir(exist_ok=True)
            draw_pairs(RunDir(path.parent), summary)
            path.write_text(render(summary=summary, run_root=path.parent), encoding="utf-8")
        return path.as_uri()

    return of


# --- browser ---


@dataclass
class Seen:
    """An open page, and what went on in it that a reader should never meet."""

    page: object
    address: str
    requests: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


Open = Callable[..., Seen]


@pytest.fixture
def opened(browser: object, address: Callable[[str], str]) -> Iterator[Open]:
    """Open a page; when the test is over, the page must have been quiet and have asked for nothing but itself."""
    seen: list[Seen] = []

    def of(name: str, *, size: dict[str, int] = DESK, scheme: str = "light", script: bool = True) -> Seen:
        context = browser.new_context(
            viewport=size, color_scheme=scheme, java_script_enabled=script, reduced_motion="reduce"
        )
        context.set_default_timeout(120_000)  # a busy machine is slow, which is no fault of the page
        now = Seen(context.new_page(), address(name))
        context.on("request", lambda request: now.requests.append(request.url))
        now.page.on("console", lambda message: now.troubles.append(f"{message.type}: {message.text}"))
        now.page.on("pageerror", lambda error: now.troubles.append(str(error)))
        now.page.on("dialog", lambda dialog: (now.troubles.append(dialog.message), dialog.dismiss()))
        now.page.goto(now.address, wait_until="load")
        seen.append(now)
        return now

    yield of
    for one in seen:
        one.page.context.close()
        assert one.requests == [one.address]
        assert one.troubles == []


# --- what is looked at ---

UNFOLD = """() => document.querySelectorAll("details").forEach((e) => { e.open = true; })"""
BEYOND = """() => {
  const width = document.documentElement.clientWidth;
  const found = [...document.querySelectorAll("body *")].filter((e) => {
    const box = e.getBoundingClientRect();
    return box.right > width + 1 && box.width > 1 && !e.closest("svg, thead, .skip");
  });
  return {window: width, page: document.documentElement.scrollWidth,
          beyond: found.slice(0, 5).map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 60)}`)};
}"""


def assert_fits(seen: Seen) -> None:
    measured = seen.page.evaluate(BEYOND)
    assert measured["beyond"] == []
    assert measured["page"] == measured["window"]


@pytest.mark.parametrize("name", ["ordinary", "painted", "bare"])
def test_the_page_opens_in_silence_with_every_picture(opened: Open, name: str) -> None:
    seen = opened(name)
    assert seen.page.title().endswith("augment-mri report")
    broken = "() => [...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.alt)"
    assert seen.page.evaluate(broken) == []
    assert seen.page.evaluate("document.images.length > 5") == (name != "bare")


@pytest.mark.parametrize("name", ["ordinary", "painted", "bare"])
def test_every_link_leads_to_its_place(opened: Open, name: str) -> None:
    page = opened(name).page
    nowhere = """() => [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href"))
      .filter((link) => !link.startsWith("#") || !document.getElementById(link.slice(1)))"""
    assert page.evaluate(nowhere) == []
    entries = page.locator("nav a")
    sections = page.locator("main > section").evaluate_all("(all) => all.map((e) => '#' + e.id)")
    assert [entry.get_attribute("href") for entry in entries.all()] == [one for one in sections if one != "#verdict"]
    for entry in entries.all():
        entry.click()
        link = entry.get_attribute("href")
        assert page.evaluate("location.hash") == link
        place = """(id) => { const top = document.querySelector(id).getBoundingClientRect().top;
          const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
          return top > -2 && (top < 40 || end && top < innerHeight); }"""
        assert page.evaluate(place, link), f"{link} is not in sight"


@pytest.mark.parametrize(
    ("name", "scheme", "size"),
    [
        ("ordinary", "light", DESK),
        ("ordinary", "dark", PHONE),
        ("painted", "dark", DESK),
        ("painted", "light", PHONE),
    ],
)
def test_axe_finds_nothing_serious(opened: Open, name: str, scheme: str, size: dict[str, int]) -> None:
    page = opened(name, scheme=scheme, size=size).page
    page.evaluate(UNFOLD)
    # quicker, and nothing is missed: rows of a table are made alike, and inside of a figure axe sees no text
    alike = "() => document.querySelectorAll('tbody tr:nth-child(n + 4), svg > *').forEach((e) => e.remove())"
    page.evaluate(alike)
    page.evaluate((Path(axe.__path__[0]) / "axe.min.js").read_text(encoding="utf-8"))
    result = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 15, "axe looked at nothing"
    assert [
        (found["id"], found["help"], [node["html"][:120] for node in found["nodes"][:3]])
        for found in result["violations"]
        if found["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize("name", ["ordinary", "painted", "bare"])
def test_a_phone_need_not_scroll_sideways(opened: Open, name: str) -> None:
    seen = opened(name, size=PHONE)
    assert_fits(seen)
    seen.page.evaluate(UNFOLD)
    assert_fits(seen)


# --- paper ---

MARK = """() => {
  let n = 0;
  const mark = (part) => {
    const link = document.createElement("a");
    link.href = `https://mark.invalid/${n}/`;
    link.style.all = "unset";  // looks like what it marks
    link.append(...part.childNodes);
    if (!link.textContent.trim()) link.append("\\u00a0");
    part.append(link);
  };
  return [...document.querySelectorAll("table")].map((table) => {
    const numbers = {rows: [], folded: Boolean(table.closest("details"))};
    const title = table.caption || table.closest("details").querySelector("summary");
    for (const row of [title, ...table.rows]) {
      if (row.parentElement.tagName !== "THEAD") {  // headings are repeated on every page
        for (const part of row.cells || [row]) mark(part);
        numbers.rows.push(n++);
      }
    }
    return numbers;
  });
}"""


def marks_on_pages(pdf: bytes) -> list[set[int]]:
    """Of each page of a PDF, the numbers of the marked parts that have any text on it.

    Their text was made a link (MARK); chromium writes links as plain annotations of the page they are on.
    """
    objects = dict(re.findall(rb"^(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL | re.MULTILINE))
    found = []
    for text in objects.values():
        if re.search(rb"/Type /Page\b", text):
            listed = re.search(rb"/Annots \[?(.*?)[\]\n]", text, re.DOTALL)
            notes = re.findall(rb"(\d+) 0 R", listed[1]) if listed else []
            marks = [re.search(rb"https://mark\.invalid/(\d+)/", objects[note]) for note in notes]
            found.append({int(mark[1]) for mark in marks if mark})
    return found


@pytest.mark.parametrize("name", ["ordinary", "painted"])
def test_on_paper_no_table_is_cut(opened: Open, name: str) -> None:
    """All of a table is on one page; of a long one, which is folded on the screen, all of each row."""
    seen = opened(name, size=PAPER)
    seen.page.emulate_media(media="print")
    assert_fits(seen)
    hidden = "() => [...document.querySelectorAll('details > *')].filter((e) => !e.checkVisibility()).length"
    assert seen.page.evaluate(hidden) == 0, "what is folded on the screen is open on paper"
    listed = seen.page.evaluate(MARK)
    assert_fits(seen)  # else chromium would print everything smaller
    pdf = seen.page.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert {tuple(round(float(side)) for side in size) for size in sizes} == {(595, 842)}
    pages = marks_on_pages(pdf)
    assert len(pages) > 3
    on = {mark: [i for i, page in enumerate(pages) if mark in page] for one in listed for mark in one["rows"]}
    assert [mark for mark, where in on.items() if not where] == [], "what is not on paper"
    assert [mark for mark, where in on.items() if len(where) > 1] == [], "what is cut in two"
    assert len(listed) > 10
    assert any(one["folded"] for one in listed)
    for one in listed:
        title, first, *others = (on[mark] for mark in one["rows"])
        assert first == title, "a title stands apart from its table"
        assert one["folded"] or all(where == title for where in others), "a short table is cut"


# --- without JavaScript ---


@pytest.mark.parametrize("name", ["ordinary", "bare"])
def test_all_can_be_read_without_javascript(opened: Open, name: str) -> None:
    with_script, without = opened(name).page, opened(name, script=False).page
    for tool in with_script.locator(".compare").all():
        tool.evaluate("(e) => { e.hidden = true; }")
    assert without.locator("main").inner_text() == with_script.locator("main").inner_text()
    unseen = """() => [...document.querySelectorAll("main > section, h2, h3, table, figure")]
      .filter((e) => !e.closest("details") && !e.checkVisibility()).map((e) => e.outerHTML.slice(0, 80))"""
    assert without.evaluate(unseen) == []
    assert without.locator(".compare").count() == (2 if name == "ordinary" else 0)
    assert not any(tool.is_visible() for tool in without.locator(".compare").all())
    for folded in without.locator("details").all():
        folded.locator("summary").click()
        assert folded.locator("> :not(summary)").first.is_visible()


# --- hostile text ---


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_hostile_text_is_text_and_does_not_move_the_page(opened: Open, size: dict[str, int]) -> None:
    seen = opened("hostile", size=size)
    text = seen.page.locator("body").text_content()
    for name in SHOWN:
        said = f"{name} {AS_SHOWN}"
        assert said in text or said.replace("\\", "\\\\").replace('"', '\\"') in text, f"{name} is not shown as it is"
    seen.page.evaluate(UNFOLD)
    assert_fits(seen)
    assert seen.page.locator("[src=x], [onerror]").count() == 0
    policy = seen.page.locator("meta[http-equiv]").get_attribute("content")
    assert seen.page.locator("script").count() == policy.count("'sha256-") > 0


def test_text_that_turns_the_direction_ends_where_it_stands(opened: Open) -> None:
    """A mark that says "from here right to left" must not turn the page's own words about."""
    page = opened("hostile").page
    turned = """() => {
      const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
      const turned = [];
      for (let node; (node = walker.nextNode()); ) {
        if (node.data.includes("\\u202e") || !/[a-z]{2}/i.test(node.data)) continue;
        const at = node.data.search(/[a-z]{2}/i);
        const [first, second] = [0, 1].map((i) => {
          const letter = document.createRange();
          letter.setStart(node, at + i);
          letter.setEnd(node, at + i + 1);
          return letter.getBoundingClientRect();
        });
        if (first.width && first.top === second.top && second.left < first.left) turned.push(node.data.slice(0, 60));
      }
      return turned;
    }"""
    assert page.evaluate(turned) == []


# --- swipe to compare ---

PIXEL = """(canvas) => {
  const one = new OffscreenCanvas(1, 1).getContext("2d");
  one.drawImage(canvas, canvas.width / 2, canvas.height / 2, 1, 1, 0, 0, 1, 1);
  return [...one.getImageData(0, 0, 1, 1).data];
}"""


def shown_greys(tool: object) -> tuple[int, int]:
    """The grey of the made and of the real slice that a swipe shows; both are of one grey all over."""
    return tuple(tool.locator(f".{side} canvas").evaluate(PIXEL)[0] for side in ("left", "right"))


def test_swipe_compares_each_pair_by_keyboard_and_by_hand(opened: Open) -> None:
    page = opened("ordinary").page
    tool = page.locator(".compare").first
    stage, slider, choice = tool.locator(".stage"), tool.get_by_role("slider"), tool.get_by_role("combobox")
    for pair in range(PAIRS):
        choice.select_option(index=pair)
        assert shown_greys(tool) == pytest.approx((grey(pair, real=False), grey(pair, real=True)), abs=1)
        assert stage.get_attribute("aria-label").startswith(f"Pair {pair + 1} of {PAIRS}, tumour slices: left of")
    assert slider.input_value() == "50"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "55"
    left = tool.locator(".side.left")
    assert left.evaluate("(e) => getComputedStyle(e).clipPath") == "inset(0px 45% 0px 0px)"
    page.keyboard.press("Home")
    assert left.evaluate("(e) => getComputedStyle(e).clipPath") == "inset(0px 100% 0px 0px)"
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 20)
    page.mouse.up()
    assert slider.input_value() == "80"
    page.mouse.move(box["x"], box["y"] + 20)
    assert slider.input_value() == "80", "it moves only while it is held"
