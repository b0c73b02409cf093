"""Profiles on disk without a run: drawn nuclei, maps by hand, every file as the stages write it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from helpers.drawn_nuclei import DrawnNetwork, Ellipse, draw
from helpers.profiles import make_metrics

from histome.caveats.codes import caveat
from histome.cells import find_cells
from histome.classes import QC_CLASSES, TISSUE_CLASSES
from histome.qc import Quality
from histome.qc.stain import Stain
from histome.slide import ClassMap, Frame, ProbabilityMap
from histome.store.disk import write_json
from histome.store.files import CELLS, METRICS, QUALITY, TISSUE
from histome.store.profile import Profile, load_profile
from histome.store.sealed import write_sealed
from histome.tissue import Tissue

MPP = (0.25, 0.5)  # oblong: whoever mixes x and y shows it
SIZE_PX = (1280, 480)
EXTENT_UM = (320.0, 240.0)
CELL_MPP, QUALITY_MPP = 2.0, 8.0


def drawn_ellipses() -> list[Ellipse]:
    """A lattice of 12 x 9 nuclei of all classes."""
    rng = np.random.default_rng(7)
    return [
        Ellipse(25.0 * i + 18, 25.0 * j + 15, *rng.uniform(3, 5, 2), 0.4, (i + j) % 9)
        for j in range(9)
        for i in range(12)
    ]


def _tissue(frame: Frame) -> Tissue:
    """Carcinoma on the left half, stroma on the right with a vessel in it."""
    codes = np.full((120, 160), TISSUE_CLASSES.index("STROMA") + 1, np.uint8)
    codes[:, :80] = TISSUE_CLASSES.index("CARCINOMA") + 1
    codes[40:70, 120:150] = TISSUE_CLASSES.index("VESSEL") + 1
    probabilities = ProbabilityMap.empty(codes.shape, CELL_MPP, TISSUE_CLASSES)
    for k in range(len(TISSUE_CLASSES)):
        probabilities.array[k] = np.where(codes == k + 1, 230, 4).astype(np.uint8)
    return Tissue.of(ClassMap(codes, CELL_MPP, TISSUE_CLASSES, frame=frame), probabilities)


def _quality(frame: Frame) -> Quality:
    codes = np.full((30, 40), QC_CLASSES.index("VALID_TISSUE") + 1, np.uint8)
    codes[:8, 30:] = QC_CLASSES.index("MARKER") + 1
    codes[-3:] = QC_CLASSES.index("NO_TISSUE") + 1
    drawn = ClassMap(codes, QUALITY_MPP, QC_CLASSES, frame=frame)
    planes = np.zeros(codes.shape, np.float32), np.ones(codes.shape, np.uint16)
    return Quality(drawn, *planes, (245.0, 245.0, 245.0), True, 0.6, EXTENT_UM, MPP, Stain())


def keep_profile(folder: Path, name: str = "drawn") -> Profile:
    """Write the profile of a drawn slide called `name` to a folder and open it."""
    folder.mkdir(parents=True)
    frame = Frame(name, SIZE_PX, MPP)
    slide, tissue = draw(SIZE_PX, drawn_ellipses(), mpp=MPP), _tissue(frame)
    cells = find_cells(slide, tissue, DrawnNetwork())
    parts: dict[str, tuple[Any, Any]] = {
        "qc": (QUALITY, _quality(frame)),
        "tissue": (TISSUE, tissue),
        "cells": (CELLS, cells),
        "metrics": (METRICS, make_metrics(families=("core", "certainty", "ratios"))),
    }
    for stage, (files, value) in parts.items():
        record = {
            "format": "histome profile 1",
            "key": "k",
            "warnings": [],
            "broken_tiles_px": [],
            "facts": {},
        }
        write_sealed(folder / stage, record, partial(files.save, value))
    write_json(folder / "run.json", _run(name))
    return load_profile(folder)


def _run(name: str) -> dict[str, Any]:
    slide = {
        "id": name,
        "file": f"{name}.svs",
        "fingerprint": "ab" * 32,
        "size_px": list(SIZE_PX),
        "mpp": {"x": MPP[0], "y": MPP[1]},
    }
    return {
        "format": "histome profile 1",
        "state": "done",
        "slide": slide,
        "stages": {},
        "warnings": [caveat("ORGAN_NOT_STATED", "State it.")._asdict()],
        "models": [{"name": "made-up", "version": "1"}],
        "code": "0.1.0+abc",
    }
