"""One training on several devices, a process each; how many there are does not change the algorithm.

All processes hold the same state and the same generator of draws. Each makes every draw for the whole batch, which is
cheap, and computes its own rows of it; gradients are means over all of them before a weight moves. So the state of the
first is the whole state. The first alone looks, writes and decides, and the others do as it says. In a process that
`run` did not begin, `rows` are all rows and every other function returns what it was given.
"""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline import children
from pipeline.children import Child, Done, Failed, Parent

T = TypeVar("T")

SILENT_SECONDS: Final = 3600.0  # for which a process waits for the others; no look at a training takes as long
SETTLE_SECONDS: Final = 2.0  # in which the others fail too, when one has
LOOPBACK: Final = "lo0" if sys.platform == "darwin" else "lo"


class ProcessLost(Exception):
    """A process of the training ended without a word; says which and how."""


@dataclass
class _Here:
    """This process among those of its training."""

    rank: int = 0
    count: int = 1
    averaging: dict[nn.Module, nn.Module] = field(default_factory=dict)


_here: Final = _Here()  # torch knows one group of processes, too; `_join` alone changes it


def count() -> int:
    """How many processes train together."""
    return _here.count


def rank() -> int:
    """Which of them this one is; the first is 0."""
    return _here.rank


def rows(n: int) -> slice:
    """Those rows of a batch of n that this process computes; `count` divides n."""
    share = n // _here.count
    return slice(_here.rank * share, (_here.rank + 1) * share)


def require_equal_shares(n: int, *, processes: int) -> None:
    """Raise ValueError where a batch of n cannot be shared out."""
    if n % processes:
        raise ValueError(
            f"{processes} devices cannot have equal shares of a batch of {n} images; set gan.batch_size to a multiple"
        )


def by_first(make: Callable[[], T]) -> T:
    """What `make` returns in the first process, in all of them; only there it is called. It can be pickled."""
    if _here.count == 1:
        return make()
    box = [make() if _here.rank == 0 else None]
    distributed.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[return-value]  # by now it is the first's


def gathered(mine: torch.Tensor) -> torch.Tensor:
    """The rows (n / count, ...) of all processes as the whole batch (n, ...); without gradient."""
    if _here.count == 1:
        return mine
    whole = mine.new_empty(_here.count * len(mine), *mine.shape[1:])
    distributed.all_gather_single(whole, mine.contiguous())
    return whole


@torch.no_grad()
def mean_(tensors: Iterable[torch.Tensor]) -> None:
    """Replace these float tensors, of one device, by their means over the processes, in place."""
    if _here.count == 1 or not (tensors := list(tensors)):
        return
    # in double precision the sum of a few equal float32 is exact: what is the same everywhere stays as it is
    flat = torch.cat([one.double().flatten() for one in tensors])
    distributed.all_reduce(flat)
    flat /= _here.count
    for one, mean in zip(tensors, torch.split(flat, [one.numel() for one in tensors]), strict=True):
        one.copy_(mean.view_as(one))


def averaging(module: nn.Module) -> nn.Module:
    """The same module, after whose `backward` each gradient is the mean over the processes.

    Every call of it that records a gradient must be followed by a `backward` that reaches all its weights.
    """
    if _here.count == 1:
        return module
    # DistributedDataParallel holds with our penalties: torch.autograd.grad of its output by the images passes none of
    # its hooks, which stand where gradients of weights are accumulated, once in a backward of however many forwards
    if module not in _here.averaging:
        # buffers are not the first's but means (`mean_`)
        _here.averaging[module] = DistributedDataParallel(module, init_sync=False, forward_sync_buffers=False)
    return _here.averaging[module]


