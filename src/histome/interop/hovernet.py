"""HoVer-Net's JSON: `nuc` with contour, type and type_prob, in px of the magnification `mag`.

Reading; what writes it belongs here too.
"""

from pathlib import Path
from typing import Any

import numpy as np

from histome.interop.foreign_cells import ForeignCells, check_mpp
from histome.interop.records import cells_of_records

_NOMINAL = 1.6  # objective powers are: two resolutions that differ by less may be one


def is_hovernet(data: Any) -> bool:
    """Whether JSON data are HoVer-Net's."""
    return isinstance(data, dict) and isinstance(data.get("nuc"), dict)


def hovernet_cells(data: dict[str, Any], path: Path, mpp: float) -> ForeignCells:
    """Return the cells of HoVer-Net's data.

    Raises HistomeError for one that is not as expected, and for a magnification that does not fit `mpp`.
    """
    if isinstance(data.get("mag"), int | float) and data["mag"] > 0:
        check_mpp(path, 10 / data["mag"], mpp, _NOMINAL)
    found = cells_of_records(list(data["nuc"].values()), {}, path)
    return found._replace(ids=np.array(list(data["nuc"]), object))
