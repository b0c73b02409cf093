"""What a stage of a curriculum came to, and its files read back."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histome.training.checkpoint import told_damaged

RESULT, MAPS = "result.json", "held_out.npz"
REMEDY = f"remove {RESULT} beside it to score the stage again"


@dataclass(frozen=True)
class StageResult:
    """What one stage came to; `result.json` of its folder.

    Attributes
    ----------
    stage, steps : int
        Number from 1, optimizer steps.
    teacher : int or None
        Stage whose network labeled the patches; None for human labels.
    patches : int
        Patches that it learned from: fields, or the kept of `filter`.
    filter : dict[str, Any] or None
        total, without_foreground, kept and entropy quantiles (nats) of the pseudo-labels.
    cuts : dict[str, float]
        Thresholds, chosen on the tuning fields.
    scores : dict[str, Any]
        Of the held-out fields: `pixels`, at other scales too, and, by data set, nuclei; each with interval
        and number of sources.
    gain : dict[str, float] or None
        Mean IoU less that of the best stage before with its interval, its number of sources and its p, see
        `scores.paired_gain`; None for the first.
    agreement : float or None
        Share of the held-out pixels with the class of the stage before; None for the first.
    promoted : bool
        Whether its mean IoU is above that of the best stage before.
    """

    stage: int
    steps: int
    teacher: int | None
    patches: int
    filter: dict[str, Any] | None
    cuts: dict[str, float]
    scores: dict[str, Any]
    gain: dict[str, float] | None
    agreement: float | None
    promoted: bool

    def verdict(self) -> str:
        """One line: promoted or not, and by how much."""
        miou = self.scores["pixels"]["miou"]["value"]
        if self.gain is None:
            units = self.scores["pixels"]["miou"]["units"]
            return f"stage {self.stage}: mIoU {miou:.3f} on the held-out fields, n = {units} sources"
        gain = f"{self.gain['value']:+.3f} [{self.gain['low']:+.3f}, {self.gain['high']:+.3f}]"
        gain += f", p {self.gain['p']:.4f}, n = {self.gain['units']} sources"
        word = "promoted" if self.promoted else "not promoted: not better than the best stage before"
        return f"stage {self.stage}: mIoU {miou:.3f}, {gain}; {word}"


def read_result(path: Path) -> StageResult:
    """Read a result.json; raises UsageError, one line, where it is damaged."""
    with told_damaged(path, "remove it to score the stage again"):
        return StageResult(**json.loads(path.read_text(encoding="utf-8")))


def read_maps(folder: Path) -> dict[str, NDArray[Any]]:
    """Read what a stage found on the held-out fields; raises UsageError, one line, where it is damaged."""
    path = folder / MAPS
    with told_damaged(path, REMEDY), path.open("rb") as file, np.load(file) as maps:
        return {"pixels": maps["pixels"]} | dict(maps)
