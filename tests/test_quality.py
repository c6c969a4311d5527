"""Formatter, linter and type checker have nothing to say."""

import os
import subprocess
import sys
from pathlib import Path

AS_INSTALLED = ".mypy_cache/as_installed"


def run(repository: Path, *words: str, **environment: str) -> None:
    """Fails with the tool's own output."""
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    output = (done.stdout + done.stderr).replace(f"{AS_INSTALLED}/", "")
    assert done.returncode == 0, f"{' '.join(words)}\n{output}"


def test_ruff_check(repository: Path) -> None:
    run(repository, "ruff", "check", ".")


def test_ruff_format(repository: Path) -> None:
    run(repository, "ruff", "format", "--check", ".")


def test_mypy(repository: Path) -> None:
    shim = repository / AS_INSTALLED
    lay_out_as_installed(repository, shim)
    run(repository, "mypy", "-p", "worldmodel", MYPYPATH=str(shim))


def lay_out_as_installed(repository: Path, shim: Path) -> None:
    """Links that show a type checker worldmodel/, envs/, agents/ and configs/ as the package that is installed."""
    package = shim / "worldmodel"
    package.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path for path in (repository / "worldmodel").iterdir() if path.name != "__pycache__"}
    wanted |= {name: repository / name for name in ("envs", "agents", "configs")}
    for link in package.iterdir():
        link.unlink()
    for name, path in wanted.items():
        (package / name).symlink_to(path, target_is_directory=path.is_dir())
