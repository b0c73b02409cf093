"""Reference ranges beside a slide's numbers: where they lie in a cohort that was measured alike."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from histome.errors import UsageError
from histome.metrics.format import MetricValue, format_metric

FORMAT = "histome reference 1"
KEY = b"histome.reference"
PERCENTILES = (5, 25, 50, 75, 95)
EVERY_ORGAN = "all"
_COLUMNS = ("organ", "name", "unit", "n", *(f"p{p:02d}" for p in PERCENTILES))
_WHERE = (
    "lower than in 95 of 100",
    "in the lower quarter",
    "in the middle half",
    "in the middle half",
    "in the upper quarter",
    "higher than in 95 of 100",
)


def reference_key(path: str | Path) -> str:
    """Return the sha256 of a file of reference ranges; raises UsageError where there is none."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: no file of reference ranges ([report] reference)") from error


@dataclass(frozen=True)
class ReferenceRanges:
    """Percentiles of metrics in a cohort.

    Attributes
    ----------
    organ : str
        Of the slides; "all" where the cohort has too few of the organ asked for.
    each : str
        What was counted, "slide" or "patient".
    rows : mapping of str to mapping
        By metric: unit, n and p05 to p95.
    """

    organ: str
    each: str
    rows: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, path: str | Path, organ: str | None) -> "ReferenceRanges":
        """Read the ranges of an organ from a file of `histome cohort reference`; UsageError for another."""
        try:
            table = pq.read_table(path)
            about = json.loads((table.schema.metadata or {})[KEY])
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise UsageError(
                f"{path}: no reference ranges; `histome cohort reference` writes them"
            ) from error
        if about.get("format") != FORMAT or not set(_COLUMNS) <= set(table.column_names):
            raise UsageError(f"{path}: reference ranges of another version; make them again")
        rows = table.to_pylist()
        wanted = (organ or "").lower()
        chosen = wanted if any(row["organ"] == wanted for row in rows) else EVERY_ORGAN
        mine = {row["name"]: row for row in rows if row["organ"] == chosen}
        return cls(chosen, str(about.get("each", "slide")), mine)

    @property
    def words(self) -> str:
        """What the ranges are of."""
        organ = "all organs" if self.organ == EVERY_ORGAN else self.organ
        return f"{organ}, 5th to 95th percentile of {self.each}s"

    def beside(self, row: MetricValue) -> dict[str, str] | None:
        """Return the range of a metric as text, and where its value lies; None where there is none."""
        found = self.rows.get(row.name)
        if found is None or found["unit"] != row.unit or row.value is None:
            return None
        low, high = (format_metric(row._replace(value=found[end])).text for end in ("p05", "p95"))
        ends = [found[f"p{p:02d}"] for p in PERCENTILES]
        where = _WHERE[sum(row.value > end for end in ends)]
        return {"range": f"{low} to {high}", "where": "as all" if ends[0] == ends[-1] == row.value else where}
