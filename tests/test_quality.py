"""Each check finds the fault it is for, on its side of its threshold, and leaves sound slices alone."""

from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, zoom

from data_contracts.manifest import QUARANTINED, REVIEW
from pipeline.scans import headness
from pipeline.scans.headness import signs_against
from pipeline.scans.normalise import Geometry, Landmarks, Measured, NormaliseConfig, measure
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.scans.quality import Examined, Finding, examine, foreground

DATA = Path(__file__).parents[2] / "shared" / "data"
BRAINS, FRUIT, LGG = DATA / "brain_mri_253", DATA / "dicom" / "odd" / "fruit_labelled_mr", DATA / "lgg_flair"
# letters beside the head, seen by eye
LETTERED = (
    *("no/15 no.jpg", "no/24 no.jpg", "no/33 no.jpg", "no/44no.jpg", "no/45 no.jpg", "no/N11.jpg", "no/N15.jpg"),
    *("no/No14.jpg", "yes/Y103.jpg", "yes/Y112.JPG", "yes/Y14.jpg", "yes/Y17.jpg", "yes/Y180.jpg", "yes/Y192.JPG"),
    *("yes/Y250.jpg", "yes/Y46.jpg", "yes/Y52.jpg", "yes/Y89.JPG"),
)


def draw_head(height: int = 160, width: int = 128, *, seed: int = 0) -> np.ndarray:
    """Scalp, dark skull and folded brain in an upright ellipse on black: float64 (height, width) in [0, 1]."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    far = np.hypot(x / 0.85, y / 0.85)
    folds = gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), height / 60)
    brain = 0.5 + 0.12 * folds / folds.std()
    return np.select([far > 1, far > 0.93, far > 0.87], [0.0, 0.95, 0.05], brain).clip(0, 1)


@pytest.fixture
def head() -> np.ndarray:
    return (draw_head() * 255).astype(np.uint8)


def rules(examined: Examined, outcome: str | None = None) -> list[str]:
    return [finding.rule for finding in examined.findings if outcome in (None, finding.outcome)]


def only(examined: Examined) -> Finding:
    assert len(examined.findings) == 1, examined.findings
    assert any(sign.isdigit() for sign in examined.findings[0].detail)
    return examined.findings[0]


def lettered(text: str, at: tuple[int, int], *, size: int = 10) -> np.ndarray:
    picture = Image.fromarray((draw_head() * 255).astype(np.uint8))
    ImageDraw.Draw(picture).text(at, text, fill=255, font_size=size)
    return np.asarray(picture)


def crop_of(core: np.ndarray, *, tall: float = 0.95, wide: float = 0.75, box: bool = False) -> Measured:
    """A crop (48, 48) on the scale [0, 1] with an elliptic (or box-shaped) outline, filled with `core`."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    inside = np.maximum(abs(x) / wide, abs(y) / tall) < 1 if box else (x / wide) ** 2 + (y / tall) ** 2 < 1
    crop = np.where(inside, core, 0).astype(np.float32)
    return Measured(crop, Landmarks(0.0, 0.5, 1.0), Geometry(height=200, width=200, top=20, left=20, side=160))


def folded(spread: float = 0.12, sigma: float = 1.2, seed: int = 1) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(48, 48)), sigma) if sigma else None
    noise = np.random.default_rng(seed).normal(size=(48, 48)) if noise is None else noise
    return np.asarray(0.5 + spread * noise / noise.std())


@pytest.mark.parametrize("seed", range(3))
def test_sound_slices_pass_whatever_their_values_and_size(seed: int) -> None:
    drawn = draw_head(seed=seed)
    centred = np.where(drawn > 0, (drawn - 0.5) / 0.15, 0)  # z-scored, with zero outside the head
    for values in (
        (drawn * 255).astype(np.uint8),
        (drawn * 60000).astype(np.uint16),
        (drawn * 4000 - 3000).astype(np.int16),
        drawn.astype(np.float32) * 1e-4,
        centred,
        draw_head(64, 56, seed=seed),
        draw_head(512, 400, seed=seed),
    ):
        examined = examine(values)
        assert examined.findings == ()
        assert examined.usable
    assert examine(centred).head is not None


def test_findings_do_not_depend_on_grey_scale_dtype_or_size(head: np.ndarray) -> None:
    wide = zoom(head, (1, 1.7), order=1)
    text = lettered("R 12", (2, 2))
    for pixels, rule in ((wide, "not_a_head"), (text, "burned_in_text")):
        for values in (pixels, pixels.astype(np.uint16) * 200, pixels.astype(np.float64) / 77 - 3):
            assert rules(examine(values)) == [rule]
        assert rules(examine(zoom(pixels, 2, order=1))) == [rule]


