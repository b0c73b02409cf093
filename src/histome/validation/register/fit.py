"""H&E and IHC of one section, laid over each other: rigid, affine (SimpleITK), then a smooth flow."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
from histome.validation.register.flow import find_flow
from histome.validation.register.grays import Gray, GrayPair, gray_pair, shrunk
from histome.validation.register.rigid import search_rigid
from histome.validation.register.warp import Warp

RgbImage = NDArray[np.uint8]
# Longest side of what the rigid search looks at: 48 turns of it take a second.
_COARSE_PX = 256
_FIELD_NODES = 256
_HALVED_PX = 400
# Mutual information of the best place over that of the next best, which is of another angle. Six real pairs
# have 1.26 and more; of five pairs of different tissues one has that, too (1.39), the others 1.13 and less.
_LEAST_LEAD = 1.15
# Between sections of one block tissue shrinks and stretches by some percent.
_MOST_STRETCH = 1.25
# Share of the longer side that a corner may lie apart in two finds of one place.
_SAME_PLACE = 0.1


class Registered(NamedTuple):
    """A transform, and how it was found.

    Attributes
    ----------
    rigid, affine, warp : Warp
        After each of the three steps.
    lead : float
        Mutual information after the affine step over that of the best place at another angle.
    correlation : dict
        Mean local correlation of hematoxylin after the affine step and the flow, -1 to 1 (`Flow`).
    """

    rigid: Warp
    affine: Warp
    warp: Warp
    lead: float
    correlation: dict[str, float]


def register_pair(
    fixed: RgbImage, moving: RgbImage, fit_mpp: float, *, mpps: tuple[float, float]
) -> Registered:
    """Lay an IHC picture (moving) over H&E (fixed).

    A search over all angles with and without a mirror on the density of all stains; then, from coarse to
    fine, on the density of hematoxylin, an affine transform by mutual information (Mattes) and a smooth flow
    by local correlation (`find_flow`).

    Parameters
    ----------
    fixed, moving : (h, w, 3) uint8
        Both whole pictures at `fit_mpp`.
    fit_mpp : float, um/px
        Of both.
    mpps : (float, float), um/px
        Of level 0 of the two slides.

    Raises
    ------
    DataError
        An empty picture, two that do not look like one tissue, or of different size.
    """
    he, ihc = gray_pair(fixed, fit_mpp, dab=False), gray_pair(moving, fit_mpp, dab=True)
    matrix, lead = _start(he, ihc)
    transform, _ = _affine(_image(he.nuclei, fit_mpp), _image(ihc.nuclei, fit_mpp), matrix)
    affine = _matrix(transform)
    _check_size(affine)
    laid, inside = _laid(ihc.nuclei, affine, fit_mpp, he.nuclei.shape)
    flow = find_flow(he.nuclei, laid, inside)
    size = fixed.shape[1] * fit_mpp, fixed.shape[0] * fit_mpp
    rigid, straight = (
        Warp(step, np.zeros((2, 2, 2), np.float32), max(size), *mpps) for step in (matrix, affine)
    )
    shifts, step = _at_nodes(flow.shifts_px, size, fit_mpp)
    # The flow comes first: what it shifts is turned with the rest.
    bent = Warp(affine, (shifts @ affine[:, :2].T).astype(np.float32), step, *mpps)
    return Registered(rigid, straight, bent, lead, {"affine": flow.before, "flow": flow.after})


def _start(he: GrayPair, ihc: GrayPair) -> tuple[NDArray[np.float64], float]:
    """The rigid place from which the affine step comes farthest, and how far before the next best angle."""
    mpp = he.mpp * max(1.0, *(max(picture.all.shape) / _COARSE_PX for picture in (he, ihc)))
    starts = search_rigid(shrunk(he.all, he.mpp, mpp), shrunk(ihc.all, ihc.mpp, mpp), mpp)
    fixed, moving = (_image(shrunk(picture.nuclei, picture.mpp, mpp), mpp) for picture in (he, ihc))
    found = [_affine(fixed, moving, each.matrix) for each in starts]
    alike = [-value for _, value in found]
    best = int(np.argmax(alike))
    places = np.array([_corners(transform, fixed) for transform, _ in found])
    apart = np.abs(places - places[best]).max((1, 2)) > _SAME_PLACE * max(fixed.GetSize()) * mpp
    # Starts that came to the same place are no other angle.
    lead = float(alike[best] / max(np.max(alike, where=apart, initial=0.0), 1e-9))
    if lead < _LEAST_LEAD:
        raise DataError(
            "the two pictures do not look like one tissue: they are as alike at another angle "
            f"({lead:.2f} times, at least {_LEAST_LEAD:g} is needed); do they overlap, is their um/px right?"
        )
    return starts[best].matrix, lead


def _corners(transform: Any, fixed: Any) -> list[tuple[float, float]]:
    """Where the corners of a picture go, um."""
    width, height = (n * step for n, step in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True))
    return [transform.TransformPoint((x, y)) for x in (0.0, width) for y in (0.0, height)]


def _image(gray: Gray, mpp: float) -> Any:
    """As SimpleITK has it, in um: a pixel's center is at .5."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(gray, np.float32))
    image.SetSpacing((mpp, mpp))
    image.SetOrigin((mpp / 2, mpp / 2))
    return image


