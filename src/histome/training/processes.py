"""The processes that torchrun starts: which one this is, and how one waits for the others."""

import os
from datetime import timedelta
from typing import NamedTuple

import torch


class Worker(NamedTuple):
    """One process among those of torchrun: its rank, their number, its device."""

    rank: int
    processes: int
    device: str


def start(timeout_s: float = 10_800.0, *, device: str | None = None) -> Worker:
    """Join the process group that torchrun announces; alone without it.

    Parameters
    ----------
    timeout_s : float
        How long a process waits for another one: the first chooses thresholds and scores alone.
    device : str or None
        cpu or cuda; cuda where there is one.
    """
    gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = (f"cuda:{local}" if device in (None, "cuda") else device) if gpu else "cpu"
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1 and not torch.distributed.is_initialized():
        if gpu:
            torch.cuda.set_device(local)
        torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(seconds=timeout_s))
    return Worker(int(os.environ.get("RANK", "0")), processes, place)


def wait(worker: Worker) -> None:
    """Let the other processes catch up (with what the first one wrote)."""
    if worker.processes > 1:
        torch.distributed.barrier()
