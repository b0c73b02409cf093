"""One color a class, fixed once: the report, the exports, the viewer and the files of class maps use these.

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
ZONE_COLORS = {
    "TUMOR_CORE": "#7A0403",
    "INNER_INVASIVE_MARGIN": "#E2560C",
    "OUTER_INVASIVE_MARGIN": "#F9BA38",
    "EXTRATUMORAL_TISSUE": "#3E9BFE",
}
# Of a class map's classes, whichever vocabulary they are of; no name is in two.
MAP_COLORS = QC_COLORS | TISSUE_COLORS | ZONE_COLORS


def rgb(color: str) -> tuple[int, int, int]:
    """Return the red, green and blue (0-255) of a color written `#RRGGBB`."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
