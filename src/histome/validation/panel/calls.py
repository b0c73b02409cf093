"""Positive or negative, and the class that follows: rules of a panel over the markers of each nucleus."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.validation.panel.declared import Panel
from histome.validation.panel.measure import MarkerReading
from histome.validation.raters.page import Section

NOT_CALLED = ("", "no class", "conflict", "lost")
# Who says so, among the raters of a table of votes.
PANEL_RATER = "panel"


class PanelCalls(NamedTuple):
    """The class of each of n nuclei.

    Attributes
    ----------
    label : (n,) str
        A class of the panel; "" where there is none.
    why : (n,) str
        Of those without: "no class" (no rule holds), "conflict" (the rules of several do), "lost" (a marker
        that a rule asks about could not be read and might decide); "" else.
    positive : marker -> (n,) bool
        By the marker's share; False where lost.
    """

    label: NDArray[np.str_]
    why: NDArray[np.str_]
    positive: Mapping[str, NDArray[np.bool_]]


def call_classes(readings: Mapping[str, MarkerReading], panel: Panel) -> PanelCalls:
    """Decide the class of each nucleus.

    A nucleus is lost where a rule cannot be decided that the markers that were read do not rule out.
    """
    positive = {
        name: ~readings[name].lost & (readings[name].share >= marker.share)
        for name, marker in panel.markers.items()
    }
    n = len(next(iter(positive.values())))
    holds, may = np.zeros((2, len(panel.classes), n), bool)
    for k, rule in enumerate(panel.classes.values()):
        asked = [(name, True) for name in rule.positive] + [(name, False) for name in rule.negative]
        fits = [(positive[name] == wanted) | readings[name].lost for name, wanted in asked]
        read = [~readings[name].lost for name, _ in asked]
        may[k] = np.all(fits, axis=0)
        holds[k] = may[k] & np.all(read, axis=0)
    number, open_ = holds.sum(0), (may & ~holds).any(0)
    names = np.array([*panel.classes, ""])
    label = np.where((number == 1) & ~open_, names[holds.argmax(0)], "")
    why = np.select([open_, number == 0, number > 1], ["lost", "no class", "conflict"], "")
    return PanelCalls(label, why, positive)


def panel_sections(calls: PanelCalls, readings: Mapping[str, MarkerReading], panel: Panel) -> list[Section]:
    """How many nuclei are of each class and of none, each marker, and which rules are in conflict."""
    n = len(calls.label)
    said = np.where(calls.label == "", calls.why, calls.label)
    rows = [
        {"label": name, "nuclei": int((said == name).sum()), "of": n}
        for name in (*panel.classes, *NOT_CALLED[1:])
    ]
    markers = [
        {
            "marker": name,
            "stain": panel.markers[name].stain,
            "positive": int(calls.positive[name].sum()),
            "lost": int(reading.lost.sum()),
            **_spread(reading.od),
        }
        for name, reading in readings.items()
    ]
    text = (
        f"By color deconvolution in the nucleus or a ring of {panel.ring_um:g} um around it. A conflict is a "
        "nucleus that fits the rules of several classes; lost, one that could not be read in a picture and "
        "might be of a class. Neither has a label."
    )
    both = [{"markers": " + ".join(pair), "nuclei": number} for pair, number in _conflicts(calls)]
    return [
        Section("classes", "Classes by the panel", text, rows, figure=""),
        Section("markers", "Markers", "Optical density in the marker's compartment.", markers, figure=""),
        *(
            [Section("conflicts", "Conflicts", "Markers that are positive together.", both, figure="")]
            if both
            else []
        ),
    ]


def _spread(od: NDArray[np.float32]) -> dict[str, Any]:
    known = od[~np.isnan(od)]
    at = np.percentile(known, [10, 50, 90]).tolist() if len(known) else [float("nan")] * 3
    return dict(zip(("od_p10", "od_median", "od_p90"), at, strict=True))


def _conflicts(calls: PanelCalls) -> list[tuple[tuple[str, ...], int]]:
    """The sets of markers that conflicting nuclei have, the most frequent first."""
    table = np.stack(list(calls.positive.values()), axis=1)[calls.why == "conflict"]
    sets, number = np.unique(table, axis=0, return_counts=True)
    names = [tuple(name for name, there in zip(calls.positive, row, strict=True) if there) for row in sets]
    return sorted(zip(names, number.tolist(), strict=True), key=lambda pair: -pair[1])
