"""The training loop that all networks share: batches ahead, schedule, log, checkpoints, resume.

A trainer adds its `update`: what one step does with a batch. Batch k of a run depends on its seed and k
alone, so a run that was cut in two equals one that was not.
"""

import csv
import io
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from histome.errors import UsageError
from histome.threads import ordered_map
from histome.training.checkpoint import CHECKPOINT, Stateful, load, save, write_text
from histome.training.progress import Pace, say_now

Batch = TypeVar("Batch", covariant=True)


class BatchSampler(Protocol[Batch]):
    """Draws batches: fields, places and changes by `rng` alone."""

    def batch(self, rng: np.random.Generator) -> Batch:
        """One batch."""
        ...


class Schedule(Protocol):
    """Length of a run and its learning rate; a recipe is one."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        ...

    @property
    def restarts(self) -> tuple[int, ...]:
        """Steps at which the rate is back at its largest."""
        ...

    @property
    def decay_steps(self) -> int:
        """Steps over which it falls to 0 before each restart and the end."""
        ...

    @property
    def learning_rate(self) -> float:
        """Its largest value."""
        ...


def learning_rate(step: int, schedule: Schedule) -> float:
    """Warm up, stay, fall to 0 (1 - root) over `decay_steps` before a restart and the end.

    It warms up over 200 steps, or over a fifth of a run of fewer than 1,000.
    """
    end = min(s for s in (*schedule.restarts, schedule.steps) if s > step)
    left = (end - step) / schedule.decay_steps
    warm = (step + 1) / max(1, min(200, schedule.steps // 5))
    return schedule.learning_rate * min(1.0, warm) * (1.0 if left >= 1 else 1 - (1 - left) ** 0.5)


def batches(sampler: BatchSampler[Batch], first: int, last: int, *seed: int) -> Iterator[Batch]:
    """Batches `first`..`last` - 1, made one ahead in a thread.

    Batch k depends on the seed and k alone; numbers after the first of `seed` (a worker's rank) follow k.
    """
    make = lambda k: sampler.batch(np.random.default_rng((seed[0], k, *seed[1:])))  # noqa: E731
    return ordered_map(make, range(first, last), 1, ahead=1)


class Trainer(ABC):
    """Network, running average if it has one, optimizer and step: what a checkpoint holds.

    Made in a folder with a checkpoint, it goes on from there.

    Parameters
    ----------
    net, optimizer : nn.Module and Optimizer
        Made anew, on `device`. Groups of the optimizer may hold a `factor` of the learning rate.
    folder : Path
        Where checkpoint.pt is.
    ema : float or None
        Share of the running average that stays at each step; None: there is no average.
    settings : Mapping[str, Any] or None
        Numbers of the checkpoint that must be the same in a run that goes on.
    """

    clip_norm = 5.0

    def __init__(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        folder: Path,
        *,
        device: str = "cpu",
        ema: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.net, self.optimizer, self.device = net, optimizer, device
        self.average = None
        if ema is not None:
            self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True)
        self.settings, self.path, self.step = settings or {}, folder / CHECKPOINT, 0
        folder.mkdir(parents=True, exist_ok=True)
        self.resumed = self.path.exists()
        self.restore(load(self.path, self.parts, device=device, **self.settings))

    @property
    def parts(self) -> dict[str, Stateful]:
        """What has a state."""
        parts = {"net": self.net, "average": self.average, "optimizer": self.optimizer}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def averaged(self) -> nn.Module:
        """The averaged network where there is one, else the network."""
        return self.net if self.average is None else self.average.module

    def numbers(self) -> dict[str, Any]:
        """What a checkpoint holds besides states."""
        return {"step": self.step}

    def restore(self, numbers: Mapping[str, Any]) -> None:
        """Take up the numbers of a checkpoint; there are none at the start of a run."""
        self.step = numbers.get("step", 0)

    def save(self) -> None:
        """Write the checkpoint in one move."""
        save(self.path, self.parts, **self.settings, **self.numbers())

    def set_rate(self, rate: float) -> None:
        """Set the learning rate, times each group's factor."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)

    def descend(self) -> None:
        """Take the step that the gradients say, clipped, and let the average follow."""
        nn.utils.clip_grad_norm_(self.net.parameters(), self.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.net)
        self.step += 1

    @abstractmethod
    def update(self, batch: Any) -> dict[str, float]:
        """One optimizer step; returns the losses."""


def refuse_lost(net: nn.Module, folder: Path, step: int) -> None:
    """Raise UsageError where a parameter is no number or its square is none, which norms then make 0 of.

    One step may lose them all, and its loss is that of the weights before.
    """
    for name, parameter in net.named_parameters():
        if not parameter.detach().float().square().sum().isfinite():
            raise UsageError(
                f"{folder}: {name} is no number, or too large, after step {step}; take a smaller "
                f"learning rate, and remove {CHECKPOINT} there if it is from before"
            )


def run(
    trainer: Trainer,
    ready: Iterable[Any],
    last: int,
    *,
    every: int,
    evaluate: Callable[[], Mapping[str, float]] = dict,
    save_every: int | None = None,
    log: Path | None = None,
) -> None:
    """Update with each batch; every `every` steps and at step `last`, evaluate, log and save.

    A row of the log is step, seconds since this call, the mean losses since the last row, and what `evaluate`
    says; `save_every` saves more often. Between the rows a line now and then says how far it is. Raises
    UsageError at the first loss that is no number, for the weights are none then either, and for weights that
    are none before they are saved.
    """
    sums, summed, began = dict[str, float](), 0, time.monotonic()
    pace = Pace(trainer.step, last)
    for batch in ready:
        losses = trainer.update(batch)
        if lost := [name for name, loss in losses.items() if not math.isfinite(loss)]:
            told = f"{lost[0]} is {losses[lost[0]]} at step {trainer.step}"
            raise UsageError(f"{trainer.path.parent}: {told}; take a smaller learning rate")
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0.0) + loss
        summed += 1
        pace.step(trainer.step, losses)
        due = trainer.step % every == 0 or trainer.step == last
        between = save_every is not None and trainer.step % save_every == 0
        if due or between:
            refuse_lost(trainer.net, trainer.path.parent, trainer.step)
        if due:
            row = {"step": trainer.step, "seconds": round(time.monotonic() - began)}
            row |= {name: round(total / summed, 4) for name, total in sums.items()} | dict(evaluate())
            if log is not None:
                log_row(log, row)
            trainer.save()
            sums, summed = {}, 0
        elif between:
            trainer.save()


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Subnormal gradients cost a quarter of a CPU step (0.66 s -> 0.51 s); flushed only while training runs.

    The flag is the process': left on, the caller's own small numbers would become 0 too.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def log_row(path: Path, row: Mapping[str, float]) -> None:
    """Add a row to the training log, a CSV file that gets its header first, and print it.

    A row of this step or a later one is of a run that was killed before its checkpoint: it is taken out.
    """
    before, text = _rows_before(path, row["step"]), io.StringIO()
    writer = csv.DictWriter(text, list(row), lineterminator="\n")
    if not before:
        writer.writeheader()
    writer.writerow(row)
    write_text(path, "".join(before) + text.getvalue())
    say_now(", ".join(f"{name} {value}" for name, value in row.items()))


def _rows_before(path: Path, step: float) -> list[str]:
    """The header of a log and its rows before a step; no row that was cut off."""
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    rows = [row for row in text.splitlines(keepends=True) if row.endswith("\n")]
    steps = (row.partition(",")[0] for row in rows)
    return [row for row, at in zip(rows, steps, strict=True) if not (at.isdecimal() and int(at) >= step)]
