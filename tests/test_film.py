"""Films: what is written is what was given, whole or not at all, and every refusal says what to do."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from data_contracts.splits import Fold
from flows import pictures
from pipeline.formats import film
from pipeline.formats.film import FilmError, require_writable, write_film
from pipeline.formats.raster import read_png, write_png
from pipeline.run_dir import RunDir


def _frames(n: int = 7, height: int = 32, width: int = 48) -> np.ndarray:
    """A bright square that moves over a slope of grey: no two frames alike."""
    frames = np.tile(np.linspace(0, 200, width).astype(np.uint8), (n, height, 1))
    for i in range(n):
        frames[i, 4:12, 4 * i : 4 * i + 8] = 255
    return frames


def _read_gif(path: Path) -> tuple[np.ndarray, list[int]]:
    with Image.open(path) as picture:
        frames, durations = [], []
        for i in range(picture.n_frames):
            picture.seek(i)
            frames.append(np.asarray(picture.convert("L")))
            durations.append(int(picture.info["duration"]))
    return np.stack(frames), durations


def _read_mp4(path: Path, height: int, width: int) -> tuple[np.ndarray, str]:
    """Its frames, and what ffmpeg says of its video. (imageio_ffmpeg's own reader leaves pipes open.)"""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    said = next(line for line in done.stderr.decode().splitlines() if "Video: h264" in line)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width), said


def test_a_gif_keeps_every_pixel_and_loops(tmp_path: Path) -> None:
    write_film(tmp_path / "a.gif", _frames(), fps=10)
    frames, durations = _read_gif(tmp_path / "a.gif")
    assert np.array_equal(frames, _frames())
    assert durations == [100] * 7
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.info["loop"] == 0


@pytest.mark.parametrize("fps", [15, 24, 30, 50])
def test_a_gif_keeps_its_length_though_its_clock_is_coarse(tmp_path: Path, fps: float) -> None:
    write_film(tmp_path / "a.gif", _frames(), fps=fps)
    _, durations = _read_gif(tmp_path / "a.gif")
    assert abs(sum(durations) - 7000 / fps) <= 5
    assert min(durations) >= 20


def test_equal_frames_of_a_gif_lengthen_the_one_before(tmp_path: Path) -> None:
    write_film(tmp_path / "a.gif", np.concatenate([_frames(2), np.repeat(_frames(2)[-1:], 9, axis=0)]), fps=10)
    _, durations = _read_gif(tmp_path / "a.gif")
    assert durations == [100, 1000]


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        write_film(tmp_path / folder / name, _frames(), fps=12)
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    write_film(tmp_path / "three" / name, _frames()[::-1], fps=12)
    assert (tmp_path / "three" / name).read_bytes() != (tmp_path / "one" / name).read_bytes()


def test_an_mp4_is_h264_with_all_frames_nearly_as_given(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", _frames(), fps=12.5)
    frames, said = _read_mp4(tmp_path / "a.mp4", 32, 48)
    assert "yuv420p" in said
    assert "48x32" in said
    assert "12.50 fps" in said
    assert len(frames) == 7
    assert np.abs(frames.astype(int) - _frames()).mean() < 3


def test_odd_sides_are_padded_with_black_and_not_scaled(tmp_path: Path) -> None:
    odd = np.full((4, 27, 35), 200, np.uint8)
    write_film(tmp_path / "a.mp4", odd, fps=5)
    frames, said = _read_mp4(tmp_path / "a.mp4", 28, 36)
    assert "36x28" in said
    assert len(frames) == 4
    assert np.abs(frames[:, :26, :34].astype(int) - 200).max() < 12
    assert frames[:, 27].max() < 60
    assert frames[:, :, 35].max() < 60


def test_a_name_that_looks_like_an_option_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_film(Path("-y.mp4"), _frames(2), fps=5)
    assert (tmp_path / "-y.mp4").stat().st_size > 500


@pytest.mark.parametrize(("name", "said"), [("a.avi", ".mp4 or .gif"), ("walk", ".mp4 or .gif")])
def test_other_kinds_of_film_are_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(FilmError, match=said):
        write_film(tmp_path / name, _frames(), fps=5)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_text("precious")
    with pytest.raises(FilmError, match="not written over"):
        write_film(tmp_path / "a.gif", _frames(), fps=5)
    assert (tmp_path / "a.gif").read_text() == "precious"


@pytest.mark.parametrize("fps", [0, 0.5, 51, float("nan")])
def test_rates_that_no_player_keeps_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(FilmError, match="from 1 to 50"):
        require_writable(tmp_path / "a.gif", fps=fps)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((2, 8, 8)), np.zeros((8, 8), np.uint8), np.zeros((0, 8, 8), np.uint8), np.zeros((2, 8, 0), "u1")],
)
def test_what_is_no_grey_film_is_refused(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        write_film(tmp_path / "a.gif", frames, fps=5)


def test_without_ffmpeg_a_gif_is_advised_and_still_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(film.imageio_ffmpeg, "get_ffmpeg_exe", none_here)
    with pytest.raises(FilmError, match=r"\.gif"):
        require_writable(tmp_path / "a.mp4", fps=5)
    write_film(tmp_path / "a.gif", _frames(), fps=5)
    monkeypatch.setattr(film.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "gone"))
    with pytest.raises(FilmError, match=r"\.gif"):
        write_film(tmp_path / "a.mp4", _frames(), fps=5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_an_ffmpeg_that_fails_leaves_nothing_and_says_nothing_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text('#!/bin/sh\nfor last; do :; done\ncat > "$last"\necho "secret log" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setattr(film.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(broken))
    with pytest.raises(FilmError, match="code 1") as caught:
        write_film(tmp_path / "out" / "a.mp4", _frames(), fps=5)
    assert "secret" not in str(caught.value) + "".join(capfd.readouterr())
    assert list((tmp_path / "out").iterdir()) == []


def test_the_ffmpeg_that_came_with_the_library_runs() -> None:
    done = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], capture_output=True, check=True)  # noqa: S603
    assert b"libx264" in done.stdout


