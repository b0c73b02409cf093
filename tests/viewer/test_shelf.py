"""Which profiles are shown, and that their names and places do no harm."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from histome.errors import OutputError, UsageError
from histome.viewer import Shelf

HOSTILE = '"><img src=x onerror=alert(1)>\u202e\x1b[31m'


def renamed(looked: Any, folder: Path, name: str, file: str) -> Path:
    """Copy the profile under another name, of a slide that is called something else."""
    path = folder / name
    shutil.copytree(looked.profile.path, path)
    run = json.loads((path / "run.json").read_text())
    run["slide"] |= {"id": name, "file": file}
    (path / "run.json").write_text(json.dumps(run))
    return path


def test_the_slide_is_found_beside_the_profiles_or_where_it_is_said(looked: Any, tmp_path: Path) -> None:
    shutil.copytree(looked.out, tmp_path / "out")
    shelf = Shelf(tmp_path / "out")
    key = shelf.entries()[0]["key"]
    assert shelf.view(key).slide is None
    assert "--slides" in shelf.view(key).missing
    for place in (looked.folder, looked.slide):
        found = Shelf(tmp_path / "out", [place]).view(key)
        assert found.slide is not None
        assert found.missing == ""
    with pytest.raises(UsageError, match="no such"):
        Shelf(tmp_path / "out", [tmp_path / "nowhere"])


def test_another_slide_of_the_same_name_is_not_shown(looked: Any, tmp_path: Path) -> None:
    from helpers.phantoms import small_phantom

    shutil.copytree(looked.out, tmp_path / "out")
    small_phantom(tmp_path / "drawn.tif", seed=2, size_px=(700, 600))
    view = Shelf(tmp_path / "out").view(Shelf(tmp_path / "out").entries()[0]["key"])
    assert view.slide is None
    assert "another slide" in view.missing


@pytest.mark.parametrize("file", ["../secret.tif", "/etc/passwd", "..", "", "a/b.tif"])
def test_a_profile_cannot_name_a_file_elsewhere(looked: Any, tmp_path: Path, file: str) -> None:
    renamed(looked, tmp_path, "drawn", file)
    shutil.copy(looked.slide, tmp_path.parent / "secret.tif")
    shelf = Shelf(tmp_path)
    assert shelf.view(shelf.entries()[0]["key"]).slide is None


def test_keys_say_nothing_of_names_and_links_lead_nowhere(looked: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    renamed(looked, folder, HOSTILE.replace("/", "_"), "x.tif")
    renamed(looked, folder, "\U0001f9ec" * 20, "y.tif")
    (folder / "link").symlink_to(looked.profile.path)
    entries = Shelf(folder).entries()
    assert len(entries) == 2
    assert all(entry["key"].isalnum() for entry in entries)
    with pytest.raises(KeyError):
        Shelf(folder).view("..")


def test_a_folder_without_profiles_is_refused_in_a_line(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OutputError, match="no profile here"):
            Shelf(folder)


def test_a_profile_may_be_named_itself(looked: Any) -> None:
    (entry,) = Shelf(looked.profile.path).entries()
    assert entry["name"] == "drawn"