def test_the_head_is_what_normalisation_measures(head: np.ndarray) -> None:
    examined, expected = examine(head), measure(head, NormaliseConfig(size=48))
    assert examined.head is not None
    np.testing.assert_array_equal(examined.head.crop, expected.crop)
    assert examined.head.geometry == expected.geometry
    assert examined.head.landmarks == expected.landmarks


def test_fatal_faults_stand_alone(head: np.ndarray) -> None:
    broken = head.astype(np.float32)
    broken[3, 3] = np.nan
    speck = np.zeros((80, 64), np.float32)
    speck[40:44, 30:34] = np.arange(16).reshape(4, 4) + 50
    air = np.random.default_rng(0).normal(10, 3, (80, 64))
    faults = (
        ("too_small", head[:20]),
        ("too_elongated", np.tile(head, (4, 1))),
        ("not_finite", broken),
        ("not_finite", head * 1e300),
        ("noise", air),
        ("blank", np.zeros((80, 64))),
        ("blank", (head > 0) * 4),
        ("blank", speck),
    )
    for rule, pixels in faults:
        examined = examine(pixels)
        assert only(examined).rule == rule
        assert only(examined).outcome == QUARANTINED
        assert not examined.usable
        assert examined.head is None


def test_each_fatal_check_turns_at_its_threshold(head: np.ndarray) -> None:
    assert rules(examine(head, min_side=128)) == []
    assert rules(examine(head, min_side=129)) == ["too_small"]
    assert "too_elongated" not in rules(examine(np.zeros((96, 32))))
    assert rules(examine(np.zeros((97, 32)))) == ["too_elongated"]
    for levels, found in ((15, True), (16, False)):
        steps = np.floor(draw_head() * (levels - 1) / draw_head().max() + 0.5)
        assert (rules(examine(steps)) == ["blank"]) is found
    inside = np.flatnonzero(foreground(head))
    for share, found in ((0.45, False), (0.55, True)):
        full = head.copy()
        full.ravel()[inside[: int(share * inside.size)]] = 255
        assert (rules(examine(full)) == ["saturated"]) is found
    grain = np.random.default_rng(0).normal(size=head.shape)
    smooth = gaussian_filter(grain, 3)
    for weight, found in ((1.0, False), (2.2, True)):
        assert (rules(examine(smooth / smooth.std() + weight * grain)) == ["noise"]) is found


def test_foreground_is_the_head_on_any_background(head: np.ndarray) -> None:
    on_black, on_white = foreground(head), foreground(255 - head)
    np.testing.assert_array_equal(on_black, on_white)
    assert on_black[80, 64]
    assert not on_black[0].any()


def test_a_crop_like_a_head_has_no_sign_against_it() -> None:
    for seed in range(5):
        assert signs_against(crop_of(folded(seed=seed)), plane="axial", spacing_mm=1.2) == []


def family(head: Measured, **known: object) -> tuple[str, ...]:
    return tuple(sign.family for sign in signs_against(head, **known))  # type: ignore[arg-type]  # plane, spacing_mm


def test_outline_signs_turn_at_their_thresholds() -> None:
    assert family(crop_of(folded(), box=True)) == ("outline",)
    wide, upright = crop_of(folded(), wide=0.95, tall=0.84), crop_of(folded(), wide=0.95, tall=0.93)
    assert family(wide) == family(wide, plane="axial") == ("outline",)
    assert family(upright) == family(wide, plane="coronal") == family(wide, plane="sagittal") == ()
    for bite, found in ((0.15, False), (0.6, True)):  # a wedge cut out of the right half
        y, x = np.mgrid[-1:1:48j, -1:1:48j]
        eaten = crop_of(np.where((x > -0.4) & (abs(y) < bite), 0, folded()))
        assert (family(eaten)[:1] == ("outline",)) is found
    y, x = np.indices((48, 48)) - 23.5
    for half_height, half_width, found in ((22, 17, False), (20, 15, True)):  # of the picture, around the crop's middle
        seen = crop_of(np.where((abs(y) < half_height) & (abs(x) < half_width), folded(), 0))
        at = Geometry(2 * half_height, 2 * half_width, top=half_height - 24, left=half_width - 24, side=48)
        signs = signs_against(Measured(seen.crop, seen.landmarks, at))
        assert any("edge" in sign.text for sign in signs) is found


