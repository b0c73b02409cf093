"""Labeled fields for the tissue network: every data set's label becomes a set of our seven classes.

A pixel of a field holds the code of a `tissue_labels.LabelSet`; 0 is not labeled (background, doubt).
Everything is resampled to `FIELD_MPP`. Which label is which set, and what was added by eye, is in each data
set's declaration.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from histome.datasets.declaration import TissueLabels, TissueLayout
from histome.datasets.declared import declaration_of, of_row
from histome.datasets.density import augmentation_od
from histome.datasets.fields import TableRow, read_image, read_rows
from histome.datasets.splits import PartName, part_of
from histome.datasets.tissue_labels import CODES
from histome.errors import DataError

# 1 um/px: the resolution of wsss4luad and osteosarcoma, and about the coarsest that shows nuclei.
FIELD_MPP = 1.0
# The folders that the shipped model learned from.
FOLDERS = (
    *("wsss4luad", "glas", "osteosarcoma", "tissue_tiles", "consep"),
    *("crchistophenotypes", "monusac", "tnbc", "segpath_web", "ocdc10", "camelyon32", "gtex_adipose"),
    "pannuke_figures",
)
_HELD_OUT_SHARE, _TUNING_SHARE = 0.22, 0.12
# Share of a field's pixels from which a rare label makes it a stratum of its own.
_OFTEN = 0.02

Codes = NDArray[np.uint8]
RgbPixels = NDArray[np.uint8]


@dataclass(frozen=True)
class TissueField:
    """One field at `FIELD_MPP`: pixels (h, w, 3) uint8, label codes (h, w) uint8.

    `truth` is the data set's own label where scores need it: a (h, w) mask or a word for the whole field.
    """

    data_set: str
    name: str
    source: str
    part: str
    image: RgbPixels
    codes: Codes
    truth: NDArray[np.uint8] | None = None
    label: str = ""


def white_pixels(image: RgbPixels) -> NDArray[np.bool_]:
    """Pixels as bright and colorless as empty glass, judged against the field's own brightest percentile."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)
    low, high = soft.min(axis=2).astype(int), soft.max(axis=2).astype(int)
    top = max(float(np.percentile(low, 99)), 200.0)
    return (low > 0.9 * top) & (high - low < 30)


def red_cells(image: RgbPixels) -> NDArray[np.bool_]:
    """Red cells by color: strong in green, weak in red, more orange than eosin. For fields chosen by eye.

    On unchosen fields it also takes bone, muscle and hyaline collagen (looked at: 16 fields).
    """
    soft = np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.uint8)
    od = augmentation_od(soft) / np.log(10)
    orange = soft[..., 0].astype(int) - soft[..., 2] > 38
    return (od[..., 1] > 0.28) & (od[..., 0] < 0.16) & orange & (od[..., 1] > 1.15 * od[..., 2])


def around_points(
    shape: tuple[int, int], points_px: NDArray, codes: NDArray, *, radius_px: float = 8.0
) -> Codes:
    """Each pixel within `radius_px` of a point gets the code of its nearest one (x, y in pixels)."""
    seeds = np.zeros(shape, np.uint8)
    rows, cols = (np.clip(points_px[:, k].astype(int), 0, n - 1) for k, n in ((1, shape[0]), (0, shape[1])))
    seeds[rows, cols] = 255
    values = np.zeros(shape, np.uint8)
    values[rows, cols] = codes
    if not len(points_px):
        return values
    distance, (r, c) = distance_transform_edt(seeds == 0, return_indices=True)  # type: ignore[misc]
    return np.where(distance <= radius_px, values[r, c], 0).astype(np.uint8)


def tissue_labels_of(data_set: str) -> TissueLabels:
    """What a data set teaches the tissue network; raises DataError where it declares nothing."""
    found = declaration_of(data_set).tissue
    if found is None:
        raise DataError(f"{data_set}: declares no labels of tissue")
    return found


def _drawn_parts(strata: Mapping[str, str]) -> dict[str, PartName]:
    """Part of each source: in every stratum, by a hash of the name, 22 % are held out and 12 % tune."""
    parts: dict[str, PartName] = {}
    for stratum in set(strata.values()):
        names = [s for s in strata if strata[s] == stratum]
        names.sort(key=lambda s: hashlib.sha256(s.encode()).digest())
        held, tuning = round(_HELD_OUT_SHARE * len(names)), round(_TUNING_SHARE * len(names))
        parts |= {s: "held-out" for s in names[:held]}
        parts |= {s: "tuning" for s in names[held : held + tuning]}
        parts |= {s: "train" for s in names[held + tuning :]}
    return parts


def _parts(data_set: str, strata: Mapping[str, str]) -> dict[str, PartName]:
    how = tissue_labels_of(data_set).split
    if how == "drawn":
        return _drawn_parts(strata)
    return {s: part_of(data_set, s) if how == "named" else "train" for s in strata}


def split_tissue_fields(fields: Sequence[TissueField]) -> list[TissueField]:
    """Return the fields with their part set: never two parts for one source."""
    strata: dict[str, dict[str, str]] = {}
    for f in fields:
        strata.setdefault(f.data_set, {}).setdefault(f.source, f.label)
    parts = {name: _parts(name, sources) for name, sources in strata.items()}
    return [replace(f, part=parts[f.data_set][f.source]) for f in fields]


