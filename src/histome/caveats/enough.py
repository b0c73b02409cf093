"""The smallest samples: a number from fewer is not shown, and the page says why."""

from dataclasses import replace

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.metrics.format import Formatted, MetricTable, format_count, format_number

# With 20 the 95 % interval of a count is 12 to 31.
FEWEST_CELLS = 20
# In as much tissue few cells, or none, are a finding: 4 cells are 2 to 20 per mm2.
ENOUGH_UM2 = 500_000.0
FEWEST_TILES = 10
FEWEST_NUCLEI = 5
# Metric -> the tissue whose area stands behind it: few cells in much of it are shown.
_BY_TISSUE = {"STROMAL_TIL_PERCENT": "STROMA", "INTRATUMORAL_TIL": "CARCINOMA"}
_OF_CELLS = ("CELL_PERCENTAGE_", "TUMOR_PURITY", "IMMUNE_CELL_FRACTION")
_OF_TILES = ("IMMUNE_INFLAMED_SHARE", "IMMUNE_EXCLUDED_SHARE", "IMMUNE_DESERT_SHARE")
_OF_CONFIDENCE = ("CONFIDENCE_", "ABSTAINED_FRACTION_")
_DENSITY = "CELL_DENSITY_"


def fewer_than(fewest: int, what: str, n: int) -> str:
    """Return why a number of n things is not shown; empty from the fewest on."""
    return f"needs {fewest} {what}, has {format_count(n)}" if n < fewest else ""


def few_in_little(n: int, area_um2: float | None) -> str:
    """Return why n cells give no density; empty from 20 cells or 0.5 mm2 on. None: nothing says the area."""
    if n >= FEWEST_CELLS or (area_um2 or 0.0) >= ENOUGH_UM2:
        return ""
    cells = "1 cell" if n == 1 else f"{format_count(n) if n else 'no'} cells"
    place = "" if area_um2 is None else f" in {format_number(area_um2 / 1e6, 2)} mm²"
    return f"only {cells}{place}" if n else f"{cells}{place}: too little to tell"


class EnoughTable(MetricTable):
    """The metrics table; what rests on too few cells, tiles or nuclei is n/a, with the number as the reason.

    Densities, and shares of an area, need 20 cells or 0.5 mm2 of the tissue that they refer to; shares of
    cells 20 cells, immune phenotypes ten tiles, means of nuclei and confidence five.
    """

    def formatted(self, name: str) -> Formatted:
        """Return a metric ready for the page, n/a where its sample is too small."""
        shown = super().formatted(name)
        reason = "" if shown.raw is None else self._too_few(name)
        return replace(shown, text="n/a", unit="", raw=None, reason=reason, interval="") if reason else shown

    def _too_few(self, name: str) -> str:
        """Return why a number is not shown; empty where it is."""
        n = self[name].n or 0
        if name.startswith(_DENSITY) or name in _BY_TISSUE:
            return few_in_little(n, self._area_um2(name))
        for names, fewest, what in (
            (_OF_CELLS, FEWEST_CELLS, "cells"),
            (_OF_TILES, FEWEST_TILES, "tiles"),
            (("NUCLEUS_",), FEWEST_NUCLEI, "nuclei"),
            (_OF_CONFIDENCE, FEWEST_NUCLEI, "cells"),
        ):
            if name.startswith(names):
                return fewer_than(fewest, what, n)
        return ""

    def _area_um2(self, name: str) -> float | None:
        """Area that a density refers to; None where no number says it."""
        if "_AT_BORDER_" in name:
            return self._band_um2(name.partition("_AT_BORDER_")[2])
        tissue = _BY_TISSUE.get(name) or next((t for t in TISSUE_CLASSES if name.endswith(f"_{t}")), "")
        if name.removeprefix(_DENSITY).lower() in CELL_CLASSES:  # OTHER is a cell and a tissue
            tissue = ""
        area = self.get(f"ABSOLUTE_AREA_{tissue}" if tissue else "ABSOLUTE_AREA")
        return None if area is None else area.value

    def _band_um2(self, band: str) -> float | None:
        """Area of a band along the border, from the densest class in it: its cells over its density."""
        rows = [self.get(f"CELL_DENSITY_{cell.upper()}_AT_BORDER_{band}") for cell in CELL_CLASSES]
        areas = [1e6 * row.n / row.value for row in rows if row is not None and row.n and row.value]
        return max(areas, default=None)
