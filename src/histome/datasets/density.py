"""The optical density that training froze: of the augmentation of stains, and of red cells found by color.

It is not `slide.stain.to_od`: natural logarithm, and (v + 1) / 256, so that black is finite and
`256 exp(-od) - 1` gives each byte back. The shipped models were trained so; with `to_od` 20 of the 65,536
pairs of green and blue change sides at the threshold of red cells (runs would no longer give those weights).
"""

import numpy as np
from numpy.typing import NDArray

_OD_OF_BYTE = -np.log((np.arange(256) + 1.0) / 256.0).astype(np.float32)


def augmentation_od(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """-ln((v + 1) / 256) of each byte: same shape, from 0 (white) to 5.55 (black)."""
    return _OD_OF_BYTE[rgb]
