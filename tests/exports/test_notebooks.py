"""The notebooks run as they stand, one after the other, on a drawn slide."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import histome

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
SOURCE = Path(histome.__file__).parents[1]
# In a process of its own: what jupyter's libraries warn of is not ours to mend.
RUN = """
import sys, nbformat
from nbclient import NotebookClient
for file in sys.argv[1:]:
    NotebookClient(nbformat.read(file, 4), timeout=600, kernel_name="python3").execute()
"""
# squidpy and what it brings is 1 GB: too much for every run of the tests.
NEEDED = {
    "one_slide": ("nbclient", "ipykernel", "matplotlib", "openpyxl", "pandas"),
    "a_region": ("nbclient", "ipykernel", "matplotlib", "geopandas", "pandas"),
    "squidpy": ("nbclient", "ipykernel", "squidpy", "anndata", "spatialdata"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One folder, so that the slide is drawn and profiled once."""
    return tmp_path_factory.mktemp("notebooks")


def test_every_notebook_is_run():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_a_notebook_runs(name, place):
    missing = [library for library in NEEDED[name] if importlib.util.find_spec(library) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "MPLBACKEND": "agg"}
    command = [sys.executable, "-c", RUN, FOLDER / f"{name}.ipynb"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
