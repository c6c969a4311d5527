"""Writing and reading files so that a kill at any moment leaves either the old content or the new, never half."""

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worldmodel.errors import WorldModelError

TEMPORARY_MARK = ".tmp-"
_CHUNK_BYTES = 1 << 20


def atomic_write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`; a reader sees the old file or the whole new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{TEMPORARY_MARK}")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp makes private files; ours are ordinary ones
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _fsync(path.parent)


def atomic_write_text(path: str | Path, text: str) -> None:
    """UTF-8 form of `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode("utf-8"))


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented, key-sorted JSON, atomically: equal content gives equal bytes."""
    atomic_write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_checked_json(path: str | Path, content: dict[str, Any]) -> None:
    """`write_json` with a checksum of the content in it: in plain JSON, a flipped bit may make another number."""
    write_json(path, {**content, "crc32": _json_crc32(content)})


def check_json(path: str | Path, content: Any) -> dict[str, Any]:
    """What `write_checked_json` was given. Raises WorldModelError naming `path` when the checksum does not fit."""
    if not isinstance(content, dict) or "crc32" not in content:
        raise WorldModelError(f"{path} has no checksum: it was not written by this program.")
    checked = {key: value for key, value in content.items() if key != "crc32"}
    if _json_crc32(checked) != content["crc32"]:
        raise WorldModelError(f"{path} is damaged (its checksum differs).")
    return checked


def read_json(path: str | Path) -> Any:
    """Read JSON. Raises WorldModelError naming the file when it is missing, truncated or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WorldModelError(f"{path} does not exist.") from error
    except OSError as error:
        raise WorldModelError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError
        raise WorldModelError(f"{path} is truncated or not JSON ({error}).") from error


@contextmanager
def atomic_directory(path: str | Path, replace: bool = True) -> Iterator[Path]:
    """Yield an empty folder beside `path` that becomes `path` when the block ends well, and vanishes if it raises.

    An older folder at `path` is replaced, or, with replace=False, kept and the new one dropped. While replacing,
    there is an instant in which `path` does not exist, so what must survive a kill at any moment is written under a
    new name instead (a step number, a shard number).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}{TEMPORARY_MARK}"))
    temporary.chmod(0o777 & ~_umask())
    try:
        yield temporary
        for item in sorted(temporary.rglob("*")):
            _fsync(item)
        _fsync(temporary)
        _move_directory(temporary, path, replace)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _fsync(path.parent)


def remove_temporaries(folder: str | Path) -> None:
    """Delete what a killed writer left unfinished directly in `folder`. Call it only while nobody else writes there."""
    for leftover in Path(folder).glob(f".*{TEMPORARY_MARK}*"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def exclusive_lock(path: str | Path, message: str) -> Iterator[None]:
    """Hold the lock file `path`, or raise WorldModelError(message) when another process holds it.

    The kernel lets go of the lock when its holder dies, however it dies. On file systems and systems without `flock`
    (Windows) there is no lock.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorldModelError(message) from error
        yield


def crc32(path: str | Path) -> int:
    """CRC-32 of a file's bytes, in constant memory."""
    value = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            value = zlib.crc32(chunk, value)
    return value


def _json_crc32(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode("utf-8"))


def _move_directory(source: Path, target: Path, replace: bool) -> None:
    try:
        os.rename(source, target)  # fails where a folder with content is
        return
    except OSError:
        if not target.is_dir():
            raise
    graveyard = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}{TEMPORARY_MARK}"))
    if replace:
        os.rename(target, graveyard / "old")
    os.rename(source, target if replace else graveyard / "new")
    shutil.rmtree(graveyard, ignore_errors=True)


def _fsync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