# --- the film in the report ---


def _trained(run: RunDir, *, ticks: int, noise: float, side: int = 64, images: int = 8) -> None:
    """Snapshots of discs that grow brighter, grainy by `noise` in [0, 1]; `images` of them in a row a tick."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:side, :side] / side - 0.5
    disc = np.tile((x**2 + y**2 < 0.15).astype(float), (1, images))
    for tick in range(ticks):
        grain = rng.random(disc.shape)
        shown = (1 - noise) * disc * (60 + 180 * tick / ticks) + noise * 255 * grain
        write_png(run.model(0, "tumour") / "snapshots" / f"{tick:09d}.png", shown.astype(np.uint8))


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    (tmp_path / "models" / "0" / "tumour" / "snapshots").mkdir(parents=True)
    return RunDir(tmp_path)


FOLD = Fold(fold=0, train=("a",), test=("b",))


@pytest.mark.parametrize(("noise", "frames"), [(0.05, 24), (1.0, 12)])
def test_the_film_in_the_report_stays_small_whatever_it_shows(run: RunDir, noise: float, frames: int) -> None:
    _trained(run, ticks=40, noise=noise)
    shown = pictures.film(run, FOLD, "tumour")
    path = run.root / shown.path
    assert path.stat().st_size <= pictures.FILM_BYTES
    assert (shown.kind, shown.origin, shown.n) == ("film", "synthetic", 4)
    moving, _ = _read_gif(path)
    assert len(moving) == frames
    assert moving.shape[1:] == (64, 4 * 64)


def test_the_still_of_a_film_is_its_last_frame(run: RunDir) -> None:
    _trained(run, ticks=5, noise=0.3, images=2)
    shown = pictures.film(run, FOLD, "tumour")
    moving, _ = _read_gif(run.root / shown.path)
    assert shown.still is not None
    assert shown.n == 2
    assert np.array_equal(read_png(run.root / shown.still), moving[-1])
    assert np.array_equal(moving[-1], read_png(run.model(0, "tumour") / "snapshots" / "000000004.png"))


def test_a_film_is_drawn_again_to_the_same_bytes_and_leaves_nothing_beside(run: RunDir) -> None:
    _trained(run, ticks=3, noise=0.1)
    first = (run.root / pictures.film(run, FOLD, "tumour").path).read_bytes()
    assert (run.root / pictures.film(run, FOLD, "tumour").path).read_bytes() == first
    assert sorted(path.name for path in run.picture("").iterdir()) == ["0-tumour-film-end.png", "0-tumour-film.gif"]


def test_a_training_of_one_tick_has_a_film_and_a_still(run: RunDir) -> None:
    _trained(run, ticks=1, noise=0.1)
    shown = pictures.film(run, FOLD, "tumour")
    moving, _ = _read_gif(run.root / shown.path)
    assert len(moving) == 1
    assert shown.still is not None
    assert np.array_equal(read_png(run.root / shown.still), moving[0])
