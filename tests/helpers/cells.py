"""Tables of cells, made: the one maker that every test uses."""

import numpy as np
import pyarrow as pa

from histome.classes import CELL_CLASSES

LABEL = {name.upper(): k for k, name in enumerate(CELL_CLASSES)}


def cell_table(x_um, y_um, classes, **columns):
    """A cells table; `classes` are names in any case or codes, one for each cell or one for all."""
    classes = np.broadcast_to(np.asarray(classes), np.shape(x_um))
    codes = [LABEL[c.upper()] if isinstance(c, str) else int(c) for c in classes.tolist()]
    names = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), pa.array(CELL_CLASSES))
    place = {"x_um": np.asarray(x_um, float), "y_um": np.asarray(y_um, float), "class": names}
    return pa.table(place | {name: pa.array(np.asarray(values)) for name, values in columns.items()})
