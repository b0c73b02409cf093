"""What is seen of a cohort while it runs."""

from pathlib import Path

import pytest
from rich.console import Console

from histome.cli.cohort.live import live, table_of
from histome.cohort.manifest import CohortSlide
from histome.cohort.status import CohortStatus
from histome.cohort.supervise import Ended


def made(out: Path) -> CohortStatus:
    slides = [CohortSlide(f"/x/{name}.svs", name) for name in ("one", "two\x1b[2J", "three", "four")]
    status = CohortStatus(out, [*slides, CohortSlide("/x/5.svs", "five", exclude="pen")], {})
    (out / "three" / "qc").mkdir(parents=True)
    status.end(Ended("one", 0, ""))
    status.end(Ended("two\x1b[2J", 1, "[bold]it is damaged"))
    status.begin({"three"})
    return status


def test_the_table_tells_what_runs_and_what_failed(tmp_path: Path) -> None:
    screen = Console(width=100, record=True, file=(tmp_path / "screen").open("w"), force_terminal=True)
    with screen.file:
        screen.print(table_of(made(tmp_path)))
        text = screen.export_text()
    assert "1 done, 1 running, 1 waiting, 1 failed, 1 left out; about a minute left" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["three", "running", "tissue"] in lines
    assert ["two%1B[2J", "failed", "[bold]it", "is", "damaged"] in lines


def test_without_a_terminal_each_change_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = made(tmp_path)
    with live() as watch:
        watch(status)
        for stage in ("tissue", "cells", "metrics", "narrative", "report"):
            (tmp_path / "three" / stage).mkdir()
        status.begin({"three"})  # all stages are there, its process ends
        watch(status)
        status.end(Ended("three", 3, "no tissue"))
        watch(status)
    assert capsys.readouterr().err.splitlines() == [
        "one: done (2 of 4 ended)",
        "two%1B[2J: failed: [bold]it is damaged (2 of 4 ended)",
        "three: running tissue (2 of 4 ended)",
        "three: refused: no tissue (3 of 4 ended)",
    ]
