"""Random crops for self-distillation: what the teacher sees, what the student sees, what is hidden of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histome.training.augment import appearance, stain
from histome.training.encoders.packed import PackedField, RgbField

TEACHER_PX, STUDENT_PX, LOCAL_PX = 160, 128, 64
# Side of what is hidden or shown as one: the larger of the strides of the distilled features.
CELL_PX = 16
_FINE_MPP, _COARSE_MPP, _COARSE_SHARE = (0.35, 1.0), (1.0, 3.0), 0.25
# A crop may reach over the field's border, where the field is mirrored.
_OVER = 1.25
_OTHER_SHARE = 0.02


class CropBatch(NamedTuple):
    """One batch: n fields, two global crops each (all first ones, then all second ones).

    teacher (2n, 160, 160, 3), student (2n, 128, 128, 3), local (k n, 64, 64, 3) uint8, k a field; hidden
    (2n, 8, 8) bool, the student's cells of 16 px that are masked; corner (2n, 2) int64, the student's first
    row and column in the teacher's crop, in cells.
    """

    teacher: Tensor
    student: Tensor
    local: Tensor
    hidden: Tensor
    corner: Tensor


def crop(field: PackedField, center_um: NDArray[np.float64], mpp: float, size: int) -> RgbField:
    """(size, size, 3) pixels of `mpp` um/px round `center_um` (x, y), mirrored beyond the border."""
    side = max(2, round(size * mpp / field.mpp))
    x, y = np.round(center_um / field.mpp - side / 2).astype(int)
    h, w = field.image.shape[:2]
    patch = field.image[max(0, y) : y + side, max(0, x) : x + side]
    above, left, below, right = (max(0, int(n)) for n in (-y, -x, y + side - h, x + side - w))
    if above or left or below or right:
        patch = cv2.copyMakeBorder(patch, above, below, left, right, cv2.BORDER_REFLECT_101)
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(patch, (size, size), interpolation=how)  # type: ignore[return-value]


def turn(image: RgbField, rng: np.random.Generator) -> RgbField:
    """One of the eight turns and mirrorings."""
    image = np.rot90(image, int(rng.integers(4)))
    return np.ascontiguousarray(image[:, ::-1] if rng.random() < 0.5 else image)


def recolor(image: RgbField, rng: np.random.Generator) -> RgbField:
    """Another stain and saturation, for teacher and student each their own.

    It keeps the slide's signature out of the fine features, not out of the coarse ones: strides 4 and 8 tell
    a nucleus' source in 46 % of cases (51 % in a run without it, 45 % untrained), stride 32 in 95 % (94 %,
    72 %; n = 5,689). The two runs differ in the pooled term's weight and their length too.
    """
    image = stain(image, rng, 1.2)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = rng.uniform(0.2, 1.3)
    return cv2.addWeighted(image, share, gray, 1 - share, 0)  # type: ignore[return-value]


def hidden_cells(rng: np.random.Generator, side: int = STUDENT_PX // CELL_PX) -> NDArray[np.bool_]:
    """(side, side) cells to mask: none in half of the crops, else blocks until 15-50 % are covered."""
    hidden = np.zeros((side, side), bool)
    share = 0.0 if rng.random() < 0.5 else rng.uniform(0.15, 0.5)
    while hidden.mean() < share:
        h, w = rng.integers(1, 4, 2)
        y, x = rng.integers(0, side - h + 1), rng.integers(0, side - w + 1)
        hidden[y : y + h, x : x + w] = True
    return hidden


class CropSampler:
    """Random crops of random fields: a data set by its share, a field of it, a place and a magnification.

    Parameters
    ----------
    fields : sequence of PackedField
        What is drawn from.
    n : int
        Fields a batch.
    mix : mapping of str to float
        Data set -> share; of one that it does not name, 0.02.
    locals_each : int
        Local crops of a field, which only the pooled term looks at.
    """

    def __init__(
        self, fields: Sequence[PackedField], n: int, mix: Mapping[str, float], *, locals_each: int = 0
    ) -> None:
        self.n, self.locals_each = n, locals_each
        fine = [f for f in fields if f.mpp <= 0.75]
        coarse = [f for f in fields if _extent_um(f).min() * _OVER >= _COARSE_MPP[0] * TEACHER_PX]
        self.fine, self.coarse = (_by_data_set(some or fields, mix) for some in (fine, coarse))

    def _draw(self, rng: np.random.Generator) -> tuple[PackedField, float]:
        coarse = rng.random() < _COARSE_SHARE
        sets, shares = self.coarse if coarse else self.fine
        fields = sets[rng.choice(len(sets), p=shares)]
        field = fields[rng.integers(len(fields))]
        low, high = _COARSE_MPP if coarse else _FINE_MPP
        mpp = np.exp(rng.uniform(*np.log(_COARSE_MPP))) if coarse else 0.5 * np.exp(rng.normal(0, 0.3))
        return field, _possible(field, float(np.clip(mpp, low, high)))

    def sample(self, rng: np.random.Generator) -> tuple[list[NDArray], ...]:
        """Crops of one field: each part of `CropBatch`, two of them (local: `locals_each`)."""
        field, mpp = self._draw(rng)
        first = _inside(field, rng.uniform(0, 1, 2) * _extent_um(field), mpp)
        reach = mpp * STUDENT_PX
        second = _inside(field, first + rng.uniform(-0.35, 0.35, 2) * reach, mpp)
        pairs = [_global_pair(field, center, mpp, rng) for center in (first, second)]
        around = (first + rng.uniform(-0.4, 0.4, 2) * reach for _ in range(self.locals_each))
        local = [_local(field, center, mpp, rng) for center in around]
        teacher, student, corner = (list(part) for part in zip(*pairs, strict=True))
        return teacher, student, local, [hidden_cells(rng) for _ in pairs], corner

    def batch(self, rng: np.random.Generator) -> CropBatch:
        """A batch of `n` fields."""
        samples = [self.sample(rng) for _ in range(self.n)]
        teacher, student, local, hidden, corner = (_in_turn(part) for part in zip(*samples, strict=True))
        none = torch.zeros((0, LOCAL_PX, LOCAL_PX, 3), dtype=torch.uint8)
        return CropBatch(
            teacher=_stacked(teacher),
            student=_stacked(student),
            local=_stacked(local) if local else none,
            hidden=_stacked(hidden),
            corner=_stacked(corner),
        )


def _stacked(parts: Sequence[NDArray]) -> Tensor:
    return torch.from_numpy(np.stack(parts))


def _in_turn(crops: Sequence[Sequence[NDArray]]) -> list[NDArray]:
    """All fields' first crops, then all second ones, ..."""
    return [one for place in zip(*crops, strict=True) for one in place]


