"""The cells that no other metric counts: those in necrosis, blood or no tissue."""

from collections.abc import Mapping

from histome.metrics.declaration import SHARE, Family, Template, in_loops
from histome.metrics.results import Result, quotient, result
from histome.metrics.specimen import Specimen

_NO_CELLS = "no cells were found"
_WHERE = "found in necrosis, blood or outside the analyzed tissue"

TEMPLATES = (
    Template(
        "CELL_N_NOT_COUNTED",
        "cells",
        f"number of cells {_WHERE}",
        counts="the cells that are not counted",
    ),
    Template(
        "CELL_FRACTION_NOT_COUNTED",
        "1",
        f"share of cells {_WHERE} in all that were found",
        (_NO_CELLS,),
        SHARE,
        smallest_sample=1,
        derived="CELL_N_NOT_COUNTED / (CELL_N_NOT_COUNTED + CELL_N_TOTAL)",
        counts="all cells that were found, counted or not",
    ),
    *in_loops(
        ("cell",),
        Template(
            "CELL_N_NOT_COUNTED_{cell}",
            "cells",
            f"number of {{cell}} {_WHERE}",
            counts="the {cell} that are not counted",
        ),
    ),
)


def not_counted(specimen: Specimen) -> Mapping[str, Result]:
    """Number the cells that are not counted, in all and per class, (9,), and their share of all found.

    Abstained cells are among them, whatever else is measured.
    """
    left_out = specimen.not_counted
    whole = specimen.origin[0] if specimen.origin else specimen
    found = left_out.sum() + len(whole.cells)
    return {
        "CELL_N_NOT_COUNTED": result(left_out.sum(), left_out.sum()),
        "CELL_FRACTION_NOT_COUNTED": result(quotient(left_out.sum(), found), found, (found == 0, _NO_CELLS)),
        "CELL_N_NOT_COUNTED_{cell}": result(left_out, left_out),
    }


FAMILY = Family(
    "not-counted",
    "Cells that are not counted",
    "Nuclei are looked for in all valid tissue, but no other metric counts those that the tissue map has in "
    "necrosis or blood, or outside the analyzed tissue: many of them mean that the tissue map errs there.",
    TEMPLATES,
    not_counted,
    of_cells=False,
    no_interval="these cells lie in no block of tissue",
)
