"""Cohorts by number: metric tables of patients with planted effects, as profiles on disk or in memory."""

import csv
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from scipy.special import expit

from histome.cohort.answers.tables.measured import CohortNumbers
from histome.exports.workbook import CORE_NUMBERS
from histome.metrics.catalogue import find_metric
from histome.store.disk import write_json
from histome.store.files import METRICS
from histome.store.sealed import write_sealed

# Planted: metric -> shift of the arm "treated" in SD; log hazard per SD; shifts of scanners A, B, C in SD.
ARM = {"CELL_DENSITY_LYMPHOCYTE_CARCINOMA": 0.7, "CELL_DENSITY_PLASMA_CELL_STROMA": 0.6}
HAZARD = {"NUCLEUS_AVG_AREA_CARCINOMA_CELL": np.log(1.8)}
SCANNER = {
    "FOCUS_SCORE": (0.0, 1.2, -0.8),
    "NUCLEUS_AVG_ROUNDNESS_CARCINOMA_CELL": (0.0, 0.9, 0.0),
    "CELL_DENSITY_GRANULOCYTE_STROMA": (0.0, 0.0, 0.8),
}
BASE = (
    *("CELL_COUNT_LYMPHOCYTE_CARCINOMA", "CELL_COUNT_PLASMA_CELL_CARCINOMA", "CELL_COUNT_LYMPHOCYTE_STROMA"),
    *("CELL_COUNT_PLASMA_CELL_STROMA", "ABSOLUTE_AREA_CARCINOMA", "ABSOLUTE_AREA_STROMA"),
    *("CELL_COUNT_CARCINOMA_CELL_CARCINOMA", "ABSOLUTE_AREA_NECROSIS"),
)
NAMES = (*CORE_NUMBERS, *BASE)
# Share of a metric's variance that lies between slides of one patient.
_WITHIN = 0.15


class Cohort(NamedTuple):
    """Slides by metrics in SD (`scores`) and in units, and what the manifest says of each slide."""

    rows: list[dict[str, str]]
    scores: np.ndarray
    measured: CohortNumbers


def simulate(patients: int = 300, *, seed: int = 1, planted: bool = True, twice: float = 0.1) -> Cohort:
    """A cohort in memory: two arms, three scanners, survival in months; one in ten has two slides."""
    rng = np.random.default_rng(seed)
    arm, scanner = rng.permutation(patients) % 2, rng.integers(0, 3, patients)
    factors = rng.normal(size=(patients, 4)) @ rng.normal(size=(4, len(NAMES))) * 0.35
    own = factors + rng.normal(size=(patients, len(NAMES)))
    own = (own - own.mean(axis=0)) / own.std(axis=0)
    weight = float(planted)
    hazard = sum(weight * beta * own[:, NAMES.index(name)] for name, beta in HAZARD.items()) + np.zeros(
        patients
    )
    for name, shift in ARM.items():
        own[:, NAMES.index(name)] += weight * shift * arm
    for name, shifts in SCANNER.items():
        own[:, NAMES.index(name)] += weight * np.array(shifts)[scanner]
    event, censored = rng.exponential(40 / np.exp(hazard)), rng.uniform(12, 90, patients)
    of = np.sort(np.concatenate([np.arange(patients), np.flatnonzero(rng.uniform(size=patients) < twice)]))
    scores = np.sqrt(1 - _WITHIN) * own[of] + np.sqrt(_WITHIN) * rng.normal(size=(len(of), len(NAMES)))
    rows = [
        {
            "path": f"/slides/s{k:03d}.svs",
            "slide": f"s{k:03d}",
            "patient": f"patient-{p:03d}",
            "organ": "breast" if p % 3 else "colon",
            "stain": "H&E",
            "mpp": "0.25",
            "exclude": "",
            "arm": ("control", "treated")[arm[p]],
            "scanner": "ABC"[scanner[p]],
            "months": f"{max(0.1, min(event[p], censored[p])):.2f}",
            "died": str(int(event[p] <= censored[p])),
            "age": str(40 + (37 * p) % 45),
        }
        for k, p in enumerate(of.tolist())
    ]
    return Cohort(rows, scores, _measured(rows, scores))


def _measured(rows: list[dict[str, str]], scores: np.ndarray) -> CohortNumbers:
    value = in_units(scores)
    about = {name: tuple(row[name] for row in rows) for name in rows[0]}
    units = tuple(find_metric(name).unit for name in NAMES)
    half = 0.05 * np.abs(value)
    n = np.full(value.shape, 1000)
    return CohortNumbers("slide", about["slide"], about, NAMES, units, value, value - half, value + half, n)


def in_units(scores: np.ndarray) -> np.ndarray:
    """Values that rise with the scores: shares in their range, the others log-normal around a usual value."""
    value = np.empty_like(scores)
    for k, name in enumerate(NAMES):
        metric = find_metric(name)
        high = metric.template.range[1] if metric.template.range else None
        if high is not None:
            value[:, k] = high * expit(scores[:, k] - 1)
        else:
            value[:, k] = _usual(metric.unit) * np.exp(0.5 * scores[:, k])
    tissue = {name: NAMES.index(f"ABSOLUTE_AREA_{name}") for name in ("CARCINOMA", "STROMA")}
    for cell in ("LYMPHOCYTE", "PLASMA_CELL"):
        for name, at in tissue.items():
            density = f"CELL_DENSITY_{cell}_{name}"
            per_um2 = value[:, NAMES.index(density)] if density in NAMES else np.full(len(value), 4e-5)
            value[:, NAMES.index(f"CELL_COUNT_{cell}_{name}")] = np.round(per_um2 * value[:, at])
    return value


def _usual(unit: str) -> float:
    return {"um2": 8e6, "cells": 20_000.0, "cells/um2": 2e-4}.get(unit, 1.0)


def keep_cohort(folder: Path, cohort: Cohort) -> Path:
    """Write the manifest and a profile of metrics alone for each slide."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(cohort.rows[0]))
        writer.writeheader()
        writer.writerows(cohort.rows)
    for row, values, low, high in zip(
        cohort.rows, cohort.measured.value, cohort.measured.low, cohort.measured.high, strict=True
    ):
        keep_numbers(folder / row["slide"], row["slide"], values, (low, high))
    return folder


def keep_numbers(folder: Path, slide: str, values: np.ndarray, ends: tuple[Any, Any] | None = None) -> None:
    """Write a profile that holds metrics alone."""
    n = len(NAMES)
    low, high = ends or (values, values)
    known = np.isfinite(values)
    table = pa.table(
        {
            "name": list(NAMES),
            "value": pa.array(values, mask=~known),
            "unit": [find_metric(name).unit for name in NAMES],
            "n": pa.array(np.full(n, 1000)),
            "reason": pa.array([None if each else "there is none" for each in known.tolist()], pa.string()),
            "low": pa.array(low, mask=~known),
            "high": pa.array(high, mask=~known),
            "method": ["block bootstrap"] * n,
        }
    )
    record = {"format": "histome profile 1", "key": "k", "warnings": [], "broken_tiles_px": [], "facts": {}}
    folder.mkdir(parents=True)
    write_sealed(folder / "metrics", record, partial(METRICS.save, table))
    about = {"id": slide, "file": f"{slide}.svs", "fingerprint": "ab" * 32, "size_px": [1000, 800]}
    about["mpp"] = {"x": 0.25, "y": 0.25}
    run = {"format": "histome profile 1", "state": "done", "slide": about, "stages": {}, "warnings": []}
    write_json(folder / "run.json", {**run, "models": [], "code": "0.1.0+abc"})
