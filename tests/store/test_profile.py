"""Profiles that others wrote, or that were damaged since: one clear line each."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from helpers.fakes import run_texts
from pyarrow import parquet

from histome.errors import OutputError
from histome.narrative.sentences import Narrative
from histome.store.files import METRICS_TABLE as TABLE
from histome.store.files import NARRATIVE
from histome.store.profile import Profile, load_profile
from histome.store.sealed import write_sealed

DEEP = "[" * 100_000


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "text", ["", "{}", DEEP, '{"state": ' + DEEP, '{"state": "done"}', "[1]", '{"state": 1, "warnings": {}}']
)
def test_a_run_json_of_somebody_else_is_one_line(tmp_path: Path, text: str) -> None:
    run_texts(tmp_path)
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(OutputError, match=r"run\.json is damaged or was not written by histome") as caught:
        load_profile(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda folder: (folder / "stage.json").write_text("{}"), "stage.json"),
        (lambda folder: (folder / "stage.json").write_text(DEEP), "stage.json"),
        (lambda folder: change(folder / "stage.json", contents=[1]), "stage.json"),
        (lambda folder: change(folder / "stage.json", contents={}), "stage.json"),
        (lambda folder: change(folder / "stage.json", contents={"value.txt": 2000}), "value.txt"),
        (lambda folder: change(folder / "stage.json", contents={"../../other": "0" * 64}), "other"),
        (lambda folder: (folder / "value.txt").write_text("{}"), "value.txt"),
        (lambda folder: (folder / "value.txt").unlink(), "value.txt"),
    ],
)
def test_a_stage_that_is_not_what_was_written_is_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], word: str
) -> None:
    run_texts(tmp_path)
    spoil(tmp_path / "narrative")
    with pytest.raises(OutputError, match=f"narrative: .*{word}.*; profile the slide again") as caught:
        _ = load_profile(tmp_path).narrative
    assert "\n" not in str(caught.value)


def sealed(tmp_path: Path, stage: str, name: str, content: str) -> Profile:
    run_texts(tmp_path, wanted=("qc",))
    write_sealed(tmp_path / stage, {"key": "k"}, lambda folder: (folder / name).write_text(content) and None)
    return load_profile(tmp_path)


def test_a_part_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    profile = sealed(tmp_path, "cells", "cells.parquet", "PAR1 and no more")
    with pytest.raises(OutputError, match="cells: cannot be loaded") as caught:
        _ = profile.cells
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{}", '{"sentences": [{}]}', '{"sentences": 3}', '{"sentences": []}'])
def test_a_narrative_that_is_none_is_one_line(tmp_path: Path, content: str) -> None:
    profile = sealed(tmp_path, "narrative", "narrative.json", content)
    with pytest.raises(OutputError, match="not a narrative") as caught:
        Narrative.from_json(profile.narrative)
    assert "\n" not in str(caught.value)


def test_files_that_nobody_listed_are_not_in_the_way(tmp_path: Path) -> None:
    run_texts(tmp_path)
    (tmp_path / "cells" / "notes.txt").write_text("mine")
    assert run_texts(tmp_path) == []


def test_parts_are_read_as_they_were_saved(tmp_path: Path) -> None:
    run_texts(tmp_path, wanted=("qc",))
    write_sealed(tmp_path / "narrative", {"key": "k"}, lambda folder: NARRATIVE.save({"asked": "x"}, folder))
    assert load_profile(tmp_path).narrative == {"asked": "x"}
    with pytest.raises(OutputError, match="no cells results"):
        _ = load_profile(tmp_path).cells


METRICS = {
    "name": ["A", "B"],
    "value": [1.5, None],
    "unit": ["um", "1"],
    "n": [3, 0],
    "reason": [None, "none"],
}


def with_metrics(tmp_path: Path) -> Profile:
    run_texts(tmp_path, wanted=("qc",))
    write_sealed(
        tmp_path / "metrics",
        {"key": "k"},
        lambda folder: parquet.write_table(pa.table(METRICS), folder / TABLE),
    )
    return load_profile(tmp_path)


def test_a_metric_by_name_is_its_row(tmp_path: Path) -> None:
    found = with_metrics(tmp_path)
    assert (found["A"].value, found["A"].unit, found["A"].n) == (1.5, "um", 3)
    assert (found["B"].value, found["B"].reason) == (None, "none")
    with pytest.raises(KeyError, match="C: no metric of this profile"):
        found["C"]


def test_a_notebook_shows_a_small_table_and_nothing_that_acts(tmp_path: Path) -> None:
    run_texts(tmp_path / "<b>", wanted=("qc",))
    folder, evil = tmp_path / "<b>", "<script>alert(1)</script>"
    run = json.loads((folder / "run.json").read_text())
    warnings = [{"code": "A_CODE", "severity": "warning"}, {"code": "A_NOTE", "severity": "note"}]
    more = {"quality": {"valid_mm2": 12.3456}, "cells": {"counted": 4321}, "warnings": warnings}
    change(folder / "run.json", slide=run["slide"] | {"id": evil}, **more)
    (folder / "report").mkdir(exist_ok=True)
    (folder / "report" / "index.html").touch()
    html = load_profile(folder)._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    assert "<b>" not in html
    for text in ("12.35 mm2", "4,321", "A_CODE", "file://"):
        assert text in html
    assert "A_NOTE" not in html
    assert "no profile" in Profile(tmp_path / "gone")._repr_html_()
