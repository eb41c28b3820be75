"""What the report says of readers, whole sentences in each direction, its table, and its section of the page."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image
from reader_records import SIDE, scores, slices, study
from report_records import build_summary

from data_contracts.results import ReaderSlices, ReaderStudy, RunSummary
from reports import readers, scripts
from reports.numbers import NBSP
from reports.render import render, script_names
from reports.wording import readers as words

NO_FIGURES = {"arms": (), "fidelity": (), "training": (), "pictures": ()}


def plain(text: str) -> str:
    return text.replace(NBSP, " ")


def several(*, accuracy: tuple[float, float, float] = (0.55, 0.46, 0.64), **changes: object) -> ReaderStudy:
    three = (scores(reader="AB"), scores((0.7, 0.55, 0.82)), scores((0.4, 0.26, 0.55), reader="CD"))
    return study(scores(accuracy), three, **changes)


# --- to who reads ---


def test_the_invitation_says_what_is_asked_and_how_long_it_takes() -> None:
    assert plain(words.invitation(slices(40))) == (
        "40 slices of this run are shown one at a time, in random order: half of them real and held out from all "
        "training, half synthetic. Say of each whether it is real or synthetic, whether it shows a tumour, and how "
        "sure you are. It takes about 10 minutes. Nothing is sent anywhere: at the end you save a small file."
    )
    assert "about 3 minutes" in plain(words.invitation(slices(9)))


def test_of_painted_slices_the_page_says_what_synthetic_means() -> None:
    blind = (
        "Answer before you look at the other pictures of this page; while you answer, the rest of it is hidden. There "
        "is no way back to a slice that you have confirmed."
    )
    assert words.blindness(painted=False) == blind
    assert words.blindness(painted=True) == (
        f"{blind} Synthetic slices of this run are real ones into which a lesion was painted, or out of which one was: "
        "call a slice synthetic if you think that any part of it is."
    )


def test_texts_of_the_script_have_the_places_that_it_fills() -> None:
    texts = words.page_texts()
    script = scripts.read(["reader"])[0].text
    assert set(texts) == {"progress", "picture", "answered", "finished", "begin", "other", "forget", "unsaved"}
    assert all(f"told.texts.{name}" in script for name in texts)
    assert [("{i}" in text, "{n}" in text) for text in (texts["progress"], texts["picture"], texts["answered"])] == [
        (True, True)
    ] * 3
    assert "{n}" in texts["finished"]
    assert "{i}" in texts["forget"]


# --- what readers could tell ---


def test_one_reader_who_could_not_tell() -> None:
    told = study()
    assert plain(words.origin_reading(told)) == (
        "1 reader told real from synthetic right in 55.0 % (40.0 to 69.0) of 40 slices; guessing gives 50 %. So "
        "synthetic and real slices were not told apart better than chance by these readers."
    )
    assert plain(words.missed_reading(told)) == (
        "With 40 slices a true accuracy below 72 % would have been missed in more than one study of five. Readers "
        "with more experience, or who see whole scans, may tell more."
    )
    assert words.readers_level(told) == "unknown"


def test_readers_who_could_tell() -> None:
    told = several(accuracy=(0.73, 0.61, 0.82))
    assert plain(words.origin_reading(told)) == (
        "3 readers told real from synthetic right in 73.0 % (61.0 to 82.0) of 40 slices, on average; guessing gives "
        "50 %. So they could tell them apart better than by chance: something in the synthetic slices gives them away "
        "to the eye."
    )
    assert words.missed_reading(told) == words.single_readers(told) == ""
    assert words.readers_level(told) == "caution"


def test_readers_who_took_it_the_wrong_way_round() -> None:
    told = several(accuracy=(0.31, 0.22, 0.42))
    assert plain(words.origin_reading(told)) == (
        "3 readers told real from synthetic right in 31.0 % (22.0 to 42.0) of 40 slices, on average; guessing gives "
        "50 %. So they were wrong more often than by chance: they saw a difference and took it the wrong way round, "
        "which is no sign that the slices look real."
    )
    assert words.missed_reading(told) == ""
    assert words.readers_level(told) == "caution"


@pytest.mark.parametrize("edge", [(0.6, 0.5, 0.7), (0.4, 0.3, 0.5)])
def test_an_interval_that_ends_at_a_half_tells_nothing(edge: tuple[float, float, float]) -> None:
    assert "not told apart better than chance" in words.origin_reading(study(scores(edge)))


def test_too_few_answers_say_nothing() -> None:
    assert words.missed_reading(study(detectable_accuracy=None)) == (
        "With so few answers no accuracy at all could have been shown: how real they look stays unknown."
    )


def test_single_readers_are_told_with_the_warning_of_luck() -> None:
    assert plain(words.single_readers(several())) == (
        "1 of 3 readers alone did better than guessing, by the whole interval; of many readers one may by luck."
    )
    assert words.single_readers(study()) == ""
    nobody = study(scores((0.5, 0.4, 0.6)), (scores(reader="AB"), scores(reader="CD")))
    assert words.single_readers(nobody) == ""


@pytest.mark.parametrize(
    ("real", "synthetic", "follows"),
    [
        (
            (0.9, 0.8, 0.95),
            (0.6, 0.5, 0.79),
            "So synthetic slices show their diagnosis less clearly than real ones do.",
        ),
        (
            (0.6, 0.5, 0.7),
            (0.9, 0.8, 0.95),
            "So synthetic slices show their diagnosis more clearly than real ones do: they may be too easy.",
        ),
        (
            (0.9, 0.8, 0.95),
            (0.8, 0.7, 0.85),
            "The two intervals overlap, so no difference is shown, and none is ruled out.",
        ),
    ],
)
def test_the_diagnosis_in_real_and_in_synthetic_slices(
    real: tuple[float, float, float], synthetic: tuple[float, float, float], follows: str
) -> None:
    told = study(scores(diagnosis_real=real, diagnosis_synthetic=synthetic))
    shares = [f"{100 * point:.1f} % ({100 * low:.1f} to {100 * high:.1f})" for point, low, high in (real, synthetic)]
    assert plain(words.diagnosis_reading(told)) == (
        f"The diagnosis was told right in {shares[0]} of real slices, and in {shares[1]} of synthetic ones, held "
        f"against what these were made to show. {follows}"
    )


def test_agreement_of_none_two_and_more() -> None:
    assert words.agreement_reading(study()) == "With one reader nothing is known of how far readers agree."
    two = study(scores(), (scores(reader="AB"), scores(reader="CD")))
    said = (
        "Agreement between readers ({kappa}, 0 is chance, 1 is whole), of real or synthetic: 0.12 (95 % interval "
        "\N{MINUS SIGN}0.05 to 0.30); of the diagnosis: 0.80 (95 % interval 0.61 to 0.95)."
    )
    assert plain(words.agreement_reading(two)) == said.format(kappa="Cohen’s kappa")
    assert plain(words.agreement_reading(several())) == said.format(kappa="Fleiss’ kappa")
    assert plain(words.agreement_reading(several(agreement_origin=None))) == (
        "Agreement between readers (Fleiss’ kappa, 0 is chance, 1 is whole), of real or synthetic: not defined, for "
        "all gave one and the same answer to every slice; of the diagnosis: 0.80 (95 % interval 0.61 to 0.95)."
    )


ENDS = (
    "That of an AUC is Newcombe’s, those of the mean AUC and of kappa are by bootstrap. All are over slices and speak "
    "of these readers alone."
)


def test_the_basis_says_whose_slices_and_which_intervals() -> None:
    assert plain(words.basis(study(), known=True, painted=False)) == (
        "Real: 20 slices of 20 subjects, held out for testing. Synthetic: 20 slices. None was picked. Intervals of "
        f"shares are Wilson’s; each slice stands by itself. {ENDS}"
    )
    assert plain(words.basis(several(), known=False, painted=False)) == (
        "Real: 20 slices of 20 image groups, held out for testing. Synthetic: 20 slices. None was picked. Intervals of "
        f"shares are Wilson’s, of the mean at the effective number of answers: those to one slice rise and fall "
        f"together. {ENDS}"
    )
    shared = study(n_real_groups=9, n_synthetic_groups=17)
    assert plain(words.basis(shared, known=True, painted=True)) == (
        "Real: 20 slices of 9 subjects, held out for testing. Synthetic: 20 slices painted over those of 17 subjects. "
        "None was picked. Intervals of shares are Wilson’s, at the effective number of answers: slices of one patient "
        "rise and "
        f"fall together, and so do all answers to one slice. {ENDS}"
    )


def test_the_table_has_each_reader_and_all_together() -> None:
    table = readers.readers_table(several())
    assert [row[0] for row in table.rows] == ["AB", f"Reader{' '}2", "CD", "Mean of all readers"]
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert [plain(cell) for cell in table.rows[1]] == [
        "Reader 2",
        "70.0 % (55.0 to 82.0)",
        "0.580 (0.410 to 0.730)",
        "60.0 % (39.0 to 78.0)",
        "50.0 % (30.0 to 70.0)",
        "90.0 % (70.0 to 97.0)",
        "80.0 % (58.0 to 92.0)",
    ]
    assert len(readers.readers_table(study()).rows) == 1  # of one reader the mean is that reader


# --- the section of the page ---


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def by_id(self, name: str) -> dict[str, str]:
        (found,) = [attributes for _, attributes in self.tags if attributes.get("id") == name]
        return found


@pytest.fixture
def run_root(tmp_path: Path) -> Path:
    folder = tmp_path / readers.FOLDER
    folder.mkdir(parents=True)
    for i, name in enumerate(slices().names):
        Image.new("L", (SIDE, SIDE), 5 * i).save(folder / f"{name}.png")
    return tmp_path


def page(run_root: Path, **changes: object) -> str:
    return render(summary=build_summary(**{**NO_FIGURES, "reader_slices": slices(), **changes}), run_root=run_root)


def test_a_run_without_a_study_has_no_section_and_no_script(run_root: Path) -> None:
    html = page(run_root, reader_slices=None)
    assert 'id="reader' not in html
    assert "#reader" not in html
    assert "reader" not in script_names(build_summary())
    assert RunSummary.model_validate_json(build_summary().model_dump_json()).reader_slices is None


def test_the_section_holds_the_study_and_says_what_it_needs(run_root: Path) -> None:
    html = page(run_root)
    found = Page(html)
    assert found.by_id("reader-study") == {"id": "reader-study"}
    assert ("a", {"href": "#reader-study"}) in found.tags
    told = json.loads(found.by_id("reader")["data-told"])
    assert (told["study"], told["size"], told["columns"]) == ("0123456789abcdef", SIDE, readers.COLUMNS)
    assert told["names"] == list(slices().names)
    assert "hidden" in found.by_id("reader")  # until the script opens it
    assert "hidden" not in found.by_id("reader-off")
    assert "The reader study needs JavaScript, which is switched off in this browser." in found.text
    assert "Never type a patient’s name, number or date of birth." in found.text
    assert html == page(run_root)


def test_every_answer_has_a_label_and_every_group_a_legend(run_root: Path) -> None:
    found = Page(page(run_root))
    radios = [attributes for tag, attributes in found.tags if tag == "input" and attributes.get("type") == "radio"]
    assert [(one["name"], one["value"]) for one in radios if one["name"] in ("origin", "confidence", "diagnosis")] == [
        ("origin", "real"),
        ("origin", "synthetic"),
        *(("confidence", str(i)) for i in range(1, 6)),
        ("diagnosis", "tumour"),
        ("diagnosis", "no_tumour"),
    ]
    assert [tag for tag, _ in found.tags].count("legend") == 3
    assert {one["name"] for one in radios if "required" in one} == {"origin", "confidence", "diagnosis"}


def test_results_stand_before_the_invitation_and_names_cannot_break_the_page(run_root: Path) -> None:
    hostile = '<script>alert(1)</script>" \N{RIGHT-TO-LEFT OVERRIDE}'
    html = page(run_root, reader_study=study(scores(), (scores(reader=hostile), scores(reader="CD"))))
    found = Page(html)
    assert hostile.replace("\N{RIGHT-TO-LEFT OVERRIDE}", "[U+202E]") in found.text
    assert "<script>alert" not in html
    text = plain(found.text)
    assert text.index("2 readers told real from synthetic") < text.index("40 slices of this run are shown")
    assert "Who still wants to take part should not read the results above first." in found.text


@pytest.mark.parametrize("spoiled", ["missing", "larger", "colour", "no picture", "elsewhere"])
def test_pictures_that_are_not_as_they_were_are_named_and_the_page_still_renders(run_root: Path, spoiled: str) -> None:
    path = run_root / readers.FOLDER / "item-07.png"
    path.unlink()
    names = slices().names
    if spoiled == "larger":
        Image.new("L", (SIDE + 1, SIDE + 1)).save(path)
    elif spoiled == "colour":
        Image.new("RGB", (SIDE, SIDE)).save(path)
    elif spoiled == "no picture":
        path.write_text("<svg onload='alert(1)'>")
    elif spoiled == "elsewhere":
        Image.new("L", (SIDE, SIDE)).save(run_root.parent / "outside.png")
        names = ("../../../outside", *names[:6], *names[7:])
    html = page(run_root, reader_slices=ReaderSlices(study="0123456789abcdef", size=SIDE, names=names))
    assert "The study cannot be done here: its pictures are missing from the run folder." in html
    assert 'id="reader-sheet"' not in html


def test_a_sheet_that_is_too_large_is_left_out(run_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "BUDGET", 100)
    assert "The study cannot be done here: left out to keep this page small" in page(run_root)
