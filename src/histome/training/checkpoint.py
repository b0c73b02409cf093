"""Checkpoints of training runs: written in one move, so that an interruption never leaves half of one."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from histome.errors import UsageError

CHECKPOINT = "checkpoint.pt"


class Stateful(Protocol):
    """What has a state: a network, its running average, an optimizer."""

    def state_dict(self) -> dict[str, Any]:
        """The state, as tensors and numbers."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Take up a state."""
        ...


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state beside its file, then move it there."""
    with path.with_suffix(".tmp").open("wb") as file:  # of a name torch tells a full disk as its own fault
        torch.save(dict(state), file)
    path.with_suffix(".tmp").replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text beside its file, then move it there; names of files keep their bytes that are no UTF-8."""
    path.with_suffix(".tmp").write_text(text, encoding="utf-8", errors="surrogateescape")
    path.with_suffix(".tmp").replace(path)


def save(path: Path, parts: Mapping[str, Stateful], **numbers: Any) -> None:
    """Write the states of the parts, and the numbers beside them."""
    write(path, {name: part.state_dict() for name, part in parts.items()} | numbers)


def load(path: Path, parts: Mapping[str, Stateful], *, device: str = "cpu", **wanted: Any) -> dict[str, Any]:
    """Give the parts their saved states; returns the numbers, none where there is no checkpoint.

    Parameters
    ----------
    **wanted : Any
        Numbers that must stand in the checkpoint.

    Raises
    ------
    UsageError
        One does not: the checkpoint is of another run; or it is damaged.
    """
    if not path.exists():
        return {}
    try:
        state = torch.load(path, weights_only=True, map_location=device)
    except torch.OutOfMemoryError:
        raise  # says nothing against the file
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UsageError(
            f"{path}: cannot be read ({reason}); if it is damaged remove it to begin anew"
        ) from error
    if any(state.get(name) != value for name, value in wanted.items()):
        raise UsageError(f"{path}: from another recipe or other data; remove it or give another folder")
    for name, part in parts.items():
        part.load_state_dict(state.pop(name))
    return state


def load_average(folder: Path) -> dict[str, Tensor]:
    """State of a run's averaged network, to start another run from or to export."""
    state = torch.load(folder / CHECKPOINT, weights_only=True, map_location="cpu")["average"]
    return {name.removeprefix("module."): v for name, v in state.items() if name != "n_averaged"}


def write_average(net: nn.Module, folder: Path) -> None:
    """Write a network as the averaged network of a run, for `load_average`."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / CHECKPOINT, {"average": {f"module.{k}": v for k, v in net.state_dict().items()}})