def test_core_signs_turn_at_their_thresholds() -> None:
    where = np.random.default_rng(2).permutation(48 * 48).reshape(48, 48) / 48**2
    for share, found in ((0.2, False), (0.3, True)):
        assert (family(crop_of(np.where(where < share, 0.05, 0.5)))[:1] == ("core",)) is found
    for bright, found in ((0.25, False), (0.9, True)):  # an orange: a dark inside with a few bright pips
        pips = np.kron(where[::4, ::4] < 0.12, np.ones((4, 4))).astype(bool)
        assert ("core" in family(crop_of(np.where(pips, bright, 0.24 * folded())))) is found
    for spread, found in ((0.025, False), (0.012, True)):
        assert (family(crop_of(folded(spread=spread))) == ("core",)) is found
    certain = signs_against(crop_of(folded(spread=0.002)))
    assert [sign.sure for sign in certain] == [True]
    assert f"at least {headness.FLAT.review:g} and proof from {headness.FLAT.sure:g}" in certain[0].text


def test_grain_signs_turn_at_their_thresholds() -> None:
    for sigma, found in ((0.0, True), (0.7, False), (1.2, False), (6.0, True)):
        assert (family(crop_of(folded(spread=0.1, sigma=sigma))) == ("grain",)) is found
    ramp = 0.3 + 0.4 * np.indices((48, 48))[0] / 47
    assert [(sign.family, sign.sure) for sign in signs_against(crop_of(ramp))] == [("grain", True)]


def test_size_is_judged_in_millimetres_where_they_are_known() -> None:
    head = crop_of(folded())  # 160 pixels a side
    for spacing, found in ((0.32, False), (0.30, True), (1.87, False), (1.89, True)):
        assert (family(head, spacing_mm=spacing) == ("size",)) is found
    assert family(head, spacing_mm=None) == ()


def test_one_sign_asks_for_a_look_and_two_families_are_proof(head: np.ndarray) -> None:
    wide = zoom(head, (1, 1.7), order=1)
    finding = only(examine(wide))
    assert (finding.rule, finding.outcome) == ("not_a_head", REVIEW)
    assert f"at most {headness.WIDE.review:g}" in finding.detail
    assert examine(wide, plane="coronal").findings == ()
    proven = examine(wide, spacing_mm=2.0)
    assert only(proven).outcome == QUARANTINED
    assert "; " in only(proven).detail
    assert proven.head is not None


def test_drawn_things_are_not_heads() -> None:
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    grain = np.random.default_rng(0).normal(0, 2, (128, 128))
    blobs = gaussian_filter(np.random.default_rng(1).normal(size=(128, 128)), 16)
    page = Image.new("L", (128, 128))
    ImageDraw.Draw(page).text((16, 40), "HELLO", fill=255, font_size=34)
    things = {
        "bottle of water": (np.hypot(x, y) < 0.7) * 100 + grain,
        "square": ((abs(x) < 0.6) & (abs(y) < 0.6)) * 100 + grain,
        "triangle": ((y > -0.6) & (abs(x) < (y + 0.6) / 2) & (y < 0.7)) * 100 + grain,
        "photograph's sky": 100 * x + 30 * y + 0.1 * grain,
        "cloud": np.where(np.hypot(x, y) < 0.75, 100 + 30 * blobs / blobs.std(), 0),
        "page": np.asarray(page) + grain,
    }
    for thing, pixels in things.items():
        assert rules(examine(pixels), QUARANTINED) == ["not_a_head"], thing


def test_letters_beside_the_head_are_found_with_their_number_and_side() -> None:
    for text, at, side in (("R 12", (2, 2), "top"), ("W 726", (2, 147), "bottom"), ("F", (118, 2), "top")):
        finding = only(examine(lettered(text, at)))
        assert (finding.rule, finding.outcome) == ("burned_in_text", REVIEW)
        assert finding.detail.startswith(f"{len(text.replace(' ', ''))} letter-like marks, most near the {side}")


