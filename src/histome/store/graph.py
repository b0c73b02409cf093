"""The graph of stages and their keys: what decides each one's result."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import histome


class Stage(NamedTuple):
    """One step of a run, a node of the graph that `after` draws.

    Attributes
    ----------
    name : str
        Also its folder's.
    after : tuple of str
        The stages whose values it reads, all listed before it.
    code : tuple of str
        Folders and modules of the package whose sources decide its result.
    inputs : mapping
        Whatever else does, as JSON.
    """

    name: str
    after: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = {}


def stage_keys(stages: Sequence[Stage], source: Mapping[str, Any]) -> dict[str, str]:
    """Return each stage's key: sha256 of its inputs, its code and the keys of the stages that it reads.

    `source` stands for the slide where a stage reads no other: so a stage is made anew where something on its
    way changed, and only there.
    """
    keys: dict[str, str] = {}
    for stage in stages:
        before = {name: keys[name] for name in stage.after} or {"slide": source}
        about = {"stage": stage.name, "inputs": stage.inputs, "code": code_hash(stage.code)}
        keys[stage.name] = _digest({**about, "after": before})
    return keys


def with_ancestors(wanted: Sequence[str], stages: Sequence[Stage]) -> tuple[str, ...]:
    """Return the wanted stages and all that they read, however far back, in the order of `stages`."""
    needed = set(wanted)
    for stage in reversed(stages):
        if stage.name in needed:
            needed.update(stage.after)
    return tuple(stage.name for stage in stages if stage.name in needed)


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def code_version() -> str:
    """Return the version and a hash of all the package's sources, for run.json."""
    return f"{histome.__version__}+{code_hash(('.',))[:12]}"


@cache
def code_hash(parts: tuple[str, ...]) -> str:
    """Return a hash of the sources of some folders and modules, named from the package's root."""
    root = Path(histome.__file__).parent
    files = {path for part in parts for path in [root / part, *(root / part).rglob("*")] if _is_code(path)}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _is_code(path: Path) -> bool:
    # Of the TOML files, models' cards stand in the keys of their stages; thresholds are as code.
    return path.suffix in (".py", ".html", ".css", ".js", ".j2") or path.name == "phenotypes.toml"
