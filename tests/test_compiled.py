"""Compiled functions find a place, or a temporary one, and no folder of others is trusted."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from histome.compiled import VARIABLE, keep_compiled_somewhere


@pytest.fixture
def writable(monkeypatch):
    """Say which folders can be written; root may write anywhere, so the file system is not asked."""
    monkeypatch.delenv(VARIABLE, raising=False)
    allowed: set[Path] = set()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) in allowed)
    return allowed


def test_a_writable_package_or_user_cache_is_left_to_numba(writable, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache" / "not made yet"))
    package = tmp_path / "package"
    package.mkdir()
    for folder in (package, tmp_path):
        writable.clear()
        writable.add(folder)
        keep_compiled_somewhere(package)
        assert VARIABLE not in os.environ


def test_nothing_writable_is_a_private_temporary_folder(writable, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "remembered, so that it is put back")
    monkeypatch.delenv(VARIABLE)
    keep_compiled_somewhere(tmp_path)
    folder = Path(os.environ[VARIABLE])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == []


def test_a_folder_that_the_user_named_is_kept(writable, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "mine")
    keep_compiled_somewhere(tmp_path)
    assert os.environ[VARIABLE] == "mine"


def test_the_temporary_folder_goes_with_the_process():
    # A compiled function whose place cannot be found fails when it is declared, so on import.
    code = (
        "import os; os.access = lambda *_: False\n"
        "import histome.cells.shape; print(os.environ['NUMBA_CACHE_DIR'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    folder = Path(done.stdout.strip())
    assert folder.name.startswith("histome-compiled-")
    assert not folder.exists()


def test_importing_it_imports_no_numba():
    code = "import sys, histome; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
