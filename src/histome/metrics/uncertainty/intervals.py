"""The columns of uncertainty: the ends of each metric's interval, and the method or why there is none."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from histome.config import MetricsConfig
from histome.metrics.catalogue import FAMILIES
from histome.metrics.declaration import Family, Metric, Template, templates_of
from histome.metrics.results import Result
from histome.metrics.specimen import Specimen
from histome.metrics.uncertainty.blocks import Blocks, blocks_of
from histome.metrics.uncertainty.bootstrap import (
    FEW_BLOCKS,
    FEWEST_BLOCKS,
    UNTOLD,
    Draws,
    Interval,
    block_interval,
    draw_blocks,
)

_NO_VALUE = "there is no value"


class Resampling(NamedTuple):
    """The blocks of a specimen and how often each is drawn; None where there are too few."""

    blocks: Blocks
    drawn: Draws | None


def resampling_of(specimen: Specimen, config: MetricsConfig) -> Resampling:
    """Cut a specimen into blocks and draw them."""
    blocks = blocks_of(specimen, config.block_um)
    if len(blocks) < FEWEST_BLOCKS:
        return Resampling(blocks, None)
    return Resampling(blocks, draw_blocks(blocks, config.draws, config.seed))


def intervals_of(specimen: Specimen, family: Family, resampling: Resampling) -> dict[str, Interval]:
    """Return by pattern the intervals of what is a function of sums over blocks."""
    blocks, drawn = resampling
    if drawn is None or family.block_sums is None:
        return {}
    along = {template.pattern: _axis_along(template) for template in templates_of(family.templates)}
    return {
        pattern: block_interval(sums, drawn, along=along[pattern], workers=specimen.maps.workers)
        for pattern, sums in family.block_sums(specimen, blocks).items()
    }


def interval_columns(
    metrics: Sequence[Metric],
    results: Mapping[str, Result],
    blocks: Blocks,
    found: Mapping[str, Interval],
) -> dict[str, pa.Array]:
    """Return low, high, method and the ends of the band of every metric."""
    low, high, band_low, band_high = np.full((4, len(metrics)), np.nan)
    method = [f"block bootstrap, {len(blocks)} blocks of {blocks.size_um:g} um"] * len(metrics)
    for k, metric in enumerate(metrics):
        pattern = metric.template.pattern
        if why := _why_none(metric, results[pattern], blocks, found.get(pattern)):
            method[k] = f"none: {why}"
        else:
            low[k], high[k] = (end[metric.index] for end in found[pattern][:2])
            if metric.template.along:
                band_low[k], band_high[k] = _band(metric, results[pattern], found[pattern])
    ends = {"low": low, "high": high, "band_low": band_low, "band_high": band_high}
    return {name: pa.array(end, mask=np.isnan(end)) for name, end in ends.items()} | {
        "method": pa.array(method)
    }


def _axis_along(template: Template) -> int | None:
    """Return the place of the axis that a template is a function of."""
    return template.axes.index(template.along) if template.along else None


def _band(metric: Metric, result: Result, interval: Interval) -> tuple[float, float]:
    """Return the ends of the band at one distance: those of the interval, farther off by `wider`."""
    value, wider = result.value[metric.index], interval.wider[metric.index]
    low, high = (value + wider * (end[metric.index] - value) for end in interval[:2])
    least, most = metric.template.range
    return max(low, -np.inf if least is None else least), min(high, np.inf if most is None else most)


def _why_none(metric: Metric, result: Result, blocks: Blocks, interval: Interval | None) -> str:
    """Return why a metric has no interval; nothing where it has one."""
    family = FAMILIES[metric.family]
    if family.block_sums is None:
        return family.no_interval
    if np.isnan(result.value[metric.index]):
        return _NO_VALUE
    if len(blocks) < FEWEST_BLOCKS:
        return FEW_BLOCKS
    why = UNTOLD if interval is None else interval.reason[metric.index]
    return family.no_interval if why == UNTOLD else why