def run(
    function: Callable[..., T],
    *,
    devices: Sequence[str],
    arguments: Sequence[Mapping[str, Any]],
    progress: Callable[..., None],
) -> T:
    """`function(progress=..., **arguments[i])` in a process on each device at once; returns what the first returns.

    devices: `cuda:0`, `cuda:1` and so on, or `cpu` so many times; the processes share the threads of this one. The
    function can be imported, its arguments pickled. `progress` is called here with what a process calls it with.
    Processes meet through a file and speak over the loopback interface or between GPUs. Raises what went wrong
    first in any of them, as it was there; ProcessLost where one ended without a word. None is left behind.
    """
    members: list[_Member] = []
    with tempfile.TemporaryDirectory(prefix="augment-mri-") as folder:
        try:
            for number, device in enumerate(devices):
                place = _Place(number, len(devices), device, Path(folder, "rendezvous"), torch.get_num_threads())
                members.append(_begin(place, function, arguments[number]))
            return _listen(members, progress)  # type: ignore[no-any-return]  # it came through a pipe
        finally:
            children.end([one.child for one in members])


@dataclass(frozen=True)
class _Place:
    """Where a process is to stand."""

    rank: int
    count: int
    device: str
    rendezvous: Path
    threads: int  # of all of them


@dataclass(frozen=True)
class _Member:
    """A process as it is seen from the one that began it."""

    place: _Place
    child: Child

    def hear(self) -> Any:
        """What it says next; that it failed, too, where it ended without a word."""
        try:
            return self.child.hear()
        except EOFError:
            who = f"process {self.place.rank + 1} of {self.place.count}, on {self.place.device}"
            return Failed(ProcessLost(f"{who}, {self.child.how_it_ended()}"), time.monotonic())


def _begin(place: _Place, function: Callable[..., object], arguments: Mapping[str, Any]) -> _Member:
    where = f"process {place.rank + 1}, on {place.device}"
    return _Member(place, children.begin(_work, place, function, arguments, where=where))


def _listen(members: Sequence[_Member], progress: Callable[..., None]) -> Any:
    """Pass progress on until all have ended well; or raise the cause, when those who fail in its wake have done so."""
    waiting, result = list(members), None
    failures: list[Failed] = []
    until = float("inf")
    while waiting and time.monotonic() < until:
        patience = max(0.0, until - time.monotonic()) if failures else None
        heard = wait([one.child.pipe for one in waiting], patience)
        for member in [one for one in waiting if one.child.pipe in heard]:
            word = member.hear()
            if not isinstance(word, Done | Failed):
                progress(*word)
                continue
            waiting.remove(member)
            if isinstance(word, Failed):
                failures.append(word)
                until = min(until, time.monotonic() + SETTLE_SECONDS)
            elif member.place.rank == 0:
                result = word.result
    if failures:
        raise min(failures, key=lambda one: (_in_the_wake(one.error), one.at)).error
    return result


def _in_the_wake(error: Exception) -> int:
    """How likely an error only follows another: a process that loses its peer says RuntimeError, or breaks down."""
    if type(error) is RuntimeError or isinstance(error, distributed.DistError):
        return 2
    return int(isinstance(error, ProcessLost))


def _work(parent: Parent, place: _Place, function: Callable[..., object], arguments: Mapping[str, Any]) -> object:
    """What a child does; returns what the function returns in the first."""
    _join(place)
    result = function(progress=lambda *said: parent.tell(said), **arguments)
    distributed.barrier()  # whoever left earlier would be missed
    distributed.destroy_process_group()
    return result if place.rank == 0 else None


def _join(place: _Place) -> None:
    """Meet the others, and know from now on which of them this process is."""
    torch.set_num_threads(max(1, place.threads // place.count))
    backend = "gloo"
    if place.device.startswith("cuda"):
        torch.cuda.set_device(place.device)
        backend = "cpu:gloo,cuda:nccl"
    # both would else listen on the interface that the host's name stands for
    os.environ.update(GLOO_SOCKET_IFNAME=LOOPBACK, NCCL_SOCKET_IFNAME=LOOPBACK)
    distributed.init_process_group(
        backend,
        init_method=f"file://{place.rendezvous}",
        rank=place.rank,
        world_size=place.count,
        timeout=timedelta(seconds=SILENT_SECONDS),
    )
    # said of weights with a side of 1, whose strides mean nothing
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    _here.rank, _here.count = place.rank, place.count
