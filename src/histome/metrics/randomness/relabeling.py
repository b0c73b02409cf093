"""All relabelings of the cells of a graph within their tissues, in closed form: mean and SD of the pairs.

A relabeling exchanges the classes among the cells of one tissue and keeps every position: how many cells of
each class each tissue has stays as it is. With one tissue these are the join counts without replacement of
Cliff and Ord 1981.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import product
from math import log, perm, prod, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.metrics.axes import PAIR_CODES
from histome.metrics.declaration import UNBOUNDED, Items, Template, in_loops, templates_of
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen

# With fewer pairs expected, one pair more or less moves the logarithm by more than 0.25.
_FEWEST_PAIRS = 5
_FEW_PAIRS = f"fewer than {_FEWEST_PAIRS} such pairs are expected"
_UNSEEN = "no such pair is seen"
_CERTAIN = "relabeling within the tissues cannot change the number of pairs"
NULL_MODEL = "exchange of the classes among the cells of one nucleated tissue"

# In each tissue how many cells must be of the first class and how many of the second -> how many such events.
_Events = Mapping[tuple[tuple[int, int], ...], int]
# How many cells of a tissue an event may name, of each class: two edges have four ends.
_DRAWN = tuple((a, b) for a in range(5) for b in range(5 - a))


class TissueGraph(NamedTuple):
    """Who is whose neighbor, summed over the tissues s, t, u of the cells.

    Attributes
    ----------
    edges : (tissues, tissues) int64
        Ordered pairs of neighbors, one in s and one in t.
    forks : (tissues, tissues, tissues) int64
        Ordered pairs of different neighbors, one in t and one in u, of a cell in s.
    """

    edges: NDArray[np.int64]
    forks: NDArray[np.int64]


def graph_of(degree: NDArray[np.integer[Any]], tissue: NDArray[np.integer]) -> TissueGraph:
    """Return the sums of a graph, from each cell's neighbors by tissue (n, tissues) and its tissue (n,)."""
    tissues = degree.shape[1]
    edges = np.zeros((tissues, tissues), np.int64)
    forks = np.zeros((tissues, tissues, tissues), np.int64)
    for s in range(tissues):
        own = degree[tissue == s].astype(np.int64)
        edges[s], forks[s] = own.sum(axis=0), own.T @ own
    every = np.arange(tissues)
    forks[:, every, every] -= edges
    return TissueGraph(edges, forks)


