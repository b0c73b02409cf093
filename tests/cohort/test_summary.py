"""The page of a cohort: hostile names, what stands out, and rows in the order of need."""

from pathlib import Path

from histome.cohort.manifest import CohortSlide
from histome.cohort.status import CohortStatus
from histome.cohort.summary import SIGNS, outliers, write_summary
from histome.cohort.supervise import Ended
from histome.store.disk import write_json


def keep_run(folder: Path, *, valid_mm2: float, cells: int) -> None:
    folder.mkdir(parents=True)
    run = {
        "state": "done",
        "slide": {},
        "stages": {},
        "warnings": [],
        "quality": {"valid_mm2": valid_mm2, "valid_percent": 90.0},
        "cells": {"counted": cells, "median_nucleus_um2": 30.0, "nuclear_contrast": 0.2},
    }
    write_json(folder / "run.json", run)


def test_the_page_tells_failures_first_and_marks_what_stands_out(tmp_path: Path) -> None:
    slides = [CohortSlide(f"/x/{n}.svs", f"slide{n}", patient="<b>P</b>") for n in range(11)]
    status = CohortStatus(tmp_path, slides, {})
    for n in range(10):
        keep_run(tmp_path / f"slide{n}", valid_mm2=10.0 + n / 10, cells=40_000 + 900 * n if n != 4 else 3)
        status.end(Ended(f"slide{n}", 0, "", ("LOW_CONFIDENCE",) if n == 7 else ()))
    status.end(Ended("slide10", 1, "<script>alert(1)</script> is damaged"))
    status.state = "done"
    page = write_summary(status, slides).read_text()
    assert "<script>alert" not in page
    assert "<b>P</b>" not in page
    body = page.split("<tbody>")[1]
    places = [body.index(f">slide{n}<") if f">slide{n}<" in body else -1 for n in (10, 4, 7, 0)]
    assert places == sorted(places)
    assert min(places) > 0
    assert body.count("far below") == 2  # cells and cell density
    failed = body.split("<tr>")[1]
    assert f'<td colspan="{len(SIGNS) + 1}">&lt;script&gt;alert(1)' in failed
    assert failed.count("<td") == 6
    assert "far above" not in body
    assert "10 done, 1 failed" in page


def test_a_slide_that_was_left_out_took_no_minutes(tmp_path: Path) -> None:
    slides = [CohortSlide("/x/a.svs", "a", exclude="stained with HER2, not with H&E")]
    status = CohortStatus(tmp_path, slides, {})
    status.state = "done"
    body = write_summary(status, slides).read_text().split("<tbody>")[1]
    assert ">stained with HER2, not with H&amp;E</td>" in body
    assert '<td class="number"></td>' in body


def test_outliers_need_enough_slides_and_a_spread() -> None:
    usual = [1.0, 1.1, 0.9, 1.05, 0.95, 1.0, 1.02]
    assert outliers([*usual, 5.0, None]) == [""] * 7 + ["far above", ""]
    assert outliers([*usual[:6], 5.0]) == [""] * 7
    assert outliers([1.0] * 9 + [5.0]) == [""] * 10
    assert outliers([10.0 * value for value in usual] + [0.001], logarithm=True)[-1] == "far below"
