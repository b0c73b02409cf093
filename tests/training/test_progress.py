"""What is said while a network learns."""

from histome.training.progress import Pace, duration


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