class _Labeled(NamedTuple):
    """What a layout says of an image: codes, the data set's own map where scores need it, its stratum."""

    codes: Codes
    truth: NDArray[np.uint8] | None = None
    label: str = ""


@dataclass(frozen=True)
class _Image:
    """One row of images.csv with its pixels at `FIELD_MPP`."""

    row: dict[str, str]
    root: Path
    pixels: RgbPixels
    mpp: float

    def map_at(self, column: str) -> NDArray[np.uint8]:
        """The label map that a column names, on the pixels' grid."""
        labels = np.asarray(Image.open(self.root / self.row[column])).astype(np.uint16)
        size = self.pixels.shape[1], self.pixels.shape[0]
        return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST).clip(0, 255).astype(np.uint8)

    def whole(self, name: str) -> Codes:
        """One label all over the tissue; fat and mucus, which are "other", are white or nearly so."""
        empty = white_pixels(self.pixels) & (name != "other")
        return np.where(empty, 0, CODES[name]).astype(np.uint8)


def _masks(image: _Image, labels: TissueLabels) -> _Labeled:
    """A map of codes; in an image of one antibody, code 1 is what it stains."""
    truth, label = image.map_at("tissue"), image.row.get("label", "")
    table = np.zeros(256, np.uint8)
    for code, name in ({"1": labels.labels[label]} if label else labels.labels).items():
        table[int(code)] = CODES[name]
    if labels.stratum:
        often = np.mean(truth == int(labels.stratum)) > _OFTEN
        label = f"{'with' if often else 'without'} {labels.labels[labels.stratum]}"
    return _Labeled(table[truth], truth, label)


def _glands(image: _Image, labels: TissueLabels) -> _Labeled:
    gland, grade = image.map_at("glands") > 0, image.row["grade"]
    codes = np.where(gland, CODES[labels.labels[grade]], image.whole(labels.labels["outside"]))
    return _Labeled(codes.astype(np.uint8), gland.astype(np.uint8), grade)


def _tiles(image: _Image, labels: TissueLabels) -> _Labeled:
    label = image.row.get("label", "")
    codes = image.whole(labels.labels[label])
    if label in labels.red_cells:
        codes[red_cells(image.pixels)] = CODES["blood"]
    return _Labeled(codes, label=label)


def _nuclei(image: _Image, labels: TissueLabels) -> _Labeled:
    name = image.row["image"]
    mine = [n for n in _nuclei_rows(image.root / "nuclei.csv") if n["image"] == name]
    points = np.array([(float(n["x_px"]), float(n["y_px"])) for n in mine]).reshape(-1, 2)
    sets = [labels.labels.get(n["label"]) for n in mine]
    of_point = np.array([CODES[each] if each else 0 for each in sets], np.uint8)
    codes = around_points(image.pixels.shape[:2], points * image.mpp / FIELD_MPP, of_point)
    by_eye = labels.by_eye.get(name)
    if name in labels.red_cells:
        codes[red_cells(image.pixels)] = CODES["blood"]
    if by_eye is not None:
        codes = np.where(codes == 0, image.whole(by_eye), codes).astype(np.uint8)
    # A label of their own: crops are drawn evenly over the labels, and hardly any field has red cells.
    return _Labeled(codes, label="blood" if name in labels.red_cells or by_eye == "blood" else "")


@lru_cache(maxsize=1)
def _nuclei_rows(path: Path) -> list[TableRow]:
    return read_rows(path)


_LAYOUTS: Mapping[TissueLayout, Callable[[_Image, TissueLabels], _Labeled]] = {
    "masks": _masks,
    "glands": _glands,
    "tiles": _tiles,
    "nuclei": _nuclei,
}


def _fields_of(root: Path) -> Iterator[TissueField]:
    """Fields of one folder; images whose label teaches nothing (background) are left out."""
    for row in read_rows(root / "images.csv"):
        about = of_row(root.name, row)
        if about is None:
            raise DataError(f"{root}: {row['image']} is of no data set that is declared")
        labels = tissue_labels_of(about.name)
        if row.get("label", "") in labels.labels or "label" not in row:
            mpp = float(row["mpp"] or about.sets[row["set"]] or 0)
            image = _Image(row, root, read_image(root / row["file"], mpp, FIELD_MPP), mpp)
            codes, truth, label = _LAYOUTS[labels.layout](image, labels)
            source = about.source_of(row)
            yield TissueField(about.name, row["image"], source, "", image.pixels, codes, truth, label)


def load_tissue_fields(root: Path, folders: tuple[str, ...] = FOLDERS) -> list[TissueField]:
    """All labeled fields of the folders under `root`, split by source."""
    return split_tissue_fields([field for folder in folders for field in _fields_of(root / folder)])


def sources_by_part(fields: Sequence[TissueField]) -> dict[str, dict[str, list[str]]]:
    """Sources of each part and data set, for the card."""
    table: dict[str, dict[str, set[str]]] = {}
    for f in fields:
        table.setdefault(f.part, {}).setdefault(f.data_set, set()).add(f.source)
    return {part: {name: sorted(names) for name, names in sets.items()} for part, sets in table.items()}
