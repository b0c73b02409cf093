"""What is said while a network learns."""

import pytest

from histome.training.progress import Pace, duration, hush, say_now


def test_lines_come_now_and_then_with_step_losses_and_time_left():
    said, clock = [], iter([0.0, *(10.0 * k for k in range(1, 101))])
    pace = Pace(100, 200, say=said.append, now=lambda: next(clock))
    for step in range(101, 201):
        pace.step(step, {"loss": 1 / step})
    # After five steps, then every third (30 s), and the last.
    assert said[0] == "step 105 of 200 (52 %), loss 0.009524; 16 min left"
    assert said[1].startswith("step 108 of 200 (54 %)")
    assert said[-1] == "step 200 of 200 (100 %), loss 0.005; nothing left"
    assert len(said) == 33


def test_durations_in_words():
    assert [duration(s) for s in (20, 600, 9000)] == ["20 s", "10 min", "2.5 h"]


def test_the_first_process_speaks_for_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        say_now(f"of {rank}")
    assert capsys.readouterr().out == "of 0\n"


def test_it_is_quiet_when_asked_to_be(capsys: pytest.CaptureFixture[str]):
    for quiet in (True, False):
        hush(quiet)
        say_now(f"quiet: {quiet}")
    assert capsys.readouterr().out == "quiet: False\n"
