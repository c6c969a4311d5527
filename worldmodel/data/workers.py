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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol

from worldmodel.errors import WorldModelError

Report = Callable[[int], None]
_KEPT = "the finished shards are kept, so running the same command again goes on from there"
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class ShardJob(Protocol):
    """Writes any shard of a dataset. Travels to worker processes, so it opens what it needs where it is used."""

    def write(self, shard: int, report: Report) -> None:
        """Write a shard, calling report(frames) after every new episode."""


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
    with _single_threaded():
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
def _single_threaded() -> Iterator[None]:
    """Numeric libraries read these when they are imported, so a worker must be born with them."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
