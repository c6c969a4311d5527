"""Worker processes that write shards.

Each worker has a pipe of its own, so that whoever dies, the other side notices: a dead worker ends its pipe, and a
worker whose parent died finds nobody to report to and stops. (The queues of a process pool do not have this: their
workers outlive a killed parent.)
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from worldmodel.data.manifest import Manifest, shard_folder
from worldmodel.data.rollout import checked_episodes
from worldmodel.data.shards import stored_episodes, write_shard
from worldmodel.episode import Episode
from worldmodel.errors import WorldModelError

Report = Callable[[int], None]
OpenSource = Callable[[Manifest], Callable[[int], Episode]]
_KEPT = "the finished shards are kept, so running the same command again goes on from there"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class ShardJob:
    """Writes any shard of the dataset in `folder` that `manifest` describes. Travels to worker processes, so what the
    episodes are from is opened where it is used.

    open_source: gives the function that makes or reads episode number i; reject_blank: see `checked_episodes`.
    """

    folder: Path
    manifest: Manifest
    open_source: OpenSource
    reject_blank: bool = False

    @cached_property
    def _episode(self) -> Callable[[int], Episode]:
        return self.open_source(self.manifest)

    def write(self, shard: int, report: Report) -> None:
        """Write a shard, calling report(frames) after every new episode. Episodes it holds already are kept."""
        numbers, folder = self.manifest.shard_episodes(shard), shard_folder(self.folder, shard)
        kept = stored_episodes(folder)
        episodes: Iterable[Episode] = chain(kept, self._new(numbers[len(kept) :], report))
        if self.reject_blank:
            episodes = checked_episodes(episodes, self.manifest.env["id"])
        write_shard(folder, numbers.start, episodes, replace=len(kept) > 0)

    def _new(self, numbers: range, report: Report) -> Iterator[Episode]:
        for number in numbers:
            episode = self._episode(number)
            report(len(episode.frames))
            yield episode


def write_shards(job: ShardJob, shards: list[int], workers: int, report: Report) -> None:
    """Write `shards` with `workers` processes (0: in this one), calling report(frames) after every episode.

    Raises what a worker raised, or WorldModelError when one died; the other workers are stopped then.
    """
    if workers == 0:
        for shard in shards:
            job.write(shard, report)
        return
    processes: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(min(workers, len(shards))):
            connection, process = _start(job)
            processes[connection] = process
        _serve(processes, iter(shards), report)
    finally:
        for connection, process in processes.items():
            connection.close()
            process.terminate()
            process.join()


def _start(job: ShardJob) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")  # fork would copy OpenGL contexts and locked threads
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, job), daemon=True)
    # Numeric libraries read these when they are imported, so a worker must be born with them.
    with environment_variables(**dict.fromkeys(_ONE_THREAD, "1")):
        process.start()
    theirs.close()
    return ours, process


def _serve(processes: dict[Connection, SpawnProcess], shards: Iterator[int], report: Report) -> None:
    """Hand out shards until all are written and every worker has ended."""
    busy = set(processes)
    while busy:
        for connection in wait(list(busy)):
            assert isinstance(connection, Connection)
            try:
                kind, content = connection.recv()
            except (EOFError, ConnectionResetError):
                processes[connection].join()
                raise _death(processes[connection].exitcode) from None
            if kind == "failed":
                raise content
            if kind == "frames":
                report(content)
            elif (shard := next(shards, None)) is not None:
                connection.send(shard)
            else:
                connection.send(None)
                busy.remove(connection)


def _work(connection: Connection, job: ShardJob) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent is gone: stop
        try:
            connection.send(("free", None))
            while (shard := connection.recv()) is not None:
                job.write(shard, lambda frames: connection.send(("frames", frames)))
                connection.send(("free", None))
        except WorldModelError as error:
            connection.send(("failed", error))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            connection.send(("failed", _failure(error)))


def _failure(error: Exception) -> WorldModelError:
    text = " ".join(str(error).split())
    failure = WorldModelError(
        f"A worker failed with {type(error).__name__}: {text}; workers=0 shows where, and {_KEPT}."
    )
    failure.add_note(traceback.format_exc())
    return failure


def _death(exitcode: int | None) -> WorldModelError:
    if exitcode is not None and exitcode < 0:
        cause = f"was killed by {signal.Signals(-exitcode).name} (out of memory?)"
    else:
        cause = f"ended by itself with exit code {exitcode}"
    return WorldModelError(
        f"A worker {cause}; {_KEPT}. A script of yours that calls collect needs "
        "`if __name__ == '__main__':` around the call, or workers=0."
    )


@contextmanager
def environment_variables(**values: str) -> Iterator[None]:
    """The block runs with these set, and so do processes that are started in it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
