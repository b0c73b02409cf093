"""The numbers of a cohort: what its manifest says and what its profiles measured, as one matrix."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.errors import DataError, UsageError
from histome.store.profile import Profile, load_profile

Floats = NDArray[np.float64]
MANIFEST = "manifest.csv"
# What `cohort run` knows of a slide; every other column of the manifest is the user's own.
OWN_COLUMNS = ("path", "slide", "patient", "organ", "stain", "mpp", "exclude")
_NO = ("", "0", "no", "false")


@dataclass(frozen=True, eq=False)
class CohortNumbers:
    """Slides, or patients, by metrics.

    Attributes
    ----------
    each : "slide" or "patient"
        What a row is.
    ids : tuple of str
        Slide or patient of each row.
    about : mapping of str to tuple of str
        Columns of the manifest, "" where nothing is said; of patients, what all their slides agree on.
    names, units : tuple of str
        Of the metrics.
    value, low, high : (rows, metrics) float64
        In the metric's unit, NaN where there is none; the ends are those of 95 % intervals.
    n : (rows, metrics) int64
        Items behind the value.
    how : tuple of str
        How the numbers of a patient's slides became one, by metric; empty of slides.
    harmonized : str
        What was taken off the numbers to make batches alike; empty where they are as measured.
    """

    each: str
    ids: tuple[str, ...]
    about: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...]
    units: tuple[str, ...]
    value: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int64]
    how: tuple[str, ...] = ()
    harmonized: str = ""

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def column(self, name: str) -> NDArray[np.str_]:
        """Return what the manifest says in a column, (rows,); raises DataError where there is none."""
        if name not in self.about:
            own = [key for key in self.about if key not in ("path", "slide", "mpp", "exclude")]
            raise DataError(f"{MANIFEST} has no column {name!r}; it has {', '.join(own) or 'none'}")
        return np.array(self.about[name], dtype=np.str_)

    def numbers(self, name: str) -> Floats:
        """Return a column of the manifest as numbers, NaN where it is empty; DataError for another text."""
        texts = self.column(name)
        try:
            return np.array([float(text) if text.strip() else np.nan for text in texts])
        except ValueError as error:
            bad = next(text for text in texts.tolist() if text.strip() and not _is_number(text))
            raise DataError(f"{MANIFEST}: column {name!r} holds {bad!r}; give numbers") from error

    def metric(self, name: str) -> Floats:
        """Return the values of a metric, (rows,); raises UsageError where it was not measured."""
        return self.value[:, self.place(name)]

    def place(self, name: str) -> int:
        """Return the column of a metric; raises UsageError where it was not measured."""
        if name not in self.names:
            raise UsageError(f"{name} was not measured in this cohort; `histome metrics search` finds names")
        return self.names.index(name)

    def columns(self, places: Sequence[int]) -> "CohortNumbers":
        """Return the same rows with some of the metrics, by place."""
        at = list(places)
        parts = {name: getattr(self, name)[:, at] for name in ("value", "low", "high", "n")}
        texts = {name: tuple(getattr(self, name)[k] for k in at) for name in ("names", "units")}
        how = tuple(self.how[k] for k in at) if self.how else ()
        return replace(self, **parts, **texts, how=how)

    def rows(self, keep: NDArray[np.bool_]) -> "CohortNumbers":
        """Return some of the rows."""
        parts = {name: getattr(self, name)[keep] for name in ("value", "low", "high", "n")}
        about = {name: _kept(column, keep) for name, column in self.about.items()}
        return replace(self, ids=_kept(self.ids, keep), about=about, **parts)


def _kept(column: Sequence[str], keep: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(text for text, kept in zip(column, keep.tolist(), strict=True) if kept)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def manifest_rows(out: str | Path) -> list[dict[str, str]]:
    """Return the rows of a cohort's manifest that are not excluded, texts stripped."""
    path = Path(out) / MANIFEST
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no manifest that can be read; `histome cohort run` writes it") from error
    if rows and "slide" not in rows[0]:
        raise DataError(f"{path}: no column slide, the names of the profiles' folders")
    return [row for row in rows if row.get("exclude", "").lower() in _NO]


def profiles_of(out: str | Path) -> Iterator[tuple[dict[str, str], Profile]]:
    """Yield the manifest's row and the profile of each slide that has metrics; raise DataError where none."""
    found = False
    for row in manifest_rows(out):
        folder = Path(out) / row["slide"]
        if folder.parent == Path(out) and (folder / "metrics").is_dir():
            found = True
            yield row, load_profile(folder)
    if not found:
        raise DataError(f"{out}: no profiles with metrics; `histome cohort run` makes them")


def read_cohort(out: str | Path, *, workers: int = 4) -> CohortNumbers:
    """Return what the slides of a cohort's folder measured, a row a slide in the order of the manifest.

    Slides that the manifest excludes or that have no metrics are left out. Raises DataError where there are
    none, or where slides were not measured alike.
    """
    pairs = list(profiles_of(out))
    with ThreadPoolExecutor(workers) as pool:
        tables = list(pool.map(lambda pair: _numbers_of(pair[1]), pairs))
    first = tables[0]
    for (row, _), table in zip(pairs, tables, strict=True):
        _refuse_other(row["slide"], table, pairs[0][0]["slide"], first)
    heads = dict.fromkeys(name for row, _ in pairs for name in row)
    about = {name: tuple(row.get(name, "") for row, _ in pairs) for name in heads}
    stacked: dict[str, Any] = {
        name: np.stack([table[name].to_numpy() for table in tables]) for name in ("value", "low", "high", "n")
    }
    names, units = (tuple(first[name].to_pylist()) for name in ("name", "unit"))
    return CohortNumbers("slide", about["slide"], about, names, units, **stacked)


def _numbers_of(profile: Profile) -> pa.Table:
    """Return name, unit, value, low, high and n; tables of other makes have no ends."""
    table = profile.metrics
    for name in ("low", "high"):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.float64()))
    filled = table["n"].fill_null(0)
    table = table.set_column(table.schema.get_field_index("n"), "n", filled)
    return table.select(["name", "unit", "value", "low", "high", "n"])


def _refuse_other(slide: str, table: pa.Table, first: str, as_in: pa.Table) -> None:
    ours, theirs = (set(each["name"].to_pylist()) for each in (table, as_in))
    if table["name"].equals(as_in["name"]) and table["unit"].equals(as_in["unit"]):
        return
    differ = sorted(ours ^ theirs)
    what = f"{len(differ)} metrics differ, such as {differ[0]}" if differ else "order or units differ"
    raise DataError(
        f"{slide}: not measured as {first} ({what}); profile all slides with one version and its settings"
    )


def with_patients(measured: CohortNumbers) -> list[str]:
    """Return the patient of each slide; raises DataError where the manifest does not say it."""
    if "patient" not in measured.about:
        raise DataError(f"{MANIFEST} has no column patient; add it, or answer by slide with --each slide")
    for slide, patient in zip(measured.ids, measured.about["patient"], strict=True):
        if not patient:
            raise DataError(f"{MANIFEST}: {slide} has no patient; fill it in, or exclude the slide")
    return list(measured.about["patient"])
