"""Features of a tumor's microenvironment: counts, shares, areas and distances of the nuclei of one patch.

After SegTME-UNI2 (arXiv:2606.17702), with its names. A value that does not exist is None with a reason.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from histome.errors import UsageError
from histome.geometry.kdtree import build_tree, nearest_rows, nearest_squared
from histome.phenotype.axes import PANNUKE_CLASSES, Unit, phenotypes
from histome.slide.mpp import check_coordinates_mpp

NEIGHBORS = 5  # the paper asks for six nearest and gets the cell itself as the first
_NEOPLASTIC, _INFLAMMATORY, _CONNECTIVE = 1, 2, 3
_FEW_NEIGHBORS = f"there are fewer than {NEIGHBORS + 1} cells"


class PatchCells(NamedTuple):
    """n nuclei of a patch, in one unit of length (px or um): centers, areas, classes 1-5."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: NDArray[np.float64]
    code: NDArray[np.int64]

    def select(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "PatchCells":
        """Return the chosen cells, by mask or by index."""
        return self._make(column[rows] for column in self)


def patch_features(
    inst_mask: ArrayLike, cls_mask: ArrayLike, *, mpp: float | None = None, compatible: bool = False
) -> dict[str, Any]:
    """Return the `raw_data` of a patch: plain numbers by name, None where a value does not exist.

    Parameters
    ----------
    inst_mask : (h, w) integers
        0 is background, any other number one nucleus.
    cls_mask : (h, w) integers, 0-5
        0 is background, 1 neoplastic, 2 inflammatory, 3 connective, 4 dead, 5 epithelial. A nucleus has the
        class of most of its pixels that have one, the lower of two equal; one without any is not counted.
    mpp : float or None, um per px
        With it distances are um and areas um2; without it px and px2.
    compatible : bool
        Whatever the mpp, px and px2, as the paper has them.

    Returns
    -------
    total_cell_count : int, cells
    count_c : int, cells
        For each class c, as the next two.
    ratio_c : float or None, 0-1
        Of all cells.
    mean_area_c : float or None, um2 or px2
    tumor_stroma_fraction : float or None, 0-1
        Neoplastic / (neoplastic + connective) cells.
    immune_infiltration_fraction : float or None, 0-1
        Inflammatory / (neoplastic + inflammatory) cells.
    min_dist_Inflammatory_to_Neoplastic : float or None, um or px
        Over the inflammatory cells, from the center of each to the nearest neoplastic center.
    mean_dist_Inflammatory_to_Neoplastic : float or None, um or px
        Over the same distances.
    count_engaged_immune : int, cells
        Inflammatory cells for which that is at most 17.5 um (50 px).
    mean_spatial_entropy : float or None, bits
        Shannon entropy of the classes of a cell's five nearest others, mean over the cells. For five cells it
        takes few values: only the mean of a patch is worth a threshold.
    undefined : dict of str to str
        The reason of each value that is None, by name.

    Raises
    ------
    UsageError
        Masks that are not 2-D integers of one shape, negative ids, classes outside 0-5, nuclei or classes but
        no pixel with both, implausible mpp; the message says what was given and what is wanted.

    Examples
    --------
    A neoplastic and an inflammatory nucleus, squares of 10 px whose centers lie 30 px apart, at 0.5 um/px:

    >>> import numpy as np
    >>> from histome.phenotype import patch_features
    >>> instances = np.zeros((64, 64), int)
    >>> instances[10:20, 10:20] = 1
    >>> instances[10:20, 40:50] = 2
    >>> classes = np.choose(instances, [0, 1, 2])
    >>> raw = patch_features(instances, classes, mpp=0.5)
    >>> raw["total_cell_count"], raw["mean_area_Neoplastic"], raw["min_dist_Inflammatory_to_Neoplastic"]
    (2, 25.0, 15.0)
    >>> raw["mean_spatial_entropy"], raw["undefined"]["mean_spatial_entropy"]
    (None, 'there are fewer than 6 cells')
    """
    return measure_px(cells_of_masks(inst_mask, cls_mask), mpp=mpp, compatible=compatible)


def measure_px(cells: PatchCells, *, mpp: float | None, compatible: bool) -> dict[str, Any]:
    """Return the `raw_data` of cells in px; arguments and errors as of `patch_features`."""
    if mpp is not None:
        check_coordinates_mpp(mpp)
    if mpp is None or compatible:
        return measure_cells(cells, unit="px")
    return measure_cells(in_um(cells, mpp, mpp), unit="um")


def in_um(cells: PatchCells, mpp_x: float, mpp_y: float) -> PatchCells:
    """Return cells given in px in um."""
    return PatchCells(cells.x * mpp_x, cells.y * mpp_y, cells.area * (mpp_x * mpp_y), cells.code)


def cells_of_masks(inst_mask: ArrayLike, cls_mask: ArrayLike) -> PatchCells:
    """Return the nuclei of two masks, in px; raises UsageError as `patch_features`."""
    return all_cells_of_masks(inst_mask, cls_mask)[0]


def all_cells_of_masks(inst_mask: ArrayLike, cls_mask: ArrayLike) -> tuple[PatchCells, PatchCells]:
    """Return the same and those without a class (0), which are not counted."""
    instances, classes = _checked(inst_mask, "inst_mask"), _checked(cls_mask, "cls_mask")
    if instances.shape != classes.shape:
        raise UsageError(
            f"inst_mask is {_size(instances)} and cls_mask {_size(classes)}: give two of one shape"
        )
    if classes.size and int(classes.max()) > len(PANNUKE_CLASSES):
        raise UsageError(
            f"cls_mask holds class {int(classes.max())}: classes are 0 (background) to "
            f"{len(PANNUKE_CLASSES)} ({', '.join(PANNUKE_CLASSES)})"
        )
    rows, columns = np.nonzero(instances)
    ids, cell = np.unique(instances[rows, columns], return_inverse=True)
    kinds = len(PANNUKE_CLASSES) + 1
    votes = np.bincount(
        cell * kinds + classes[rows, columns].astype(np.int64), minlength=len(ids) * kinds
    ).reshape(len(ids), kinds)
    area = votes.sum(axis=1).astype(np.float64)
    # The center of pixel (0, 0) is (0.5, 0.5).
    x, y = (np.bincount(cell, weights=at + 0.5, minlength=len(ids)) / area for at in (columns, rows))
    typed = votes[:, 1:].sum(axis=1) > 0
    if not typed.any():
        _check_empty(instances, classes)
    code = np.where(typed, votes[:, 1:].argmax(axis=1) + 1, 0) if len(ids) else np.empty(0, np.int64)
    cells = PatchCells(x, y, area, code)
    return cells.select(typed), cells.select(~typed)


def _check_empty(instances: NDArray[Any], classes: NDArray[Any]) -> None:
    """Refuse masks of which no cell came though one of them is not empty: they are not of one patch."""
    nuclei, classed = np.count_nonzero(instances), np.count_nonzero(classes)
    if nuclei or classed:
        raise UsageError(
            f"no pixel has both a nucleus (inst_mask: {nuclei:,} px) and a class (cls_mask: {classed:,} px); "
            "give both masks of one patch, or two that are 0 where it has no nuclei"
        )


def _checked(mask: ArrayLike, name: str) -> NDArray[np.integer]:
    """Return a mask as a 2-D array of integers that are not negative, or refuse it."""
    array = np.asarray(mask)
    if array.ndim != 2:
        raise UsageError(f"{name} has {array.ndim} dimensions {array.shape}: give a 2-D array (h, w)")
    if array.dtype.kind not in "iu":
        raise UsageError(f"{name} is {array.dtype}: give whole numbers, such as int32")
    if array.size and int(array.min()) < 0:
        raise UsageError(f"{name} holds {int(array.min())}: give numbers from 0 (background) on")
    return array


def _size(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape))


