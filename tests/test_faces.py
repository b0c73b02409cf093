"""Names of a room are imported when they are asked for, and only then."""

import importlib
import inspect
import subprocess
import sys

import pytest

import histome
from histome import store

ROOMS = (
    "histome.cells",
    "histome.cells.decode",
    "histome.checks",
    "histome.cohort",
    "histome.geometry",
    "histome.models",
    "histome.phantom",
    "histome.narrative",
    "histome.narrative.writers",
    "histome.phenotype",
    "histome.report",
    "histome.render",
    "histome.interop",
    "histome.exports",
)


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


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_a_face_is_there_and_is_no_module(room: str) -> None:
    face = importlib.import_module(room)
    for name in face.__all__:
        assert not inspect.ismodule(getattr(face, name)), name


def test_faces_import_no_library() -> None:
    heavy = ("numpy", "pyarrow", "numba", "cv2", "shapely")
    code = f"import sys, {', '.join(ROOMS)}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_dir_shows_the_api_only() -> None:
    assert dir(histome) == ["Config", "__version__", "load_profile", "open_slide", "profile"]
    assert all(hasattr(histome, name) for name in dir(histome))
