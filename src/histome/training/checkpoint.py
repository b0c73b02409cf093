"""Checkpoints of training runs: written in one move, so that an interruption never leaves half of one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
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
    state = read_state(path, device)
    if any(state.get(name) != value for name, value in wanted.items()):
        raise UsageError(f"{path}: from another recipe or other data; remove it or give another folder")
    with told_damaged(path):
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
    return state


def read_state(path: Path, device: str = "cpu", *, remedy: str = "remove it to begin anew") -> dict[str, Any]:
    """Read what `write` wrote; raises UsageError, one line, for a file that is missing or damaged."""
    with told_damaged(path, remedy):
        state = torch.load(path, weights_only=True, map_location=device)
        if not isinstance(state, dict):
            raise TypeError(f"it holds {type(state).__name__}, no state")
    return state


@contextmanager
def told_damaged(path: Path, remedy: str = "remove it to begin anew") -> Iterator[None]:
    """Turn whatever is raised of a damaged file of a run into UsageError, one line: its name, what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, UsageError):
        raise  # says nothing against the file, or all of it
    except Exception as error:  # bytes that are no file of torch's end it in any way
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{path}: cannot be read ({reason}); if it is damaged {remedy}") from error


def load_average(folder: Path) -> dict[str, Tensor]:
    """State of a run's averaged network, to start another run from or to export."""
    with told_damaged(folder / CHECKPOINT):
        state = read_state(folder / CHECKPOINT)["average"]
    return {name.removeprefix("module."): v for name, v in state.items() if name != "n_averaged"}


def write_average(net: nn.Module, folder: Path) -> None:
    """Write a network as the averaged network of a run, for `load_average`."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / CHECKPOINT, {"average": {f"module.{k}": v for k, v in net.state_dict().items()}})
