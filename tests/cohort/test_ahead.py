"""What is guessed before a cohort begins."""

from pathlib import Path

import pytest
from helpers.cohort_stub import draw_stubs

from histome.cohort.ahead import look_ahead
from histome.cohort.estimate import Areas, cost_of

AREAS = Areas(20.0, 10.0)


@pytest.fixture(autouse=True)
def all_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slide has the same areas, and the machine has four CPUs."""
    monkeypatch.setattr("histome.cohort.ahead.look_at_some", lambda slides, _: [AREAS] * len(slides))
    monkeypatch.setattr("histome.cohort.ahead.available_cpus", lambda: 4)
    monkeypatch.setattr("histome.cohort.ahead.available_memory_gb", lambda: 64.0)


def test_hours_are_those_of_slides_one_after_the_other(tmp_path: Path) -> None:
    ahead = look_ahead(draw_stubs(tmp_path / "slides", *["ok"] * 8), tmp_path / "out")
    assert (ahead.slides, ahead.workers) == (8, 4)
    assert ahead.hours == pytest.approx(2 * cost_of(AREAS, 1).minutes / 60, abs=1e-3)
    assert ahead.line().startswith("8 slides, 4 at once: about")


def test_more_jobs_than_slides_make_no_slide_shorter(tmp_path: Path) -> None:
    ahead = look_ahead(draw_stubs(tmp_path / "slides", "ok", "ok"), tmp_path / "out")
    far = ahead.with_workers(40, 4)
    assert far.hours == pytest.approx(cost_of(AREAS, 4).minutes / 60, abs=1e-3)
    assert far.line().startswith("2 slides, 2 at once: about")


def test_slides_that_are_done_are_looked_through_by_all_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histome.cohort.ahead.read_run", lambda _: {"state": "done"})
    ahead = look_ahead(draw_stubs(tmp_path / "slides", *["ok"] * 8), tmp_path)
    assert (ahead.slides, ahead.hours, ahead.workers) == (0, 0.0, 4)
    assert ahead.line().startswith("every slide has a profile")


@pytest.mark.parametrize(
    ("areas", "workers", "measured_s", "told"),
    [
        # docs/performance.md: CPU-seconds of one core, seconds of two idle ones.
        (Areas(2.36, 2.36), 1, 13.06, "about 10 seconds and"),
        (Areas(101.5, 40.4), 2, 76.9, "about 90 seconds and"),
        (Areas(1015.0, 404.0), 2, 1000.0, "about 14 minutes and"),
    ],
)
def test_a_guess_is_told_as_closely_as_it_holds(
    areas: Areas, workers: int, measured_s: float, told: str
) -> None:
    cost = cost_of(areas, workers)
    assert 0.5 <= 60 * cost.minutes / measured_s <= 2.0
    assert cost.line().startswith(told)
