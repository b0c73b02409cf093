"""Reference ranges: quantiles of every metric by organ, for reports of later slides to show."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import histome
from histome.cohort.answers.tables.measured import CohortNumbers
from histome.errors import DataError
from histome.report.reference import EVERY_ORGAN, FORMAT, KEY, PERCENTILES
from histome.store.disk import writing

# Fewer say nothing of the 5th and the 95th percentile.
FEWEST = 20


def write_reference(measured: CohortNumbers, path: str | Path) -> pa.Table:
    """Write the percentiles 5, 25, 50, 75 and 95 of every metric, by organ and over all; return them.

    A row an organ and metric with at least 20 values, of slides or patients as `measured` has them. A report
    shows them where `[report] reference` names the file. Raises DataError for fewer than 20 rows, and for
    numbers that were harmonized: later slides are not.
    """
    if measured.harmonized:
        raise DataError("reference ranges are made of numbers as they were measured, not harmonized")
    if len(measured) < FEWEST:
        raise DataError(f"{len(measured)} {measured.each}s: reference ranges need {FEWEST}")
    organs = np.array([text.lower() for text in measured.about.get("organ", [""] * len(measured))])
    parts = [(EVERY_ORGAN, np.ones(len(measured), bool))]
    parts += [(str(name), organs == name) for name in np.unique(organs) if name]
    rows = [row for name, mine in parts for row in _rows(measured, name, mine)]
    if not rows:
        raise DataError(f"no metric has {FEWEST} values: there is no reference range")
    about = {"format": FORMAT, "each": measured.each, "histome": histome.__version__}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({KEY: json.dumps(about).encode()})
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        pq.write_table(table, partial, compression="zstd")
        partial.replace(path)
    return table


def _rows(measured: CohortNumbers, organ: str, mine: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for k, (name, unit) in enumerate(zip(measured.names, measured.units, strict=True)):
        values = measured.value[mine, k]
        values = values[np.isfinite(values)]
        if len(values) >= FEWEST:
            ends = np.percentile(values, PERCENTILES)
            named = {f"p{p:02d}": float(end) for p, end in zip(PERCENTILES, ends, strict=True)}
            rows.append({"organ": organ, "name": name, "unit": unit, "n": len(values), **named})
    return rows