def _by_data_set(
    fields: Sequence[PackedField], mix: Mapping[str, float]
) -> tuple[list[list[PackedField]], NDArray[np.float64]]:
    names = sorted({f.data_set for f in fields})
    share = np.array([mix.get(name, _OTHER_SHARE) for name in names])
    return [[f for f in fields if f.data_set == name] for name in names], share / share.sum()


def _extent_um(field: PackedField) -> NDArray[np.float64]:
    return np.array([field.image.shape[1], field.image.shape[0]]) * field.mpp


def _possible(field: PackedField, mpp: float) -> float:
    """`mpp` moved to what the field can show: not much finer than its pixels, not wider than it is."""
    widest = _extent_um(field).min() * _OVER / TEACHER_PX
    return float(min(max(mpp, 0.85 * field.mpp), widest))


def _inside(field: PackedField, center_um: NDArray[np.float64], mpp: float) -> NDArray[np.float64]:
    """The center moved so that the teacher's crop lies in the field, or round a field that is smaller."""
    extent = _extent_um(field)
    margin = np.minimum(TEACHER_PX * mpp / 2, extent / 2)
    return np.clip(center_um, margin, extent - margin)


def _global_pair(
    field: PackedField, center_um: NDArray, mpp: float, rng: np.random.Generator
) -> tuple[NDArray, ...]:
    """The teacher's crop, the student's part of it with another appearance, and that part's corner."""
    mpp = _possible(field, mpp * np.exp(rng.uniform(-0.2, 0.2)))
    whole = turn(crop(field, _inside(field, center_um, mpp), mpp, TEACHER_PX), rng)
    corner = rng.integers(0, (TEACHER_PX - STUDENT_PX) // CELL_PX + 1, 2)
    y, x = corner * CELL_PX
    part = np.ascontiguousarray(whole[y : y + STUDENT_PX, x : x + STUDENT_PX])
    return recolor(whole, rng), appearance(recolor(part, rng), rng), corner


def _local(field: PackedField, center_um: NDArray, mpp: float, rng: np.random.Generator) -> RgbField:
    mpp = _possible(field, mpp * np.exp(rng.uniform(-0.3, 0.2)))
    extent, margin = _extent_um(field), LOCAL_PX * mpp / 2
    center = np.clip(center_um, np.minimum(margin, extent / 2), np.maximum(extent - margin, extent / 2))
    return appearance(recolor(turn(crop(field, center, mpp, LOCAL_PX), rng), rng), rng)
