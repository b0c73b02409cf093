"""Names of a room are imported when they are asked for, and only then."""

import subprocess
import sys

import pytest

import histome
from histome import store


def test_a_name_is_its_homes_own() -> None:
    from histome.store.profile import load_profile

    assert store.load_profile is load_profile
    assert histome.load_profile is load_profile


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'histome.store' has no attribute 'nothing'"):
        store.nothing  # noqa: B018


def test_a_face_imports_nothing_heavy() -> None:
    code = "import sys, histome.store; print('numpy' in sys.modules, 'histome.store.runner' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
