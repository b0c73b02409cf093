"""A training that goes on from its checkpoint, held against one that was never cut."""

from pathlib import Path
from typing import Any

import torch

from histome.training.checkpoint import CHECKPOINT

# Of the way since the cut. Kernels repeat themselves within a process: 0 is what is seen, with room for last
# bits. Where the optimizer's moments were forgotten, theirs is 0.5 or more.
_LARGEST_SHARE = 0.06


def kept(folder: Path) -> dict[str, Any]:
    """The checkpoint of a run."""
    return torch.load(folder / CHECKPOINT, weights_only=True)


def assert_went_on(cut: dict[str, Any], again: dict[str, Any], whole: dict[str, Any]) -> None:
    """Weights, averages, norms' statistics, moments: a run that went on from `cut` ends as `whole` does."""
    assert cut["step"] < whole["step"] == again["step"]
    before, resumed, undisturbed = (_learned(state) for state in (cut, again, whole))
    assert resumed.keys() == undisturbed.keys()
    for name, end in undisturbed.items():
        way = (end - before[name]).norm()
        assert way > 0, f"{name}: nothing was learned since the cut"
        apart = ((resumed[name] - end).norm() / way).item()
        assert apart < _LARGEST_SHARE, f"{name}: {apart:.3f} of the way since the cut apart"


def _learned(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """What has changed in training, in one row of numbers a kind."""
    moments = [each for _, each in sorted(state["optimizer"]["state"].items())]
    rows = {name: [each[name] for each in moments] for name in ("exp_avg", "exp_avg_sq")}
    for part in (name for name in state if name != "optimizer" and isinstance(state[name], dict)):
        for name, values in state[part].items():
            if torch.is_tensor(values) and values.is_floating_point():
                rows.setdefault(f"{part}, statistics" if "running_" in name else part, []).append(values)
    return {name: torch.cat([each.flatten().double() for each in row]) for name, row in rows.items()}
