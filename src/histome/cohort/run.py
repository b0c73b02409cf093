"""A cohort's run: every slide in a process of its own, and nothing of what is done is lost."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from histome.cohort.ahead import Ahead, look_ahead
from histome.cohort.child import Order
from histome.cohort.cluster import Pool, open_pool
from histome.cohort.manifest import CohortSlide, write_manifest
from histome.cohort.remote import Cache
from histome.cohort.status import CohortStatus
from histome.cohort.summary import write_summary
from histome.cohort.supervise import CHILD, LOGS, Ended, Limits, run_order
from histome.config import Config
from histome.errors import HistomeError
from histome.pipeline import STAGES
from histome.store.disk import remove_if_empty, writing
from histome.store.lock import FolderLock

_TICK_S = 0.5
_log = logging.getLogger(__name__)
Watch = Callable[[CohortStatus], object]


@dataclass(frozen=True)
class CohortOptions:
    """How a cohort is run; nothing of it changes a number but `config`.

    Attributes
    ----------
    config : Config
        Settings of every profile.
    stages : tuple of str
        Those to bring up to date.
    workers : int or None
        Slides at once on this machine; None for as many as CPUs and memory allow.
    threads : int or None
        Of each slide; None for its share of the CPUs.
    cluster : str or None
        Where else: local:N, the address of a Dask scheduler, or a TOML file (`QueueConfig`).
    tries : int
        Processes begun for a slide that fails for what nobody foresaw.
    limits : Limits
        Of each slide.
    cache_gb : float
        Most of the copies of remote slides.
    cache : Path or None
        Their folder; None for one in the cohort's.
    """

    config: Config = field(default_factory=Config)
    stages: tuple[str, ...] = STAGES
    workers: int | None = None
    threads: int | None = None
    cluster: str | None = None
    tries: int = 2
    limits: Limits = field(default_factory=Limits)
    cache_gb: float = 50.0
    cache: Path | None = None


def run_cohort(
    slides: Sequence[CohortSlide],
    out: str | Path,
    options: CohortOptions | None = None,
    *,
    watch: Watch = lambda _: None,
    expect: Callable[[Ahead], object] = lambda _: None,
    command: tuple[str, ...] = CHILD,
) -> CohortStatus:
    """Profile slides into one folder and return how each ended; one that fails does not end the others.

    What is there and still holds is not made again, so the same call goes on after whatever ended it.

    Parameters
    ----------
    slides : sequence of CohortSlide
        As `read_slides` returns them.
    out : str or Path
        The cohort's folder: a profile a slide, manifest.csv, status.json, summary.html.
    options : CohortOptions or None
        None for the defaults.
    watch : callable(status)
        Called twice a second while it runs, and at the end.
    expect : callable(ahead)
        Called once, before the first slide.
    command : tuple of str
        What does one order.

    Raises
    ------
    HeldError
        Another run is writing the folder.
    OutputError, UsageError
        It cannot be written; what the options name is wrong or not there.
    """
    out, options = Path(out).absolute(), options or CohortOptions()
    options.config.roi.check()
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with FolderLock(out):
        write_manifest(slides, out)
        ahead = look_ahead(slides, out, slots=options.workers, threads=options.threads)
        run = partial(run_order, limits=options.limits, command=command)
        with open_pool(options.cluster, ahead.workers, run) as pool:
            if pool.slots and options.cluster:
                ahead = ahead.with_workers(pool.slots, options.threads or pool.threads or 1)
            expect(ahead)
            about = {"workers": pool.about, "at_once": pool.slots, "estimate_hours": ahead.hours}
            status = CohortStatus(out, slides, about)
            try:
                _work(pool, _orders(slides, out, options, pool), status, options.tries, watch=watch)
                status.state = "done"
            finally:
                _close(status, slides, watch)
    return status


def _orders(slides: Iterable[CohortSlide], out: Path, options: CohortOptions, pool: Pool) -> list[Order]:
    settings = options.config.model_dump(mode="json")
    cache = Cache(options.cache or out / ".slides", options.cache_gb)
    threads, stages = options.threads or pool.threads, list(options.stages)
    found = (slide for slide in slides if not slide.exclude)
    return [Order(slide, str(out), settings, stages, threads, cache) for slide in found]


def _work(pool: Pool, orders: Sequence[Order], status: CohortStatus, tries: int, *, watch: Watch) -> None:
    status.write(now=True)
    pending = {pool.submit(order): order for order in orders}
    while pending:
        ready, _ = wait(pending, timeout=_TICK_S, return_when=FIRST_COMPLETED)
        for future in ready:
            order = pending.pop(future)
            ended = _ended(future, order)
            again = ended.again and status.slides[ended.slide].tries + 1 < tries
            status.end(ended, again=again)
            _log.info("%s: exit code %d %s", ended.slide, ended.exit_code, ended.reason)
            if again:
                pending[pool.submit(order)] = order
        status.begin(_running(pool) if pending else ())
        status.write()
        watch(status)


def _ended(future: "Future[Ended]", order: Order) -> Ended:
    """Return how a slide ended; raises HistomeError where the cluster did, or nothing can be written."""
    try:
        return future.result()
    except HistomeError:
        raise
    except CancelledError as error:
        raise _lost(error) from error
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise _lost(error) from error
        reason = "the workers that it was given to were lost, one after the other"
        return Ended(order.slide.slide, 1, reason, again=True)


def _running(pool: Pool) -> set[str]:
    try:
        return pool.running()
    except Exception as error:
        raise _lost(error) from error


def _lost(error: BaseException) -> HistomeError:
    told = " ".join(str(error).split()) or type(error).__name__
    return HistomeError(f"the cluster was lost ({told}); what is finished is kept, run the same line again")


def _close(status: CohortStatus, slides: Sequence[CohortSlide], watch: Watch) -> None:
    """Say in the folder how the run ended."""
    status.begin(())
    if status.state != "done":
        status.state = "interrupted"
    remove_if_empty(status.out / LOGS)
    status.write(now=True)
    write_summary(status, slides)
    watch(status)
