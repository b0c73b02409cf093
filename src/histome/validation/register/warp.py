"""A transform between two pictures in um, as numbers that need no library to be used."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from histome.errors import DataError

Points = NDArray[np.float64]
_ROUNDS = 30
_EXACT_UM = 1e-3


@dataclass(frozen=True, eq=False)
class Warp:
    """From um of the fixed picture (H&E) to um of the moving one (IHC): affine, plus a field of shifts.

    Attributes
    ----------
    matrix : (2, 3) float64
        The affine part.
    shifts_um : (h, w, 2) float32, um
        What is added, at the nodes of a grid from (0, 0) of the fixed picture; linear between them, and as at
        its border beyond it.
    step_um : float, um
        Of the grid.
    fixed_mpp, moving_mpp : float, um/px
        Of level 0 of the two slides.
    """

    matrix: NDArray[np.float64]
    shifts_um: NDArray[np.float32]
    step_um: float
    fixed_mpp: float
    moving_mpp: float

    def forward(self, points_um: Points) -> Points:
        """(n, 2) places of the fixed picture on the moving one, um."""
        points = np.asarray(points_um, np.float64).reshape(-1, 2)
        nodes = points.T[::-1] / self.step_um
        shift = [map_coordinates(self.shifts_um[..., k], nodes, order=1, mode="nearest") for k in (0, 1)]
        return points @ self.matrix[:, :2].T + self.matrix[:, 2] + np.stack(shift, axis=1)

    def backward(self, points_um: Points) -> Points:
        """(n, 2) places of the moving picture on the fixed one, um: the inverse of `forward`, to 1 nm.

        Raises DataError where the field folds over itself and there is none.
        """
        wanted = np.asarray(points_um, np.float64).reshape(-1, 2)
        inverse = np.linalg.inv(self.matrix[:, :2])
        found = (wanted - self.matrix[:, 2]) @ inverse.T
        for _ in range(_ROUNDS):
            missing = wanted - self.forward(found)
            if not len(missing) or np.abs(missing).max() < _EXACT_UM:
                return found
            found += missing @ inverse.T
        raise DataError("the transform folds over itself there: it has no inverse.")

    def carry(self, geometry: NDArray[np.object_], *, back: bool = False) -> NDArray[np.object_]:
        """Shapes in level-0 px of one slide in those of the other: to the moving one, or `back`."""
        move = self.backward if back else self.forward
        source, target = self.fixed_mpp, self.moving_mpp
        if back:
            source, target = target, source
        return shapely.transform(geometry, lambda xy: move(xy * source) / target)  # type: ignore[return-value]

    def save(self, path: Path) -> None:
        """Write an NPZ file of the five arrays."""
        with path.open("wb") as file:
            np.savez_compressed(file, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @classmethod
    def load(cls, path: Path) -> "Warp":
        """Read what `save` wrote; raises DataError for anything else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                matrix, shifts, *numbers = (file[name] for name in cls.__dataclass_fields__)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise DataError(f"{path}: no transform that can be read ({error}).") from error
        return cls(matrix, shifts, *(float(number) for number in numbers))
