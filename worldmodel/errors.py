"""Errors a user can act on.

Their message is ONE sentence: what is wrong and what to do about it. The command line prints it without a
traceback and exits with code 2; any other exception is a bug and keeps its traceback.
"""

import logging


def quoted(value: object, length: int = 80) -> str:
    """What the user gave as one short line, for a message: arrays and tensors print over many."""
    text = " ".join(repr(value).split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def one_line(error: Exception) -> str:
    """What somebody else's code raised, as a part of a sentence."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


class WorldModelError(Exception):
    """Something the user gave or has on disk cannot be used."""


def explained(error: Exception, otherwise: str) -> str:
    """A sentence for the user: the error's own, or, for what somebody else's code raised, `otherwise` with it in {}.

    The latter is logged with its traceback: call it where the error is handled.
    """
    if isinstance(error, WorldModelError):
        return str(error)
    logging.getLogger(__name__).error(otherwise, exc_info=error)
    return otherwise.format(one_line(error))


class EnvError(WorldModelError):
    """An environment cannot be made, stepped or drawn."""


class DatasetError(WorldModelError):
    """A dataset is missing, damaged, newer than this version, or does not fit."""


class CheckpointError(WorldModelError):
    """A checkpoint is missing, damaged, or is not one."""
