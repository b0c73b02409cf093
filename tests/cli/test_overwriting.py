"""No command writes over a file that it reads, or into what is a profile's own: refused before any work."""

import json
from pathlib import Path

import pytest

from histome.store.ownership import FORMAT

READ = "would overwrite the file it reads"
STAGE = "lies inside a profile's own stage folder"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that no command can read, so that any work on them would fail in other words."""
    for name in ("a.png", "a.svg", "a.csv", "a.toml", "a.npz", "a.geojson", "slide.csv", "manifest.csv"):
        (tmp_path / name).write_text(f"{name}: kept")
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "warped.ome.tif").write_text("kept")
    for record in ("profile/run.json", "profile/cells/stage.json"):
        path = tmp_path / record
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT}))
    (tmp_path / "profile" / "slide.csv").write_text("kept")
    (tmp_path / "profile" / "cells" / "cells.parquet").write_text("kept")
    (tmp_path / "elsewhere").symlink_to("profile/cells")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("tme patch a.png --mpp 0.25 --figure a.png", READ),
        ("tme patch a.png --mpp 0.25 --figure link.png", READ),
        ("tme patch link.png --mpp 0.25 --figure profile/../a.png", READ),
        ("tme patch a.npz --mpp 0.25 --cuts a.svg --figure a.svg", READ),
        ("tme patch a.npz --figure profile/cells/a.svg", STAGE),
        ("tme tiles profile -o profile/cells/cells.parquet", STAGE),
        ("tme tiles profile -o elsewhere/cells.parquet", STAGE),
        ("tme tiles profile -o profile/slide.csv", "is the profile's own file"),
        ("tme tiles profile --cuts a.csv -o a.csv", READ),
        ("tme map profile --cuts a.svg -o a.svg", READ),
        ("tme map profile -o profile/cells/a.svg", STAGE),
        ("tme cuts a.toml --outcome response --patient patient -o a.toml", READ),
        ("tme cuts a.csv --outcome response --patient patient -o a.csv", "ends in .toml"),
        ("train curves a -o profile/cells/a.svg", STAGE),
        ("export profile --to xlsx -o profile/cells/a.xlsx", STAGE),
        ("cohort sql . SELECT --to manifest.csv", READ),
        ("cohort sql . SELECT --to profile/cells/cells.parquet", STAGE),
        ("cohort reference . -o manifest.csv", READ),
        ("validate transfer a.npz a.geojson -o a.geojson", READ),
        ("validate narrative a.csv --sentences a.csv", READ),
        ("validate narrative a.npz --raters a.csv --sentences a.csv", READ),
        ("metrics run --cells slide.csv --tissue a.geojson --mpp 0.25 -o .", READ),
        ("tme patch a.png --mpp 0.25 --log profile/cells/run.log", STAGE),
    ],
)
def test_what_would_be_lost_is_refused(cli, here: Path, words: str, told: str) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    cli.fails(*words.split(), code=2, word=told)
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def test_an_ihc_is_not_warped_onto_itself(cli, here: Path) -> None:
    pytest.importorskip("SimpleITK")
    cli.fails("validate", "register", "a.png", "warped.ome.tif", "-o", ".", code=2, word=READ)
