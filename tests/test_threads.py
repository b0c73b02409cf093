"""How many CPUs we may use, work shared by threads, and the threads of the libraries."""

import os
import threading
import time
from pathlib import Path

import cv2
import pytest

from histome import threads
from histome.threads import limited, ordered_map


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this system")
def test_cpus_follow_the_affinity() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert threads.available_cpus() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_cpus_follow_the_cgroup_quota(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads._cgroup_cpus(tmp_path) == expected


@pytest.mark.parametrize(("workers", "ahead"), [(1, None), (3, None), (3, 2), (1, 1)])
def test_results_come_in_the_order_of_the_items(workers: int, ahead: int | None) -> None:
    def late(k: int) -> int:
        time.sleep(0.01 * (k % 3 == 0))
        return k * k

    assert list(ordered_map(late, range(12), workers, ahead=ahead)) == [k * k for k in range(12)]
    assert list(ordered_map(late, [], workers, ahead=ahead)) == []


def test_one_worker_works_in_the_callers_thread() -> None:
    assert (
        list(ordered_map(lambda _: threading.current_thread(), range(3))) == [threading.current_thread()] * 3
    )


def test_no_more_than_asked_for_is_made_ahead() -> None:
    begun: list[int] = []
    results = ordered_map(lambda k: begun.append(k) or k, range(100), 2, ahead=3)
    assert next(results) == 0
    time.sleep(0.05)
    assert begun == [0, 1, 2, 3]
    results.close()  # type: ignore[attr-defined]


def test_an_error_ends_the_work_and_leaves_no_thread() -> None:
    begun: list[int] = []

    def fail(k: int) -> int:
        begun.append(k)
        time.sleep(0.01)
        raise ValueError("item broke")

    with pytest.raises(ValueError, match="item broke"):
        list(ordered_map(fail, range(1000), 2))
    assert len(begun) < 20
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("histome")]


def test_two_limits_in_one_process_both_hold() -> None:
    before = cv2.getNumThreads()
    with limited(1):
        assert cv2.getNumThreads() == 1
        with limited(2):
            assert cv2.getNumThreads() == 2
        assert cv2.getNumThreads() == 1
    with limited(2):
        assert cv2.getNumThreads() == 2
    assert cv2.getNumThreads() == before
