"""Where a cohort's slides are worked on: processes of this machine, or workers of Dask near and far."""

import importlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Literal, NamedTuple

from pydantic import Field

from histome.cohort.child import Order
from histome.cohort.supervise import Ended, run_order
from histome.config import Settings, read_settings
from histome.errors import HistomeError, UsageError
from histome.threads import available_cpus

# Workers that may be lost under one slide before Dask gives it up: they are killed for others' reasons, too.
_LOST_WORKERS = 10
_BEGINNINGS = 3
_KEY = "histome-slide"
_log = logging.getLogger(__name__)
_QUEUES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}


class QueueConfig(Settings):
    """Jobs of a scheduler, one slide at a time each: what `--cluster FILE.toml` holds.

    Attributes
    ----------
    kind : str
        slurm, pbs or lsf.
    jobs : int
        The most at once.
    cpus : int
        Of a job, and threads of its slide.
    memory : str
        Of a job, such as "8GB".
    walltime : str
        Of a job, hh:mm:ss; a slide that is cut off goes on in another job.
    options : dict
        What else the class of dask-jobqueue takes: queue, account, job_extra_directives.
    """

    kind: Literal["slurm", "pbs", "lsf"]
    jobs: int = Field(ge=1)
    cpus: int = Field(4, ge=1)
    memory: str = "8GB"
    walltime: str = "04:00:00"
    options: dict[str, Any] = Field(default_factory=dict)


@dataclass
class Pool:
    """Takes orders and works on some of them at a time.

    Attributes
    ----------
    submit : callable(order) -> Future of Ended
        The future raises where the worker was lost, not where the slide failed.
    running : callable() -> names
        Slides that are worked on now.
    slots : int or None
        How many at once; None where others decide.
    threads : int or None
        Of each slide; None for all CPUs where it runs.
    """

    submit: Callable[[Order], "Future[Ended]"]
    running: Callable[[], set[str]]
    slots: int | None
    threads: int | None
    about: str = field(default="")


@contextmanager
def open_pool(spec: str | None, workers: int, run: Callable[..., Ended] = run_order) -> Iterator[Pool]:
    """Open what `--cluster` names: None for processes of this machine, local:N, an address, or a TOML file.

    What is not begun at the end of the block is dropped, what runs is ended. Raises UsageError, one line.
    """
    if spec is None:
        with _processes(workers, run) as pool:
            yield pool
        return
    try:
        with _dask(spec) as dask:
            yield _pool_of(dask, run, spec)
    except ModuleNotFoundError as error:
        raise UsageError(f"no module {error.name!r}; install it: pip install 'histome[cluster]'") from error


