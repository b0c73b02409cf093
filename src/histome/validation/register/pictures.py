"""What a registration shows: both pictures in one, and its errors as tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.validation.raters.page import Section
from histome.validation.register.fit import Registered, RgbImage
from histome.validation.register.landmarks import landmark_errors
from histome.validation.register.warp import Points, Warp

_SQUARES = 12


def warped(moving: RgbImage, warp: Warp, mpp: float, shape: tuple[int, int]) -> RgbImage:
    """The moving picture as it lies on the fixed one: (h, w, 3) at `mpp`, white where it has no pixel."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    places = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], axis=1) * mpp
    at = (warp.forward(places) / mpp - 0.5).astype(np.float32).reshape(*shape, 2)
    white = (255, 255, 255)
    return cv2.remap(  # type: ignore[return-value]
        moving, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=white
    )


def checkerboard(fixed: RgbImage, moved: RgbImage) -> RgbImage:
    """The one picture in every other square, the other between: lines go on where they fit."""
    side = max(1, max(fixed.shape[:2]) // _SQUARES)
    rows, columns = (np.arange(n) // side for n in fixed.shape[:2])
    own: NDArray[np.bool_] = (rows[:, None] + columns[None]) % 2 == 0
    return np.where(own[..., None], fixed, moved)


def save_overlap(path: Path, fixed: RgbImage, moved: RgbImage) -> None:
    """Write the checkerboard as PNG."""
    Image.fromarray(checkerboard(fixed, moved)).save(path)


def registration_sections(found: Registered, landmarks_um: tuple[Points, Points] | None) -> list[Section]:
    """Local correlation after each step and, where there are landmarks, how far they are left apart."""
    rows: list[Mapping[str, Any]] = []
    if landmarks_um is not None:
        one, other = landmarks_um
        steps = {"rigid": found.rigid, "affine": found.affine, "flow": found.warp}
        places = {"as given": one, **{name: warp.forward(one) for name, warp in steps.items()}}
        rows = [{"step": name, **landmark_errors(at, other)} for name, at in places.items()]
    seen = [{"step": name, "likeness": value} for name, value in found.correlation.items()]
    seen.append({"step": "lead over the next best angle", "likeness": found.lead})
    text = (
        "Mean correlation of the hematoxylin of both pictures in windows of 9 px, -1 to 1; and how many "
        "times the mutual information of the best place at another angle. See overlap.png: two tissues can "
        "fit by chance."
    )
    told = "Distance of landmarks that people marked on both pictures, um on the IHC."
    errors = [Section("errors", "Landmarks", told, rows, figure="")] if rows else []
    return [*errors, Section("likeness", "Likeness", text, seen, figure="")]
