"""The same cohort by Dask: on this machine, at an address, by jobs of a scheduler; and what is lost there."""

import logging
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.cohort_stub import children_of, draw_stubs, nap, run_stubs, tables

from histome.cohort.child import Order
from histome.cohort.cluster import QueueConfig, _dask, _jobs, _local, _pool_of, open_pool
from histome.cohort.remote import Cache
from histome.config import read_settings
from histome.errors import HistomeError, UsageError

pytest.importorskip("distributed")
config = pytest.importorskip("dask").config
slow = pytest.mark.slow
# Dask closes some of its sockets late.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What four slides leave by processes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run_stubs(draw_stubs(folder / "slides", *["ok"] * 4), folder / "out").counts["done"] == 4
    return tables(folder / "out")


def dask_workers() -> list[int]:
    """Return the processes of Dask's workers on this machine that this one began."""
    begun = [
        child
        for child in children_of(os.getpid())
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return [worker for worker in begun if children_of(worker)]


@slow
def test_a_local_cluster_that_loses_a_worker_gives_the_same_tables(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    slides = draw_stubs(tmp_path / "slides", "slow", "slow", "ok", "segfault")
    killed: list[int] = []

    def kill(status: Any) -> None:
        at_work = [it for it in status.slides.values() if it.state == "running" and it.stage == "cells"]
        if not killed and at_work and (workers := dask_workers()):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    status = run_stubs(slides, tmp_path / "out", cluster="local:2", watch=kill)
    assert killed
    assert [slide.state for slide in status.slides.values()] == ["done", "done", "done", "failed"]
    assert status.slides["s03"].reason == "its process crashed in cells (SIGSEGV)"
    draw_stubs(tmp_path / "slides", *["ok"] * 4)
    assert run_stubs(slides, tmp_path / "out", cluster="local:2").counts["done"] == 4
    assert tables(tmp_path / "out") == undisturbed


@slow
def test_a_lost_worker_is_nothing_to_slides_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histome.cohort.cluster._LOST_WORKERS", 0)
    slides = draw_stubs(tmp_path / "slides", "slow", *["ok"] * 7)
    running: list[int] = []
    killed: list[int] = []

    def kill(status: Any) -> None:
        running.append(status.counts["running"])
        if not killed and status.slides["s00"].stage == "cells" and (workers := dask_workers()):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    status = run_stubs(slides, tmp_path / "out", cluster="local:1", watch=kill, tries=1)
    assert killed
    assert 1 <= status.counts["failed"] <= 2  # the one at work, and one that Dask had given to it ahead
    assert status.slides["s00"].reason == "the workers that it was given to were lost, one after the other"
    assert max(running) == 1


@slow
def test_dask_is_asked_for_a_worker_a_slide(tmp_path: Path) -> None:
    slides = draw_stubs(tmp_path / "slides", *["ok"] * 8)
    with _dask("local:1") as dask:
        pool = _pool_of(dask, nap, "")
        for slide in slides:
            pool.submit(Order(slide, str(tmp_path), {}, [], 1, Cache(tmp_path, 1.0)))
        scheduler = dask.client.cluster.scheduler
        while len(scheduler.tasks) < len(slides):
            time.sleep(0.01)
        assert scheduler.adaptive_target() == len(slides)


@slow
def test_workers_that_dask_gave_up_are_begun_again(tmp_path: Path) -> None:
    given_up: list[str] = []

    def give_up(pool: Any) -> None:
        given_up.extend(pool.client.retire_workers(list(pool.client.scheduler_info()["workers"])))

    with _dask("local:1") as dask:
        give_up(dask)
        until = time.monotonic() + 120
        while not dask.client.scheduler_info()["workers"] and time.monotonic() < until:
            dask.heal()
            time.sleep(0.5)
        assert given_up
        assert dask.client.submit(os.getpid).result(timeout=60) != os.getpid()
        waits = dask.client.submit(config.get, "distributed.comm.timeouts.connect").result(timeout=60)
        assert waits == "120s"  # there, too, on a machine where everything is late
        heard = dask.client.submit(
            lambda: logging.getLogger("distributed.worker").isEnabledFor(logging.ERROR)
        )
        assert not heard.result(timeout=60)
        assert not logging.getLogger("distributed.scheduler").isEnabledFor(logging.ERROR)
        assert not logging.getLogger("distributed.client").isEnabledFor(logging.ERROR)


@contextmanager
def dask_at_an_address(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler and a worker in processes of their own; yields the address and the first of them."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    dask = [sys.executable, "-m"]
    words = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = subprocess.Popen([*dask, "distributed.cli.dask_scheduler", "--port", "0", *words], **quiet)
    worker = subprocess.Popen([*dask, "distributed.cli.dask_worker", "--nthreads", "1", *words], **quiet)
    try:
        yield str(file), scheduler
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def when(file: Path) -> str:
    """Return the address that a scheduler wrote to its file."""
    import json

    while not file.is_file() or not file.read_text():
        time.sleep(0.05)
    return json.loads(file.read_text())["address"]


@slow
def test_a_killed_scheduler_is_one_line_and_the_rest_is_done_without_it(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    slides = draw_stubs(tmp_path / "slides", "ok", "slow", "slow", "slow")
    with dask_at_an_address(tmp_path) as (file, scheduler):

        def kill(status: Any) -> None:
            if status.counts["done"]:
                scheduler.kill()

        with pytest.raises(HistomeError, match="the cluster was lost"):
            run_stubs(slides, tmp_path / "out", cluster=when(Path(file)), watch=kill)
    draw_stubs(tmp_path / "slides", *["ok"] * 4)
    assert run_stubs(slides, tmp_path / "out").counts["done"] == 4
    assert tables(tmp_path / "out") == undisturbed


SBATCH = """#!/bin/sh
# A stand-in: the job runs here, now.
for word in "$@"; do script=$word; done
cp "$script" "$STAND_IN/$$.sh"
setsid sh "$STAND_IN/$$.sh" > "$STAND_IN/$$.out" 2>&1 &
echo "$!" >> "$STAND_IN/jobs"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -TERM -- "-$job" 2> /dev/null; done
exit 0
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a stand-in `sbatch` and `scancel` before all others; jobs left over are ended."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(folder))
    yield folder
    jobs = (folder / "jobs").read_text().split() if (folder / "jobs").exists() else []
    for job in jobs:
        subprocess.run(["kill", "-KILL", "--", f"-{job}"], capture_output=True, check=False)


@slow
def test_slurm_runs_a_slide_a_job(slurm: Path, tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    pytest.importorskip("dask_jobqueue")
    file = tmp_path / "slurm.toml"
    file.write_text(
        'kind = "slurm"\njobs = 1\ncpus = 3\nmemory = "2GB"\nwalltime = "01:00:00"\n'
        '[options]\nqueue = "cpu"\naccount = "lab"\ninterface = "lo"\n'
    )
    slides = draw_stubs(tmp_path / "slides", *["ok"] * 4)
    status = run_stubs(slides, tmp_path / "out", cluster=str(file))
    assert status.counts["done"] == 4
    assert tables(tmp_path / "out") == undisturbed
    script = next(slurm.glob("*.sh")).read_text()
    for line in ("--cpus-per-task=3", "--mem=2G", "-t 01:00:00", "-p cpu", "-A lab"):
        assert f"#SBATCH {line}" in script, script


@slow
@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("slurm", ["#SBATCH --cpus-per-task=3", "#SBATCH --mem=2G", "#SBATCH -t 01:30:00"]),
        ("pbs", ["#PBS -l select=1:ncpus=3:mem=2GB", "#PBS -l walltime=01:30:00"]),
        ("lsf", ["#BSUB -n 3", "#BSUB -M 2000000", "#BSUB -W 01:30"]),
    ],
)
def test_a_job_asks_in_the_words_of_its_scheduler(kind: Any, lines: list[str]) -> None:
    pytest.importorskip("dask_jobqueue")
    words = {"jobs": 1, "cpus": 3, "memory": "2GB", "walltime": "01:30:00", "options": {"interface": "lo"}}
    with _jobs(QueueConfig(kind=kind, **words), "jobs.toml") as cluster:
        script = cluster.job_script().splitlines()
    assert [line for line in lines if line not in script] == [], script


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('kind = "slurm"', "setting jobs"),
        ('kind = "cron"\njobs = 2', "setting kind"),
        ('kind = "slurm"\njobs = 2\nqueue = "cpu"', "unknown setting queue"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(UsageError, match=told):
        read_settings(QueueConfig, tmp_path / "c.toml")


def test_workers_that_do_not_begin_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []

    def late(**_: Any) -> Any:
        begun.append(1)
        if len(begun) == 5:
            return "a cluster"
        raise TimeoutError

    monkeypatch.setattr("distributed.LocalCluster", late)
    with (
        pytest.raises(HistomeError, match=r"workers did not begin \(TimeoutError\)"),
        open_pool("local:2", 1),
    ):
        pass
    assert len(begun) == 3
    assert _local(2) == "a cluster"


@pytest.mark.parametrize(("spec", "told"), [("local:many", "how many workers"), ("host", "give local:N")])
def test_a_wrong_cluster_is_one_line(spec: str, told: str) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError

    run: Callable[..., Any] = never
    with pytest.raises(UsageError, match=told), open_pool(spec, 1, run):
        pass
