"""How colors are named and shown: labels and legends of the layers."""

from histome.colors import CELL_COLORS, QC_COLORS, TISSUE_COLORS, ZONE_COLORS, rgb

__all__ = ["CELL_COLORS", "QC_COLORS", "TISSUE_COLORS", "ZONE_COLORS", "rgb"]

# Of the stripes of tissue of the class OTHER over a slide, where its own pale color hardly shows.
HATCH_COLOR = "#5B5F58"
QC_LABELS = {
    "TISSUE_ARTIFACT": "Artifact",
    "NO_TISSUE": "No tissue",
    "MARKER": "Pen",
    "OUT_OF_FOCUS": "Out of focus",
    "VALID_TISSUE": "Valid tissue",
}
TISSUE_LABELS = {
    "CARCINOMA": "Carcinoma",
    "EPITHELIAL_TISSUE": "Normal epithelium",
    "NECROSIS": "Necrosis",
    "STROMA": "Stroma",
    "OTHER": "Other tissue",
    "BLOOD": "Blood",
    "VESSEL": "Vessel",
}
CELL_LABELS = {
    "carcinoma_cell": "Carcinoma cell",
    "endothelial_cell": "Endothelial cell",
    "epithelial_cell": "Epithelial cell",
    "fibroblast": "Fibroblast",
    "granulocyte": "Granulocyte",
    "lymphocyte": "Lymphocyte",
    "macrophage": "Macrophage",
    "other": "Other cell",
    "plasma_cell": "Plasma cell",
}
ZONE_LABELS = {
    "TUMOR_CORE": "Tumor core",
    "INNER_INVASIVE_MARGIN": "Inner invasive margin",
    "OUTER_INVASIVE_MARGIN": "Outer invasive margin",
    "EXTRATUMORAL_TISSUE": "Beyond the margins",
}

_LAYERS = {
    "qc": (QC_COLORS, QC_LABELS),
    "tissue": (TISSUE_COLORS, TISSUE_LABELS),
    "cells": (CELL_COLORS, CELL_LABELS),
    "zones": (ZONE_COLORS, ZONE_LABELS),
}


def legend(layer: str) -> list[dict[str, str]]:
    """Return key, color, label of the classes of "qc", "tissue", "cells" or "zones", without bare glass."""
    colors, labels = _LAYERS[layer]
    keys = [key for key in colors if key != "NO_TISSUE"]
    return [{"key": key, "color": colors[key], "label": labels[key]} for key in keys]
