"""The columns of uncertainty: the ends of each metric's interval, and the method or why there is none."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from histome.config import MetricsConfig
from histome.metrics.catalogue import FAMILIES
from histome.metrics.declaration import Family, Metric
from histome.metrics.results import Result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, blocks_of
from histome.metrics.uncertainty.bootstrap import (
    FEW_BLOCKS,
    FEWEST_BLOCKS,
    Interval,
    block_interval,
    draw_blocks,
)

_NO_VALUE = "there is no value"


def intervals_of(
    specimen: Specimen, wanted: Iterable[Family], config: MetricsConfig
) -> tuple[Blocks, Mapping[str, Interval]]:
    """Return the blocks of a specimen, and by pattern the intervals of what is a function of their sums."""
    blocks = blocks_of(specimen, config.block_um)
    if len(blocks) < FEWEST_BLOCKS:
        return blocks, {}
    drawn = draw_blocks(blocks, config.draws, config.seed)
    found = {}
    for family in wanted:
        if family.block_sums is not None:
            for pattern, sums in family.block_sums(specimen, blocks).items():
                found[pattern] = block_interval(sums, drawn, workers=specimen.maps.workers)
    return blocks, found


def interval_columns(
    metrics: Sequence[Metric],
    results: Mapping[str, Result],
    intervals: tuple[Blocks, Mapping[str, Interval]],
) -> dict[str, pa.Array]:
    """Return low, high and method of every metric."""
    blocks, found = intervals
    low, high = np.full(len(metrics), np.nan), np.full(len(metrics), np.nan)
    method = [f"block bootstrap, {len(blocks)} blocks of {blocks.size_um:g} um"] * len(metrics)
    for k, metric in enumerate(metrics):
        pattern = metric.template.pattern
        if why := _why_none(metric, results[pattern], blocks, found.get(pattern)):
            method[k] = f"none: {why}"
        else:
            low[k], high[k] = (end[metric.index] for end in found[pattern][:2])
    none = np.isnan(low)
    return {
        "low": pa.array(low, mask=none),
        "high": pa.array(high, mask=none),
        "method": pa.array(method),
    }


def _why_none(metric: Metric, result: Result, blocks: Blocks, interval: Interval | None) -> str:
    """Return why a metric has no interval; nothing where it has one."""
    family = FAMILIES[metric.family]
    if family.block_sums is None:
        return family.no_interval
    if np.isnan(result.value[metric.index]):
        return _NO_VALUE
    if len(blocks) < FEWEST_BLOCKS:
        return FEW_BLOCKS
    return family.no_interval if interval is None else interval.reason[metric.index]
