"""Grey films: GIF, which every browser and page shows, and MP4 (H.264), which is smaller and plays everywhere else."""

import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Final

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.run_dir import whole

SUFFIXES: Final = (".mp4", ".gif")
MAX_FPS: Final = 50.0  # a GIF counts time in 1/100 s, and browsers slow down what asks for less than 2 of them
MAX_SIDE: Final = 4096  # what H.264 decoders in common use take
CRF: Final = 18  # constant quality of x264 at which its losses are hard to see
_NO_FFMPEG: Final = "there is no ffmpeg for .mp4 on this machine; write a .gif, which needs none"


class FilmError(Exception):
    """A film that cannot be written; says why and what to do."""


def require_writable(path: Path, *, fps: float) -> None:
    """Raise FilmError where `write_film` could not write such a film: to be asked before frames are computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise FilmError(f"a film ends in {' or '.join(SUFFIXES)}, not {path.suffix or 'nothing'!r}: {path}")
    if path.exists():
        raise FilmError(f"{path} is there already and is not written over; choose a new name")
    if not 1 <= fps <= MAX_FPS:
        raise FilmError(f"{fps:g} frames a second; a film has from 1 to {MAX_FPS:g}")
    if path.suffix.lower() == ".mp4":
        _ffmpeg()


def write_film(path: Path, frames: NDArray[np.uint8], *, fps: float) -> None:
    """Write frames uint8 (T, H, W) as a film of `fps` frames a second, whole or not at all.

    GIF: every pixel as given, on a loop without end, the same frames give the same bytes; times are rounded to
    1/100 s so that the whole keeps its length, and a frame equal to the one before lengthens that one.
    MP4: H.264 4:2:0, which wants even sides: an odd one gets a black row below or column on the right, nothing is
    scaled; without times or names, by one thread, so that one ffmpeg gives the same bytes again.
    Raises FilmError (`require_writable`, ffmpeg that fails) and ValueError for other arrays.
    """
    if frames.dtype != np.uint8 or frames.ndim != 3 or 0 in frames.shape or max(frames.shape[1:]) > MAX_SIDE:
        raise ValueError(f"want uint8 (T, H, W), sides up to {MAX_SIDE}, got {frames.dtype} {frames.shape}")
    require_writable(path, fps=fps)
    with whole(path) as part:
        if path.suffix.lower() == ".gif":
            _write_gif(part, frames, fps)
        else:
            _write_mp4(part, frames, fps)


def _write_gif(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    ends = [round(i * 100 / Fraction(fps)) for i in range(len(frames) + 1)]
    durations = [10 * (end - start) for start, end in pairwise(ends)]  # Pillow counts in ms
    first, *rest = (Image.fromarray(frame) for frame in frames)
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _write_mp4(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    _, height, width = frames.shape
    even = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2)))
    rate = str(Fraction(fps).limit_denominator(1000))
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{even.shape[2]}x{even.shape[1]}", "-r", rate, "-i", "-"]
    coding = ["-c:v", "libx264", "-crf", str(CRF), "-pix_fmt", "yuv420p", "-threads", "1", "-movflags", "+faststart"]
    plain = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"]
    # absolute: a name that starts with a dash or holds a colon would be taken for something else
    target = ["-f", "mp4", "-y", str(path.absolute())]
    command = [_ffmpeg(), "-v", "error", *source, *coding, *plain, *target]
    try:
        done = subprocess.run(command, input=even.tobytes(), capture_output=True, check=False)  # noqa: S603  # own words
    except OSError:
        raise FilmError(_NO_FFMPEG) from None
    if done.returncode != 0:
        raise FilmError(f"ffmpeg failed (code {done.returncode}); is the disk full? a .gif needs no ffmpeg")


def _ffmpeg() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise FilmError(_NO_FFMPEG) from error
