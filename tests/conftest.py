"""Fixtures shared by every test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_dir() -> Callable[[str], Path]:
    """Return `data_dir(name) -> Path` to real data beside the repository; skips where it is not there."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"no real data at {path}")
        return path

    return find


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of random numbers, the same in every test."""
    return np.random.default_rng(20)
