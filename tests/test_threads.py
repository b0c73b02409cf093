"""How many CPUs we may use, work shared by threads, and the threads of the libraries."""

import os
import subprocess
import sys
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


def old(folder: str, quota: int) -> dict[str, str]:
    """Files of a cgroup of version 1."""
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        (old("cpu", 200000), "3:cpu:/\n", 2.0),
        (old("cpu", -1), "3:cpu:/\n", None),
        ({}, "0::/\n", None),
        ({"cpu.max": "150000 100000\n"}, None, 1.5),
        # A job of systemd or SLURM: its own cgroup, or one around it, has the quota.
        ({"a/b/cpu.max": "50000 100000\n"}, "0::/a/b\n", 0.5),
        ({"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", 2.0),
        ({"a/cpu.max": "100000 100000\n", "a/b/cpu.max": "300000 100000\n"}, "0::/a/b\n", 1.0),
        ({"a:c/cpu.max": "50000 100000\n"}, "0::/a:c\n", 0.5),
        (old("cpu/job", 50000), "4:memory:/x\n3:cpu:/job\n0::/\n", 0.5),
        (old("cpu,cpuacct/job/step", 50000), "3:cpu,cpuacct:/job/step\n", 0.5),
        ({"unified/a/cpu.max": "50000 100000\n"}, "0::/a\n", 0.5),
        # Of others, of another controller, the host's path seen from a container, a path out of the mount.
        ({"other/cpu.max": "50000 100000\n"}, "0::/a\n", None),
        (old("cpu/job", 50000), "4:cpuset:/job\n3:cpu:/\n", None),
        ({"cpu.max": "50000 100000\n"}, "0::/docker/abc\n", 0.5),
        ({"cpu.max": "50000 100000\n"}, "0::/../../x\n", 0.5),
        ({"cpu.max": "50000 100000\n"}, "nonsense\n", 0.5),
    ],
)
def test_cpus_follow_the_cgroup_quota(
    tmp_path: Path, files: dict[str, str], membership: str | None, expected: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(text)
    if membership is not None:
        (tmp_path / "membership").write_text(membership)
    assert threads._cgroup_cpus(tmp_path / "mount", tmp_path / "membership") == expected


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
    until = time.monotonic() + 30
    while len(begun) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(begun) == [0, 1, 2, 3]
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


@pytest.mark.parametrize(("limit", "refused"), [(2_000_000_000, True), (4_000_000_000, False)])
def test_an_address_space_that_libraries_would_hang_in_is_refused(limit: int, refused: bool) -> None:
    resource = pytest.importorskip("resource")
    code = "from histome.threads import check_address_space as check; check()"
    limits = lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))  # noqa: E731
    run = subprocess.run(
        [sys.executable, "-c", code], preexec_fn=limits, capture_output=True, text=True, timeout=60
    )
    assert ("limited to 2.0 GB (ulimit -v)" in run.stderr) is refused
    assert (run.returncode != 0) is refused


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_memory_that_threads_let_go_of_goes_back_to_the_system() -> None:
    """Eight threads at once make 30 MB each in small pieces, and keep the last."""
    code = """
import threading
from histome.threads import give_back_memory

def held_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

kept, begun = [], threading.Barrier(8)

def work():
    begun.wait()
    pieces = [bytearray(100_000) for _ in range(300)]
    kept.append(pieces[-1])
    begun.wait()

before = held_mb()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
let_go = held_mb() - before
give_back_memory()
print(let_go, held_mb() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    let_go, given_back = map(float, done.stdout.split())
    assert given_back < 30 < let_go
