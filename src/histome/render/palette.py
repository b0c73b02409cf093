"""One color a class, fixed once: the report, the exports and the viewer all draw with these.

The hues follow habit (carcinoma red, epithelium orange, connective tissue green, lymphocytes blue); within
those hues the exact colors were searched for the largest smallest difference between two classes of one
palette. The smallest CIEDE2000 difference of any two is 20 for cells, 22 for tissues and 31 for quality, in
normal vision and in simulated full protanopia, deuteranopia and (times 1.3) tritanopia (Machado 2009,
doi:10.1109/TVCG.2009.113). Carcinoma and epithelium, the pair that matters most, differ by 37 or more in all
but the last, and in how light they are: as outlines one pixel wide they still differ by 20.
"""

QC_COLORS = {
    "TISSUE_ARTIFACT": "#E59800",
    "NO_TISSUE": "#E5DAE6",
    "MARKER": "#380A66",
    "OUT_OF_FOCUS": "#0080FF",
    "VALID_TISSUE": "#00664D",
}
TISSUE_COLORS = {
    "CARCINOMA": "#A70009",
    "EPITHELIAL_TISSUE": "#FFB300",
    "NECROSIS": "#1A1414",
    "STROMA": "#49917F",
    "OTHER": "#EAEBE0",
    "BLOOD": "#621A89",
    "VESSEL": "#3EC5FF",
}
# Of the stripes of tissue of the class OTHER over a slide, where its own pale color hardly shows.
HATCH_COLOR = "#5B5F58"
CELL_COLORS = {
    "carcinoma_cell": "#8F000F",
    "endothelial_cell": "#73D9FF",
    "epithelial_cell": "#F69100",
    "fibroblast": "#038763",
    "granulocyte": "#D323FF",
    "lymphocyte": "#0A1699",
    "macrophage": "#F7FFB2",
    "other": "#B3C5BB",
    "plasma_cell": "#43353F",
}

# What a tile's value is on a phenotype axis; the two grays say that there is no label.
LEVEL_COLORS = {
    "low": "#115AC4",
    "intermediate": "#F7D97B",
    "high": "#C24119",
    "undefined": "#2C2C2C",
    "few": "#969696",
}

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

_LAYERS = {
    "qc": (QC_COLORS, QC_LABELS),
    "tissue": (TISSUE_COLORS, TISSUE_LABELS),
    "cells": (CELL_COLORS, CELL_LABELS),
}


def rgb(color: str) -> tuple[int, int, int]:
    """Return the red, green and blue (0-255) of a color written `#RRGGBB`."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def legend(layer: str) -> list[dict[str, str]]:
    """Return key, color and label of the classes of a layer ("qc", "tissue", "cells"), without bare glass."""
    colors, labels = _LAYERS[layer]
    keys = [key for key in colors if key != "NO_TISSUE"]
    return [{"key": key, "color": colors[key], "label": labels[key]} for key in keys]