def measure_cells(cells: PatchCells, *, unit: Unit, unseen: Sequence[str] = ()) -> dict[str, Any]:
    """Return the `raw_data` of cells, see `patch_features`; the order of the cells changes nothing.

    Parameters
    ----------
    unit : "um" or "px"
        Of the cells' lengths.
    unseen : sequence of str
        Classes that the method which found the cells cannot find; their numbers are None, not 0.
    """
    # A canonical order: sums of floats and neighbors at equal distances depend on it.
    cells = cells.select(np.lexsort((cells.area, cells.code, cells.x, cells.y)))
    raw: dict[str, Any] = {}
    undefined: dict[str, str] = {}
    found = (*_per_class(cells, unseen), *_fractions(cells), *_contact(cells, unit), _entropy(cells))
    for name, value, reason in found:
        raw[name] = value if reason is None else None
        if reason is not None:
            undefined[name] = reason
    return raw | {"undefined": undefined}


# A name, its value, and the reason why it has none (None where it has one).
_Found = tuple[str, float | int | None, str | None]


def _per_class(cells: PatchCells, unseen: Sequence[str]) -> Iterator[_Found]:
    """Yield counts, shares and mean areas."""
    total = len(cells.code)
    counts = np.bincount(cells.code, minlength=len(PANNUKE_CLASSES) + 1)[1:].tolist()
    sums = np.bincount(cells.code, weights=cells.area, minlength=len(PANNUKE_CLASSES) + 1)[1:].tolist()
    blind = [
        f"the cell classes used have no {name.lower()} cells" if name in unseen else None
        for name in PANNUKE_CLASSES
    ]
    yield "total_cell_count", total, None
    for name, count, reason in zip(PANNUKE_CLASSES, counts, blind, strict=True):
        yield f"count_{name}", count, reason
    for name, count, reason in zip(PANNUKE_CLASSES, counts, blind, strict=True):
        yield f"ratio_{name}", *_quotient(count, total, reason or "there are no cells", known=reason is None)
    for name, count, area, reason in zip(PANNUKE_CLASSES, counts, sums, blind, strict=True):
        measured = math.isfinite(area)
        why = reason or (f"there are no {name.lower()} cells" if measured else "the nuclei have no area")
        yield f"mean_area_{name}", *_quotient(area, count, why, known=reason is None and measured)