def _transform(matrix: NDArray[np.float64]) -> Any:
    import SimpleITK as sitk

    found = sitk.AffineTransform(2)
    found.SetMatrix(matrix[:, :2].ravel().tolist())
    found.SetTranslation(matrix[:, 2].tolist())
    return found


def _method(fixed: Any, levels: int) -> Any:
    """Mutual information of all pixels, from coarse to fine, on one thread."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    # All pixels, and one thread: the same pictures give the same transform.
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetNumberOfThreads(1)
    method.SetInterpolator(sitk.sitkLinear)
    # Every second pixel places an affine transform as well, and faster.
    finest = 2 if max(fixed.GetSize()) > _HALVED_PX else 1
    shrink = [finest * 2**k for k in range(levels - 1, -1, -1)]
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([float(k) for k in shrink])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    return method


def _levels(image: Any) -> int:
    """Halvings until the longer side is about 128 px, at most three."""
    return int(np.clip(np.ceil(np.log2(max(image.GetSize()) / 128)), 1, 3))


def _affine(fixed: Any, moving: Any, start: NDArray[np.float64]) -> tuple[Any, float]:
    """The transform, and the mutual information that it leaves, negative."""
    method = _method(fixed, _levels(fixed))
    initial = _transform(start)
    initial.SetCenter([(n * s) / 2 for n, s in zip(fixed.GetSize(), fixed.GetSpacing(), strict=True)])
    center = np.array(initial.GetCenter())
    # About another center the same map has another translation.
    initial.SetTranslation((start[:, :2] @ center + start[:, 2] - center).tolist())
    method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.01, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(initial, inPlace=True)
    method.Execute(fixed, moving)
    return initial, method.GetMetricValue()


def _matrix(affine: Any) -> NDArray[np.float64]:
    """(2, 3) of a transform about any center."""
    linear = np.array(affine.GetMatrix()).reshape(2, 2)
    return np.column_stack([linear, affine.TransformPoint((0.0, 0.0))])


def _check_size(affine: NDArray[np.float64]) -> None:
    size = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if not 1 / _MOST_STRETCH < size < _MOST_STRETCH:
        raise DataError(f"the IHC comes out {size:.2f} times as large as the H&E: is their um/px right?")


def _laid(moving: Gray, matrix: NDArray[np.float64], mpp: float, shape: tuple[int, ...]) -> tuple[Gray, Gray]:
    """The moving picture on the pixels of the fixed one, and where it has any."""
    linear = matrix[:, :2]
    # Centers of pixels are whole numbers for OpenCV.
    in_px = np.column_stack([linear, matrix[:, 2] / mpp + linear @ (0.5, 0.5) - 0.5])
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, (shape[1], shape[0])
    picture = cv2.warpAffine(moving, in_px, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones_like(moving), in_px, size, flags=flags, borderValue=0.0)
    return picture, inside  # type: ignore[return-value]


def _at_nodes(
    shifts_px: NDArray[np.float32], size_um: tuple[float, float], mpp: float
) -> tuple[NDArray[np.float32], float]:
    """A field at the nodes of a grid over the picture, um, and the grid's step."""
    step = max(size_um) / _FIELD_NODES
    columns, rows = (int(np.ceil(side / step)) + 1 for side in size_um)
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) * step / mpp - 0.5 for n in (columns, rows)))
    shifts = cv2.remap(shifts_px, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return shifts * mpp, step  # type: ignore[return-value]
