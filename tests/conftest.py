"""Settings and fixtures of all tests."""

import os

# Before torch is imported: the networks under test are tiny, and fastest on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

from pathlib import Path

import pytest

import worldmodel  # noqa: F401  (registers the environments)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working copy under test."""
    return Path(__file__).parent.parent