def _fractions(cells: PatchCells) -> Iterator[_Found]:
    neoplastic, inflammatory, connective = (
        int(np.count_nonzero(cells.code == code)) for code in (_NEOPLASTIC, _INFLAMMATORY, _CONNECTIVE)
    )
    yield (
        "tumor_stroma_fraction",
        *_quotient(neoplastic, neoplastic + connective, "there are neither neoplastic nor connective cells"),
    )
    yield (
        "immune_infiltration_fraction",
        *_quotient(
            inflammatory, neoplastic + inflammatory, "there are neither neoplastic nor inflammatory cells"
        ),
    )


def _quotient(
    above: float, below: float, reason: str, *, known: bool = True
) -> tuple[float | None, str | None]:
    return (above / below, None) if below and known else (None, reason)


def _contact(cells: PatchCells, unit: Unit) -> Iterator[_Found]:
    """Yield the distances from inflammatory to neoplastic cells; no engaged cells is a 0, not a None."""
    target, queries = (cells.select(cells.code == code) for code in (_NEOPLASTIC, _INFLAMMATORY))
    reason = None
    if not len(target.code) or not len(queries.code):
        missing = "inflammatory" if len(target.code) else "neoplastic"
        reason = f"there are no {missing} cells"
    distance = np.sqrt(
        nearest_squared(
            build_tree(target.x, target.y), queries.x, queries.y, np.full(len(queries.x), -1, np.int64)
        )
    )
    limit = phenotypes().engaged(unit)
    yield "min_dist_Inflammatory_to_Neoplastic", float(distance.min(initial=np.inf)), reason
    # fsum: the exact sum, so that no order and no vector width of a processor shows in the mean.
    yield (
        "mean_dist_Inflammatory_to_Neoplastic",
        math.fsum(distance.tolist()) / max(1, len(distance)),
        reason,
    )
    yield "count_engaged_immune", int(np.count_nonzero(distance <= limit)), None


def _entropy(cells: PatchCells) -> _Found:
    """Return the mean entropy of the classes among each cell's five nearest others."""
    name, n = "mean_spatial_entropy", len(cells.code)
    if n <= NEIGHBORS:
        return name, None, _FEW_NEIGHBORS
    near = cells.code[nearest_rows(build_tree(cells.x, cells.y), cells.x, cells.y, NEIGHBORS)]
    share = np.stack([(near == code).sum(axis=1) for code in range(1, len(PANNUKE_CLASSES) + 1)]) / NEIGHBORS
    bits = -share * np.log2(share, out=np.zeros_like(share), where=share > 0)
    return name, math.fsum(bits.sum(axis=0).tolist()) / n, None