def relabeled(
    graph: TissueGraph, counts: NDArray[np.int64], pairs: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and SD over all relabelings of the ordered pairs of each two classes.

    Exact integers all the way: the variance is a difference of numbers 1e10 times as large.

    Parameters
    ----------
    counts : (classes, tissues) int64
        Cells of each class in each tissue.
    pairs : sequence of (int, int)
        Classes. Of one class with itself every pair is counted twice, once in each order.
    """
    present = np.flatnonzero(counts.sum(axis=0))
    edges = graph.edges[np.ix_(present, present)].tolist()
    forks = graph.forks[np.ix_(present, present, present)].tolist()
    once, twice = _edge_events(edges), _two_edge_events(edges, forks)
    events = {False: (once, twice), True: (_of_one(once), _of_one(twice, 2))}
    mean, sd = np.zeros(len(pairs)), np.zeros(len(pairs))
    for k, (a, b) in enumerate(pairs):
        if counts[a].any() and counts[b].any():
            given = (counts[a, present].tolist(), counts[b, present].tolist())
            sizes = counts[:, present].sum(axis=0).tolist()
            first, second = (_expected(each, given, sizes) for each in events[a == b])
            mean[k], sd[k] = float(first), sqrt(second - first * first)
    return mean, sd


def expected_pairs(
    pairs: NDArray[np.float64],
    counts: NDArray[np.float64],
    across: NDArray[np.float64],
    inside: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the expected ordered pairs of classes, (..., radii, classes, classes).

    A pair between tissues s, t is of classes a, b by counts[a, s] counts[b, t] / (across[s] across[t]), one
    inside s by counts[a, s] counts[b, s] / inside[s], in one class with one fewer: with the cells of the
    tissues as `across` the mean under relabeling, with areas that of classes scattered evenly.

    Parameters
    ----------
    pairs : (..., radii, tissues, tissues)
        Ordered pairs of all cells, or points, by tissue; `radii` may be missing.
    counts : (..., classes, tissues)
        Cells of each class.
    across, inside : (..., tissues)
        Cells, or area, of each tissue, and the ordered pairs of them.
    """
    if pairs.ndim == counts.ndim:
        return expected_pairs(pairs[..., None, :, :], counts, across, inside)[..., 0, :, :]
    share = np.nan_to_num(quotient(counts, across[..., None, :]))[..., None, :, :]
    own = np.einsum("...tt->...t", pairs)
    between = share @ (pairs * (1 - np.eye(pairs.shape[-1]))) @ np.swapaxes(share, -1, -2)
    rest = counts[..., None, :, :] - np.eye(counts.shape[-2])[:, :, None]
    ways = np.nan_to_num(quotient(counts[..., :, None, :] * rest, inside[..., None, None, :]))
    return between + np.einsum("...abs,...rs->...rab", ways, own)


def _edge_events(edges: list) -> _Events:
    """Count the ordered edges by the tissues of their cells."""
    every = range(len(edges))
    return Counter({_event(every, (s,), (t,)): edges[s][t] for s, t in product(every, repeat=2)})


def _two_edge_events(edges: list, forks: list) -> _Events:
    """Count the pairs of ordered edges by the tissues of their cells: the same, sharing a cell, apart."""
    every = range(len(edges))
    events: Counter = Counter(_edge_events(edges))
    for s, t, u in product(every, repeat=3):
        events[_event(every, (s,), (t, u))] += forks[s][t][u]
        events[_event(every, (t, u), (s,))] += forks[s][t][u]
    for s, t, u, v in product(every, repeat=4):
        apart = edges[s][t] * edges[u][v]
        apart -= edges[s][t] * (((s, t) == (u, v)) + ((s, t) == (v, u)))
        apart -= (s == u) * forks[s][t][v] + (t == v) * forks[t][s][u]
        apart -= (t == u) * forks[t][s][v] + (s == v) * forks[s][t][u]
        events[_event(every, (s, u), (t, v))] += apart
    return events


def _event(every: range, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return how many cells of each tissue must be of the first class and of the second."""
    return tuple((first.count(s), second.count(s)) for s in every)


def _of_one(events: _Events, turns: int = 1) -> _Events:
    """Return the events where both classes are one; edges that share a cell can also do so turned round."""
    merged: Counter = Counter()
    for event, times in events.items():
        cells = sum(a + b for a, b in event)
        merged[tuple((a + b, 0) for a, b in event)] += times * (turns if cells < 4 else 1)
    return merged


def _expected(events: _Events, given: tuple[list[int], list[int]], sizes: Sequence[int]) -> Fraction:
    """Return the sum of the events' probabilities, each times its number."""
    ways_of = [_ways(*each) for each in zip(*given, sizes, strict=True)]
    total = 0
    for event, times in events.items():
        ways = times
        for of_tissue, drawn in zip(ways_of, event, strict=True):
            ways *= of_tissue[drawn]
        total += ways
    return Fraction(total, prod(perm(size, min(size, 4)) for size in sizes))


def _ways(first: int, second: int, size: int) -> Mapping[tuple[int, int], int]:
    """Return the ways to draw cells of a tissue in order, by how many of the first are of each class.

    Four cells are drawn, or all where there are fewer.
    """
    most = min(size, 4)
    return {
        (a, b): perm(first, a) * perm(second, b) * perm(size - a - b, most - a - b) if a + b <= most else 0
        for a, b in _DRAWN
    }


def log2_results(
    seen: NDArray[np.int64], mean: NDArray[np.float64], sd: NDArray[np.float64]
) -> tuple[Result, Result]:
    """Return log2 of the pairs seen over their mean, and its SD under relabeling: SD / (mean ln 2).

    n is the number of pairs expected, rounded down.
    """
    with np.errstate(divide="ignore"):
        fold = np.log2(quotient(seen, mean))
    n = np.floor(mean)
    few, certain = (n < _FEWEST_PAIRS, _FEW_PAIRS), (sd == 0, _CERTAIN)
    return (
        result(fold, n, few, certain, (seen == 0, _UNSEEN)),
        result(quotient(sd, mean) / log(2), n, few, certain),
    )


def log2_templates(name: str, *, pairs: str, which: str, tail: str = "") -> Items:
    """Return the templates of `log2_within_tissues`: the log2 and its SD under relabeling.

    Parameters
    ----------
    name, tail : str
        What stands before and behind the two classes in the names.
    pairs, which : str
        What is counted, in one word, and in words with {touching}.
    """
    declared = partial(
        Template, unit="1", smallest_sample=_FEWEST_PAIRS, counts=f"{pairs} expected, rounded down"
    )
    return in_loops(
        ("touching",),
        declared(
            f"{name}_{{touching}}{tail}",
            formula=f"log2 of the {which} / their mean under relabeling within each tissue",
            nulls=(_FEW_PAIRS, _CERTAIN, _UNSEEN),
            range=UNBOUNDED,
        ),
        declared(
            f"{name}_NULL_SD_{{touching}}{tail}",
            formula="SD of that log2 under relabeling within each tissue: "
            f"SD of the {pairs} / (their mean x ln 2)",
            nulls=(_FEW_PAIRS, _CERTAIN),
        ),
    )


def log2_within_tissues(
    templates: Items, specimen: Specimen, table: NDArray[np.int64], degree: NDArray[np.integer[Any]]
) -> Mapping[str, Result]:
    """Return the results of `log2_templates`.

    Parameters
    ----------
    table : (9, 9) int64
        Unordered pairs of neighbors by their classes, in the upper triangle.
    degree : (n, tissues) int
        Neighbors of each cell by tissue.
    """
    pairs = tuple(PAIR_CODES.values())
    # Of one class `relabeled` counts every pair in both orders.
    orders = np.array([1 + (a == b) for a, b in pairs])
    graph = graph_of(degree, specimen.nucleated)
    mean, sd = (moment / orders for moment in relabeled(graph, specimen.tissue_counts, pairs))
    results = log2_results(np.array([table[pair] for pair in pairs]), mean, sd)
    return dict(zip((each.pattern for each in templates_of(templates)), results, strict=True))
