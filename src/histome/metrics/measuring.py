"""From a tissue map and a table of cells to the table of metrics: one row for every declared name."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from histome.config import MetricsConfig
from histome.geotable import TableLike
from histome.metrics.catalogue import list_metrics, measured_together, select_families
from histome.metrics.declaration import Family, Metric, templates_of
from histome.metrics.evidence import evidence_column
from histome.metrics.families.areas.scan import scan_facts
from histome.metrics.maps import make_tissue_maps
from histome.metrics.results import Result
from histome.metrics.specimen import Specimen, cells_as_arrays, counted_specimen
from histome.metrics.uncertainty.bootstrap import Interval
from histome.metrics.uncertainty.discoveries import columns_of_tests
from histome.metrics.uncertainty.intervals import Resampling, interval_columns, intervals_of, resampling_of
from histome.models.label_support import Support, weakly_supported
from histome.qc import Quality
from histome.threads import available_cpus, give_back_memory
from histome.tissue import Tissue

METRIC_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("value", pa.float64()),
        ("unit", pa.string()),
        ("n", pa.int64()),
        ("reason", pa.string()),
        # The same metric without the cells whose class the model abstained from.
        ("value_confident", pa.float64()),
        ("n_confident", pa.int64()),
        ("reason_confident", pa.string()),
        # Marks of the classes in the name that the model was hardly taught; null where there is none.
        ("evidence", pa.string()),
        # The 95 % interval of the value, and what made it; "none: " and why where there is none.
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("method", pa.string()),
        # Of a function of distance: 95 % that it lies between these at all its distances at once.
        ("band_low", pa.float64()),
        ("band_high", pa.float64()),
        # Of a test of a null model: two-sided p, and q over the tests of its family (Benjamini-Hochberg).
        ("p", pa.float64()),
        ("q", pa.float64()),
    ]
)


class MetricCounts(NamedTuple):
    """How many metrics: declared, not a function of other declared ones, and with a value on this slide."""

    declared: int
    non_redundant: int
    finite: int


def measure(
    tissue: Tissue,
    cells: TableLike,
    quality: Quality | None = None,
    config: MetricsConfig | None = None,
    *,
    facts: Mapping[str, float] | None = None,
    workers: int | None = None,
) -> pa.Table:
    """Measure a slide: one row per declared metric of the chosen families, in catalogue order.

    The worker count and the order of the rows never change a value.

    Parameters
    ----------
    tissue : Tissue
        As a profile holds it; `Tissue.of` makes one of a map.
    cells : pa.Table
        As a profile holds it; at least the columns x_um, y_um, class. Those that the tissue map has in
        necrosis, blood or no tissue are only numbered (family not-counted).
    quality : Quality or None
        As a profile holds it; None when the slide's pixels were not seen.
    facts : mapping of str to float
        What is known of the slide besides, by the names of the family scan in lower case.
    workers : int
        Threads, all allowed CPUs by default.

    Returns
    -------
    pa.Table
        `METRIC_SCHEMA`: name, value (null with a reason), unit, n (items behind the value), reason, and the
        three again for the confident cells only; with `confident_only` the first three hold those already.
        Families that measure no cells repeat their value. `evidence` marks the metrics of classes that the
        model had no or few labels of (see `metrics.evidence`), where the cells table says so. `low` and
        `high` are the 95 % interval of the value, null where `method` says why (see `metrics.uncertainty`);
        `band_low` and `band_high` hold a function of distance as a whole; `p` and `q` are those of tests.

    Raises
    ------
    HistomeError
        Unusable cells.

    Examples
    --------
    Two lymphocytes and a fibroblast on one square millimeter of stroma:

    >>> import numpy as np
    >>> import pyarrow as pa
    >>> from histome.classes import TISSUE_CLASSES
    >>> from histome.config import MetricsConfig
    >>> from histome.metrics import measure
    >>> from histome.slide import ClassMap
    >>> from histome.tissue import Tissue
    >>> stroma = np.full((500, 500), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    >>> tissue = Tissue.of(ClassMap(stroma, mpp=2.0, classes=TISSUE_CLASSES))
    >>> classes = ["lymphocyte", "lymphocyte", "fibroblast"]
    >>> cells = pa.table({"x_um": [100.0, 120.0, 900.0], "y_um": [500.0] * 3, "class": classes})
    >>> table = measure(tissue, cells, config=MetricsConfig(families=("cells-by-tissue",)))
    >>> metrics = {row["name"]: row for row in table.to_pylist()}
    >>> [metrics["CELL_DENSITY_LYMPHOCYTE_STROMA"][key] for key in ("value", "unit", "n")]
    [2e-06, 'cells/um2', 2]
    >>> [metrics["CELL_DENSITY_LYMPHOCYTE_CARCINOMA"][key] for key in ("value", "reason")]
    [None, 'there is no carcinoma']
    """
    workers = workers or available_cpus()
    measured = scan_facts(quality) if quality else {}
    maps = make_tissue_maps(
        tissue.map,
        quality=quality and quality.map,
        regions=tissue.regions,
        zones=tissue.zones,
        glands=tissue.glands,
        facts=measured | dict(facts or {}),
        workers=workers,
    )
    specimen = counted_specimen(maps, cells_as_arrays(cells, tissue.map))
    return measure_specimen(specimen, config or MetricsConfig())


def measure_specimen(specimen: Specimen, config: MetricsConfig) -> pa.Table:
    """Measure a specimen, see `measure`."""
    chosen = select_families(config.families)
    confident = _without_abstained(specimen)
    if config.confident_only:
        specimen = confident
    resampling = resampling_of(specimen, config)
    found = _Found({}, {}, {}, {})
    for families in measured_together(chosen):
        # One specimen after the other: what each derives from its cells is not held twice.
        for family in families:
            _measure_family(family, specimen, resampling, found)
        specimen.forget()
        give_back_memory()
        for family in families:
            again = family.of_cells and confident is not specimen
            found.sure.update(_compute(family, confident) if again else _of_family(family, found.everything))
        confident.forget()
        give_back_memory()
    metrics = list_metrics(chosen)
    columns = _columns_of(chosen, found.everything, found.sure, weakly_supported(specimen.cells.class_labels))
    columns |= interval_columns(metrics, found.everything, resampling.blocks, found.intervals)
    columns |= columns_of_tests(metrics, found.tests)
    return pa.table({name: columns[name] for name in METRIC_SCHEMA.names}, schema=METRIC_SCHEMA)


def count_metrics(table: pa.Table) -> MetricCounts:
    """Count what a metrics table holds; the honest answer to "how many metrics?"."""
    names = set(table["name"].to_pylist())
    kept = [metric for metric in list_metrics() if metric.name in names]
    finite = len(table) - table["value"].null_count
    return MetricCounts(len(kept), sum(not metric.derived for metric in kept), finite)


def _without_abstained(specimen: Specimen) -> Specimen:
    """Return the specimen of the confident cells; the same object when no cell abstained."""
    abstained = specimen.cells.abstained
    if abstained is None or not abstained.any():
        return specimen
    return specimen.select(~abstained)


class _Found(NamedTuple):
    """What the families gave so far, by pattern; `sure` is of the confident cells alone."""

    everything: dict[str, Result]
    sure: dict[str, Result]
    intervals: dict[str, Interval]
    tests: dict[str, NDArray[np.float64]]


def _measure_family(family: Family, specimen: Specimen, resampling: Resampling, found: _Found) -> None:
    """Add what a family gives of all cells to `found`."""
    results = _compute(family, specimen)
    found.everything.update(results)
    found.intervals.update(intervals_of(specimen, family, resampling))
    if family.tests is not None:
        found.tests.update(family.tests(specimen, results))


def _of_family(family: Family, found: Mapping[str, Result]) -> dict[str, Result]:
    """Return the results of a family out of those by pattern."""
    return {template.pattern: found[template.pattern] for template in templates_of(family.templates)}


def _compute(family: Family, specimen: Specimen) -> Mapping[str, Result]:
    """Return the results of a family by pattern."""
    results = family.compute(specimen)
    check_results(family, results)
    return results


def check_results(family: Family, results: Mapping[str, Result]) -> None:
    """Raise ValueError unless these are the results of the family's templates, null for declared reasons."""
    declared = {template.pattern: template for template in templates_of(family.templates)}
    if odd := declared.keys() ^ results.keys():
        raise ValueError(f"family {family.id}: declared or computed only: {', '.join(sorted(odd))}")
    for pattern, template in declared.items():
        if odd := {str(reason) for reason in results[pattern].reason.flat} - {"", *template.nulls}:
            raise ValueError(f"{pattern} is null for a reason that it does not declare: {', '.join(odd)}")


def _columns_of(
    wanted: Sequence[str],
    everything: Mapping[str, Result],
    sure: Mapping[str, Result],
    weak: Mapping[str, Support],
) -> dict[str, Sequence]:
    """Spell the values out in catalogue order, by column."""
    metrics = list_metrics(wanted)
    columns: dict[str, Sequence] = {"name": [m.name for m in metrics], "unit": [m.unit for m in metrics]}
    columns |= dict(zip(("value", "n", "reason"), _columns(metrics, everything), strict=True))
    names = ("value_confident", "n_confident", "reason_confident")
    columns |= dict(zip(names, _columns(metrics, sure), strict=True))
    columns["evidence"] = evidence_column(metrics, weak)
    return columns


def _columns(metrics: Sequence[Metric], found: Mapping[str, Result]) -> tuple[Sequence, Sequence, Sequence]:
    """Return value, n and reason of every metric."""
    value, n = np.empty(len(metrics)), np.empty(len(metrics), np.int64)
    reason: list[str | None] = [None] * len(metrics)
    for k, metric in enumerate(metrics):
        cell, place = found[metric.template.pattern], metric.index
        value[k], n[k] = cell.value[place], cell.n[place]
        if np.isnan(value[k]):
            reason[k] = cell.reason[place].format_map(metric.words)
    return pa.array(value, mask=np.isnan(value)), pa.array(n), reason
