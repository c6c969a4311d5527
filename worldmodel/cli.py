"""The command line: `worldmodel COMMAND [KEY=VALUE ...]`; a command is one word or two.

It knows no command by name: each is a YAML file under worldmodel.configs (see worldmodel.command). A mistake of
the user is one sentence on stderr and exit code 2; a bug keeps its traceback.
"""

import errno
import os
import sys
from collections.abc import Iterator, Sequence

from worldmodel import __version__
from worldmodel.command import commands, find, table
from worldmodel.errors import WorldModelError

USER_ERROR = 2
INTERRUPTED = 130  # what shells report for Ctrl-C

# Conditions of the machine, not bugs: the message of the system says it all.
_SYSTEM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to continue", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        print(f"{' '.join(['worldmodel', *_command_words(words)])}: {sentence}", file=sys.stderr)
        return USER_ERROR


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        _say(_overview())
    elif words[0] == "--version":
        _say(f"worldmodel {__version__}")
    elif any(word in ("-h", "--help") for word in words[1:]):
        _say(find(words)[0].help())
    else:
        _run(words)
    return 0


def _command_words(words: list[str]) -> list[str]:
    """The words that name a command, or the first, which does not."""
    try:
        return find(words)[0].typed.split() if words else []
    except WorldModelError:
        return words[:1]


def _say(text: str) -> None:
    """Print, also into a pipe whose reader has seen enough (`| head`)."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _overview() -> str:
    rows = table([(command.typed, command.description) for command in commands().values()])
    return (
        "usage: worldmodel COMMAND [KEY=VALUE ...]\n\n"
        f"commands:\n{rows}\n\n"
        "worldmodel COMMAND --help lists a command's keys; worldmodel --version prints the version."
    )


def _run(words: list[str]) -> None:
    command, rest = find(words)
    # Hydra, and all that the command needs, only now: help must answer at once.
    from worldmodel.arguments import checked_arguments, locate
    from worldmodel.overrides import compose

    config = compose(command.name, command.named(rest))
    target = locate(config["_target_"])
    target(**checked_arguments(target, config))


def _sentence(error: BaseException) -> str | None:
    """What the user did wrong, or None for a bug."""
    for cause in _chain(error):
        if isinstance(cause, WorldModelError):
            return str(cause)
    if isinstance(error, OSError) and error.errno in _SYSTEM_ERRORS:
        return f"{error.strerror}: {error.filename}." if error.filename else f"{error.strerror}."
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error itself and, because Hydra wraps what a `_target_` raises, the causes under a Hydra error."""
    yield error
    while type(error).__module__.startswith("hydra.") and error.__cause__ is not None:
        error = error.__cause__
        yield error