@contextmanager
def _processes(workers: int, run: Callable[..., Ended]) -> Iterator[Pool]:
    busy: set[str] = set()
    stop = Event()

    def do(order: Order) -> Ended:
        busy.add(order.slide.slide)
        try:
            return run(order, stop=stop)
        finally:
            busy.discard(order.slide.slide)

    with ThreadPoolExecutor(workers, thread_name_prefix="slide") as threads:
        share = max(1, available_cpus() // workers)
        try:
            yield Pool(partial(threads.submit, do), lambda: set(busy), workers, share, "processes")
        finally:
            stop.set()
            threads.shutdown(wait=True, cancel_futures=True)


class _Dask(NamedTuple):
    """A client, slides at once and threads of each where they are known, and what begins lost workers."""

    client: Any
    slots: int | None = None
    threads: int | None = None
    heal: Callable[[], object] = lambda: None


@contextmanager
def _dask(spec: str) -> Iterator[_Dask]:
    from dask import config  # pyright: ignore[reportPrivateImportUsage]
    from distributed import Client

    for name in ("distributed", "distributed.client"):  # a lost worker is told by what it was at
        logging.getLogger(name).setLevel(logging.CRITICAL)
    kind, _, rest = spec.partition(":")
    settings = {
        "distributed.scheduler.allowed-failures": _LOST_WORKERS,
        # A slide that waits does so at the scheduler: no worker that is lost counts against it.
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.scheduler.unknown-task-duration": "1h",  # a job for each slide, not for ten of them
        # What processes that wait cost: four workers took 8.4 % of a core, so they take 3.3.
        "distributed.admin.tick.interval": "5s",
        "distributed.admin.system-monitor.interval": "5s",
        "distributed.worker.profile.enabled": False,
        # A result is a few words: nobody looks for copies of it.
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.client.scheduler-info-interval": "60s",
        # A worker that was killed is begun again by its nanny, on a busy machine in more than the usual 15 s.
        "distributed.deploy.lost-worker-timeout": "30s",
        # At a load of 20 a CPU four workers took 74 s to begin: the usual 30 s gave them up on their way.
        "distributed.comm.timeouts.connect": "120s",
        "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",  # of the workers
        "distributed.worker.memory.terminate": False,  # the children have the memory, and limits of their own
        "distributed.worker.memory.pause": False,
    }
    with config.set(settings):
        if kind == "local":
            slots = _count(rest, spec)
            with _local(slots) as cluster, Client(cluster, set_as_default=False) as client:
                # A nanny that was given up is not replaced unless the cluster is asked for its size again.
                share = max(1, available_cpus() // slots)
                yield _Dask(client, slots, share, lambda: cluster.scale(slots))
        elif spec.endswith(".toml"):
            queue = read_settings(QueueConfig, Path(spec))
            with _jobs(queue, spec) as cluster, Client(cluster, set_as_default=False) as client:
                yield _Dask(client, queue.jobs, queue.cpus)
        else:
            with _client_at(spec) as client:
                yield _Dask(client)


def _count(text: str, spec: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UsageError(f"--cluster {spec}: say how many workers, as in local:4")
    return int(text)


def _local(slots: int) -> Any:
    from distributed import LocalCluster

    options = {"threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    left = _BEGINNINGS
    while True:
        left -= 1
        try:
            return LocalCluster(n_workers=slots, **options)
        except (OSError, TimeoutError, RuntimeError) as error:  # one that is killed as it begins ends all
            told = " ".join(str(error).split()) or type(error).__name__
            if not left:
                line = f"Dask's workers did not begin ({told}); run the same line again"
                raise HistomeError(line) from error
            _log.info("Dask's workers did not begin (%s), %d tries left", told, left)


def _jobs(queue: QueueConfig, spec: str) -> Any:
    """Return a cluster whose jobs come and go with the work."""
    made = getattr(importlib.import_module("dask_jobqueue"), _QUEUES[queue.kind])
    options: dict[str, Any] = {"scheduler_options": {"dashboard_address": None}, **queue.options}
    walltime = queue.walltime
    if queue.kind == "slurm":
        options.setdefault("job_cpu", queue.cpus)
    elif queue.kind == "lsf":
        options.setdefault("ncpus", queue.cpus)
        walltime = ":".join(walltime.split(":")[:2])  # LSF knows no seconds
    elif queue.kind == "pbs":
        options.setdefault("resource_spec", f"select=1:ncpus={queue.cpus}:mem={queue.memory}")
    try:
        cluster = made(cores=1, processes=1, memory=queue.memory, walltime=walltime, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{spec}: {' '.join(str(error).split())}") from error
    cluster.adapt(minimum_jobs=0, maximum_jobs=queue.jobs)
    return cluster


def _client_at(address: str) -> Any:
    from distributed import Client

    if "://" not in address:
        raise UsageError(f"--cluster {address}: give local:N, an address (tcp://host:8786) or a TOML file")
    try:
        return Client(address, timeout="30s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        told = " ".join(str(error).split())
        raise HistomeError(f"no Dask scheduler answers at {address} ({told})") from error


def _pool_of(dask: _Dask, run: Callable[..., Ended], spec: str) -> Pool:
    executor = dask.client.get_executor(pure=False)

    def submit(order: Order) -> "Future[Ended]":
        key = (_KEY, order.slide.slide, os.urandom(4).hex())  # one group: Dask queues those that are alike
        return executor.submit(_on_worker, run, order, key=key)

    def running() -> set[str]:
        dask.heal()
        return {key[1] for key in dask.client.run_on_scheduler(_executing)}

    return Pool(submit, running, dask.slots, dask.threads, f"Dask at {spec}")


def _executing(dask_scheduler: Any) -> list[tuple[str, str, str]]:
    """Return the keys of slides that workers told of in their last heartbeats."""
    executing = (task.key for worker in dask_scheduler.workers.values() for task in worker.executing)
    return [key for key in executing if isinstance(key, tuple) and key[:1] == (_KEY,)]


def _on_worker(run: Callable[..., Ended], order: Order) -> Ended:
    """Do an order on a worker of Dask: with its share of the CPUs where nobody said how many."""
    from distributed import get_worker

    if order.threads is None:
        share = max(1, available_cpus() // get_worker().state.nthreads)
        order = replace(order, threads=share)
    return run(order)
