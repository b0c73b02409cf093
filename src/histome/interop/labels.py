"""Classes of other programs: which of ours each of their labels is, and where a file keeps its labels."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.errors import HistomeError, UsageError

NO_LABEL = "(none)"
LABEL_KEYS = ("class", "class_name", "label", "type", "cell_type", "cell_class", "classification", "name")


@dataclass(frozen=True)
class Labels:
    """Which of our classes each foreign label is; our own names stand for themselves."""

    cells: Mapping[str, str] = field(default_factory=dict)
    tissue: Mapping[str, str] = field(default_factory=dict)


def read_labels(path: Path | str) -> Labels:
    """Read a map.toml: tables [cells] and [tissue] of `their label = "our class"`.

    Raises UsageError when it cannot be read, has another table, or names a class that is not ours.
    """
    path = Path(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the class map ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML ({error})") from error
    ours = {"cells": CELL_CLASSES, "tissue": TISSUE_CLASSES}
    for name, table in tables.items():
        if name not in ours or not isinstance(table, dict):
            raise UsageError(f"{path}: [{name}] is not one of the tables [cells] and [tissue]")
        wrong = sorted({str(value) for value in table.values() if value not in ours[name]})
        if wrong:
            raise UsageError(
                f"{path}: [{name}] has unknown classes {', '.join(wrong)}; ours are {', '.join(ours[name])}"
            )
    return Labels(**tables)


def map_labels(
    found: Sequence[Any] | NDArray[Any], mapping: Mapping[str, str], ours: tuple[str, ...], path: Path
) -> NDArray[np.int64]:
    """Return the index in `ours` of each foreign label (n,); HistomeError lists all unmapped ones.

    Our own names stand for themselves, as "Carcinoma cell" and "CARCINOMA_CELL" too; no label is `NO_LABEL`.
    """
    names, inverse = np.unique(np.asarray(found).astype(str), return_inverse=True)
    own = {_plain(name): name for name in ours}
    known = {name: own[_plain(name)] for name in names.tolist() if _plain(name) in own} | dict(mapping)
    unmapped = [name for name in names.tolist() if name not in known]
    if unmapped == [NO_LABEL]:
        rows = np.flatnonzero(inverse == names.tolist().index(NO_LABEL))
        raise HistomeError(
            f"{path}: row {rows[0] + 1} has no class ({len(rows):,} such rows): remove them, or give them "
            f'one by "{NO_LABEL}" in the class map.'
        )
    if unmapped:
        table = "cells" if ours is CELL_CLASSES else "tissue"
        raise HistomeError(
            f"{path}: no class for {', '.join(unmapped)}; add them to [{table}] of the class map."
        )
    index = np.array([ours.index(known[name]) for name in names.tolist()], np.int64)
    return index[inverse] if len(index) else np.empty(0, np.int64)


def _plain(name: str) -> str:
    """Return a name without case, spaces and hyphens."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def label_column(table: pa.Table, path: Path) -> NDArray[np.object_]:
    """Return the labels of a table as strings; raises HistomeError when no column is called like one."""
    lower = {name.lower(): name for name in table.column_names}
    for key in LABEL_KEYS:
        if key in lower:
            column = table[lower[key]].combine_chunks().cast(pa.string()).fill_null("")
            labels = column.to_numpy(zero_copy_only=False)
            labels[labels == ""] = NO_LABEL
            return labels
    raise HistomeError(f"{path}: no column is called {', '.join(LABEL_KEYS)}.")
