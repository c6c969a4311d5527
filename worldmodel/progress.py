"""The one place that configures progress bars."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

# Where stderr is a file, every refresh is a new line: keep logs short.
SECONDS_BETWEEN_LOG_LINES = 30.0


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    initial: int = 0,
    desc: str = "",
    unit: str = "it",
    disable: bool = False,
) -> "tqdm[Any]":
    """A progress bar with rate and ETA on stderr.

    Wraps `iterable`, or, without one, is advanced by `.update(n)`; use it as a context manager then. On a
    terminal it is redrawn in place; elsewhere it prints one line at most every half minute; `disable` silences it.
    """
    terminal = sys.stderr.isatty()
    return tqdm(
        iterable,
        total=total,
        initial=initial,
        desc=desc,
        unit=unit,
        file=sys.stderr,
        dynamic_ncols=terminal,
        ncols=None if terminal else 100,
        mininterval=0.1 if terminal else SECONDS_BETWEEN_LOG_LINES,
        maxinterval=10.0 if terminal else SECONDS_BETWEEN_LOG_LINES,
        smoothing=0.1,
        disable=disable,
    )
