"""How many CPUs we may use."""

import math
import os
from pathlib import Path


def available_cpus() -> int:
    """Return the number of CPUs this process may use, at least 1, from its affinity and cgroup quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no affinity
        count = os.cpu_count() or 1
    quota = _cgroup_cpus(Path("/sys/fs/cgroup"))
    return count if quota is None else max(1, min(count, math.ceil(quota)))


def _cgroup_cpus(root: Path) -> float | None:
    """CPUs granted by the cgroup (version 2, then version 1) mounted at `root`; None without a quota."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:  # "max" and "-1": no quota
        return None
    return int(quota) / int(period)