def test_what_is_not_a_letter_is_no_text(head: np.ndarray) -> None:
    for size in (3, 8):  # a speck, and a filled blob such as an ear or a capsule
        blob = head.copy()
        blob[4 : 4 + size, 4 : 4 + size] = 255
        assert rules(examine(blob)) == []
    for size, found in ((3, False), (4, True)):  # two rings side by side
        rings = head.copy()
        for left in (3, 10):
            rings[3 : 3 + size, left : left + size] = 255
            rings[4 : 2 + size, left + 1 : left + size - 1] = 0
        assert (rules(examine(rings)) == ["burned_in_text"]) is found
    ink = lettered("R 12", (2, 2)).astype(float) - head
    for level, found in ((0.25, False), (0.5, True)):
        assert (rules(examine(head + level * ink)) == ["burned_in_text"]) is found
    far = np.pad(lettered("F", (118, 2)), 20)  # one letter, a tenth of the picture from its edge
    assert rules(examine(far)) == []


def test_a_frame_is_found_with_its_widths_in_pixels(head: np.ndarray) -> None:
    framed = np.pad(head, ((3, 1), (0, 2)), constant_values=255)
    assert only(examine(framed)).rule == "frame"
    assert only(examine(framed)).detail.endswith("top 3, bottom 1, right 2; want 0")
    for share, found in ((0.8, False), (0.9, True)):
        line = head.copy()
        line[: int(share * len(line)), 1] = 255
        assert (rules(examine(line)) == ["frame"]) is found


def test_empty_margins_are_found_beyond_their_share() -> None:
    rng = np.random.default_rng(0)
    drawn = draw_head(160, 128)
    noisy = np.clip(drawn + 0.01 * rng.random(drawn.shape), 0.001, 1)
    for share, found in ((0.86, False), (0.89, True)):
        side = round((noisy.size / (1 - share)) ** 0.5)
        around = np.zeros((side, side))
        around[20:180, 30:158] = noisy
        assert (rules(examine(around)) == ["margin"]) is found


def test_several_reviews_stand_together() -> None:
    picture = np.pad(lettered("R 12", (4, 4)), ((2, 0), (0, 0)), constant_values=255)
    assert rules(examine(picture)) == ["burned_in_text", "frame"]
    assert examine(picture).usable


@pytest.mark.skipif(not BRAINS.is_dir(), reason="../shared/data/brain_mri_253 is not here")
def test_brain_mri_253_has_one_abdomen_and_letters_where_the_eye_sees_them() -> None:
    found = {}
    for path in sorted(BRAINS.rglob("*.*")):
        with Image.open(path) as picture:
            found[f"{path.parent.name}/{path.name}"] = examine(np.asarray(picture.convert("RGBA").convert("L")))
    assert len(found) == 253
    assert all(examined.usable for examined in found.values())
    strange = {name for name, examined in found.items() if "not_a_head" in rules(examined)}
    assert "yes/Y248.JPG" in strange
    assert len(strange) <= 0.02 * len(found)
    assert [name for name in LETTERED if "burned_in_text" not in rules(found[name])] == []
    assert rules(found["no/No16.jpg"]) == ["frame"]
    assert "left 70, right 70" in found["no/No16.jpg"].findings[0].detail


@pytest.mark.skipif(not FRUIT.is_dir(), reason="../shared/data/dicom/odd/fruit_labelled_mr is not here")
def test_most_sections_of_a_fruit_are_quarantined_with_the_evidence() -> None:
    examined = [examine(pydicom.dcmread(path).pixel_array, spacing_mm=1.05) for path in sorted(FRUIT.glob("*.dcm"))]
    caught = [one for one in examined if rules(one) == ["not_a_head"] and not one.usable]
    assert len(caught) >= 7
    assert all("at most" in only(one).detail or "at least" in only(one).detail for one in caught)


@pytest.mark.parametrize("sequence", ["T1", "T1c", "T2", "FLAIR"])
def test_phantoms_pass_as_heads(sequence: Literal["T1", "T1c", "T2", "FLAIR"]) -> None:
    drawn = phantom(rng=np.random.default_rng(5), tumour=True, config=PhantomConfig(sequence=sequence))
    for section in drawn.voxels[6:18:3]:
        assert examine(section, plane="axial", spacing_mm=2.0).findings == ()


@pytest.mark.skipif(not LGG.is_dir(), reason="../shared/data/lgg_flair is not here")
def test_heads_of_lgg_flair_pass() -> None:
    paths = sorted(path for path in LGG.rglob("*.tif") if not path.stem.endswith("_mask"))
    found = []
    for path in paths[::12]:
        with Image.open(path) as picture:
            found.append(examine(np.asarray(picture), plane="axial"))
    assert all(one.usable for one in found)
    assert sum(bool(one.findings) for one in found) <= 0.02 * len(found)
