"""How many CPUs we may use, one ordered map over threads, OpenCV's own threads, and memory given back."""

import ctypes
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path, PurePosixPath
from typing import TypeVar

from histome.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

# Results made before they are asked for, a worker: a slow item leaves no other thread idle, and few are held.
_AHEAD = 4
_LEAST_ADDRESS_SPACE = 3_000_000_000
# Of mallopt; heaps that all threads share, where glibc makes up to eight for each CPU.
_M_ARENA_MAX, _HEAPS = -8, 2
_CGROUPS, _MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_cpus() -> int:
    """Return the number of CPUs this process may use, at least 1, from its affinity and cgroup quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        count = os.cpu_count() or 1
    quota = _cgroup_cpus(_CGROUPS, _MEMBERSHIP)
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def check_address_space() -> None:
    """Raise UsageError where `ulimit -v` leaves too little: OpenBLAS then tries for ever to start."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise UsageError(
            f"the address space is limited to {limit / 1e9:.1f} GB (ulimit -v): libraries reserve far more "
            f"than they use; give at least {_LEAST_ADDRESS_SPACE / 1e9:g} GB, or limit memory by cgroup"
        )


def prepare_memory() -> None:
    """Check the address space, and let Arrow take its memory from the C library, which gives it back.

    To be called before libraries are loaded. Of tissue and cells of ten sections that nobody held any more,
    80 MB stayed with Arrow's own allocator.
    """
    check_address_space()
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def _cgroup_cpus(root: Path, membership: Path) -> float | None:
    """CPUs granted by this process's cgroups and those around them; None without a quota."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    # "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of version 1. Seen from inside a container the path may be
    # that of its host: what is not there grants nothing, and the root of the mount is always looked at.
    own = [parts for line in lines if len(parts := line.split(":", 2)) == 3]
    paths = [path for _, controllers, path in own if not controllers or "cpu" in controllers.split(",")]
    around = {root_of / part for path in {"/", *paths} for part in _upward(path) for root_of in _mounts(root)}
    return min((cpus for folder in around if (cpus := _quota(folder)) is not None), default=None)


def _mounts(root: Path) -> list[Path]:
    """Return where the hierarchies that may limit CPUs are mounted: version 2, both, version 1."""
    return [root, root / "unified", root / "cpu", root / "cpu,cpuacct"]


def _upward(path: str) -> list[PurePosixPath]:
    """Return a cgroup's path and those around it, relative to the mount; none where it leads out of that."""
    inner = PurePosixPath(path.lstrip("/"))
    return [] if ".." in inner.parts else [inner, *inner.parents]


def _quota(folder: Path) -> float | None:
    """CPUs that one cgroup grants (version 2, then version 1); None without a quota."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # "max" and "-1": no quota
        return None
    return int(quota) / int(period)


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], workers: int = 1, *, ahead: int | None = None
) -> Iterator[R]:
    """Yield function(item) in the order of the items, whatever thread was first.

    On an error, Ctrl-C or an end of the asking no further item is begun, and no thread is left.

    Parameters
    ----------
    function : callable(item)
        Called in `workers` threads at once; where it is 1 and `ahead` is not given, in the caller's.
    items : iterable
        Asked for as they are needed.
    workers : int
        Threads.
    ahead : int or None
        Results made before they are asked for, which bounds what is held; by default 4 a worker.
    """
    if workers <= 1 and ahead is None:
        yield from map(function, items)
        return
    depth = _AHEAD * workers if ahead is None else ahead
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="histome") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(copy_context().run, function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def limited(count: int) -> Iterator[None]:
    """Hold OpenCV's own threads to `count` in this process, and give back what was there before.

    Threads that begin from now on share heaps, then and afterwards.
    Networks are given their number of threads; of numba nothing runs in threads of its own, and BLAS works on
    matrices of three columns. It is not asked for its threads: to find BLAS among the loaded libraries takes
    the loader's lock and then Python's, and a profile stood still once where another thread held the second
    and loaded a library.
    """
    import cv2

    _share_heaps()
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _share_heaps() -> None:
    """Let threads that are still to begin share two heaps: each of their own keeps what it once held."""
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(_M_ARENA_MAX, _HEAPS)


def give_back_memory() -> None:
    """Return to the system what was let go of but is held for what may come, by the C library and by Arrow.

    Millions of small pieces, such as the corners of polygons, leave holes between what stays.
    """
    if arrow := sys.modules.get("pyarrow"):
        arrow.default_memory_pool().release_unused()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)
