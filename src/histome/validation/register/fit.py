"""H&E and IHC of one section, laid over each other: rigid, affine, then a B-spline (SimpleITK)."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.errors import DataError
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
    information : dict
        Mutual information after the affine step and the B-spline.
    """

    rigid: Warp
    affine: Warp
    warp: Warp
    lead: float
    information: dict[str, float]


def register_pair(
    fixed: RgbImage,
    moving: RgbImage,
    fit_mpp: float,
    *,
    mpps: tuple[float, float],
    mesh: int = 8,
) -> Registered:
    """Lay an IHC picture (moving) over H&E (fixed).

    A search over all angles with and without a mirror on the density of all stains; then, from coarse to
    fine, an affine transform and a B-spline on the density of hematoxylin, by mutual information (Mattes).

    Parameters
    ----------
    fixed, moving : (h, w, 3) uint8
        Both whole pictures at `fit_mpp`.
    fit_mpp : float, um/px
        Of both.
    mpps : (float, float), um/px
        Of level 0 of the two slides.
    mesh : int
        Pieces of the B-spline along the longer side.

    Raises
    ------
    DataError
        An empty picture, or two that do not look like one tissue.
    """
    he, ihc = gray_pair(fixed, fit_mpp, dab=False), gray_pair(moving, fit_mpp, dab=True)
    matrix, lead = _start(he, ihc)
    images = _image(he.nuclei, fit_mpp), _image(ihc.nuclei, fit_mpp)
    affine, value = _affine(images[0], images[1], matrix)
    spline, last = _spline(images[0], images[1], affine, mesh)
    size = fixed.shape[1] * fit_mpp, fixed.shape[0] * fit_mpp
    rigid, straight, bent = (_as_warp(step, size, mpps) for step in (_transform(matrix), affine, spline))
    return Registered(rigid, straight, bent, lead, {"affine": -value, "B-spline": -last})


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
    """What both fine steps share: mutual information of all pixels, from coarse to fine, on one thread."""
    import SimpleITK as sitk

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    # All pixels, and one thread: the same pictures give the same transform.
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetNumberOfThreads(1)
    method.SetInterpolator(sitk.sitkLinear)
    # Pieces of the spline are some hundred px long: every second pixel places them as well, and faster.
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


def _spline(fixed: Any, moving: Any, affine: Any, mesh: int) -> tuple[Any, float]:
    """As `_affine`, for the B-spline before the affine transform."""
    import SimpleITK as sitk

    levels = _levels(fixed)
    size = np.array(fixed.GetSize(), float)
    coarse = np.maximum(np.round(mesh * size / size.max() / 2 ** (levels - 1)), 1).astype(int).tolist()
    initial = sitk.BSplineTransformInitializer(fixed, coarse)
    method = _method(fixed, levels)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransformAsBSpline(initial, inPlace=True, scaleFactors=[2**k for k in range(levels)])
    method.SetOptimizerAsLBFGS2(solutionAccuracy=1e-7, numberOfIterations=20, deltaConvergenceTolerance=1e-4)
    method.Execute(fixed, moving)
    return sitk.CompositeTransform([affine, initial]), method.GetMetricValue()


def _as_warp(transform: Any, size_um: tuple[float, float], mpps: tuple[float, float]) -> Warp:
    """Sample a transform at the nodes of a grid over the fixed picture; the affine part by least squares."""
    import SimpleITK as sitk

    step = max(size_um) / _FIELD_NODES
    columns, rows = (int(np.ceil(side / step)) + 1 for side in size_um)
    grid = sitk.TransformToDisplacementField(
        transform, sitk.sitkVectorFloat64, (columns, rows), (0.0, 0.0), (step, step)
    )
    nodes = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2) * step
    moved = nodes + sitk.GetArrayFromImage(grid).reshape(-1, 2)
    design = np.column_stack([nodes, np.ones(len(nodes))])
    matrix = np.linalg.lstsq(design, moved, rcond=None)[0].T.astype(np.float64)
    shifts = (moved - design @ matrix.T).reshape(rows, columns, 2).astype(np.float32)
    return Warp(matrix, shifts, step, *mpps)
