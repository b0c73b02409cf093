"""The places where two models disagree, as pictures."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from histome.checks.robustness import RgbPicture
from histome.datasets.fields import Field
from histome.render.layers import jpeg_uri
from histome.validation.scores import Found

# What is shown of a field, and how wide: a nucleus of 6 um is 30 px.
_SHOWN_UM, _SHOWN_PX = 128.0, 640
_BOTH, _DIFFER, _ALONE = (255, 255, 255), (255, 221, 51), ((0, 229, 255), (120, 255, 60))
# cv2 draws at whole pixels or at fractions of them: 1/16.
_SHIFT = 4


class ComparedField(NamedTuple):
    """A picture that both models look at; `labeled` where its labels are to judge them."""

    name: str
    pixels: RgbPicture
    mpp: float
    labeled: Field | None = None


class BothSeen(NamedTuple):
    """What the two models found on a field, and who is whose: `pairs` (k, 2), centers within 3 um."""

    field: ComparedField
    found: tuple[Found, Found]
    pairs: NDArray[np.int64]

    def classes(self, which: int) -> NDArray[np.int64]:
        """Likeliest class of each cell of a model, an index into `CELL_CLASSES`."""
        return self.found[which].probabilities.argmax(1)

    def differ(self) -> NDArray[np.bool_]:
        """Of each pair, whether the models name two classes."""
        one, other = (self.classes(k)[self.pairs[:, k]] for k in range(2))
        return one != other

    def alone(self, which: int) -> NDArray[np.int64]:
        """Cells that this model finds and the other does not."""
        return np.setdiff1d(np.arange(len(self.found[which].centers_um)), self.pairs[:, which])

    @property
    def doubts(self) -> int:
        """Number of cells that the models do not agree on."""
        return len(self.alone(0)) + len(self.alone(1)) + int(self.differ().sum())

    def told(self, names: tuple[str, str]) -> str:
        """The field and how many of its cells are whose."""
        alone = ", ".join(f"{len(self.alone(k))} by {name} alone" for k, name in enumerate(names))
        both = f"{len(self.pairs)} by both, {int(self.differ().sum())} of them with two classes"
        return f"{self.field.name}: {both}; {alone}"


def draw_disagreement(seen: BothSeen) -> str:
    """The part of a field with the most doubts, outlines over it, as the data URI of a JPEG."""
    mpp, (height, width) = seen.field.mpp, seen.field.pixels.shape[:2]
    side = min(round(_SHOWN_UM / mpp), height, width)
    x, y = _place(seen) / mpp - side / 2
    left, top = round(np.clip(x, 0, width - side)), round(np.clip(y, 0, height - side))
    part = seen.field.pixels[top : top + side, left : left + side]
    picture = cv2.resize(part, (_SHOWN_PX, _SHOWN_PX), interpolation=cv2.INTER_LINEAR)
    scale = _SHOWN_PX / side
    differ = seen.differ()
    layers = [(0, seen.pairs[~differ, 0], _BOTH), (0, seen.pairs[differ, 0], _DIFFER)]
    layers += [(which, seen.alone(which), _ALONE[which]) for which in range(2)]
    for which, cells, color in layers:
        outlines = (seen.found[which].outlines_um[cells] / mpp - (left, top)) * scale - 0.5
        corners = np.rint(outlines * 2**_SHIFT).astype(np.int32)
        cv2.polylines(picture, list(corners), True, color, 2, cv2.LINE_AA, _SHIFT)
    return jpeg_uri(np.asarray(picture), 82)


def _place(seen: BothSeen) -> NDArray[np.float64]:
    """The center of the cell in doubt with the most of them around it, x, y in um."""
    one, other = seen.found
    doubts = np.concatenate(
        [
            one.centers_um[seen.pairs[seen.differ(), 0]],
            one.centers_um[seen.alone(0)],
            other.centers_um[seen.alone(1)],
        ]
    )
    near = KDTree(doubts).query_ball_point(doubts, _SHOWN_UM / 2, p=np.inf, return_length=True)
    return doubts[int(np.argmax(near))]
