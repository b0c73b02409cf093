"""Published outlines and boxes: NuCLS, PUMA, MoNuSAC."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histome.datasets.declared import set_of
from histome.datasets.fields import IMAGE_MPP, Field, FieldId, instance_field, read_rows
from histome.datasets.published.maps import compact, files_of
from histome.errors import DataError
from histome.slide import open_slide

_NUCLS_MPP, _PUMA_MPP, _MONUSAC_MPP = 0.2, 0.23, 0.25
_PATIENT = re.compile(r"TCGA-\w{2}-\w{4}")
# Round a nucleus of a partly labeled field this much is known to be no nucleus, or another one.
_RING_UM = 1.0
_SUBPIXEL = 4  # bits
_FIGURE = "nuclei_"


class Outline(NamedTuple):
    """One labeled nucleus: corners (k, 2) x, y in px (an ellipse where only its box is known), label."""

    corners_px: NDArray[np.float64]
    label: str
    exact: bool = True


def load_nucls(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """NuCLS (Amgad et al. 2022, doi:10.1093/gigascience/giac037), a single-rater data set, 0.2 um/px.

    `rgb/*.png` and `csv/*.csv` of the same name with raw_classification (or main_classification), type
    (rectangle or polyline), xmin, ymin, xmax, ymax, coords_x, coords_y. Boxes become their inscribed ellipse;
    fields with a box teach place and class, not shape. Where `mask/*.png` is there, pixels outside the
    intended region (first channel 0) are unknown. `source` is the TCGA patient.
    """
    for path in files_of(folder / "csv", "*.csv", "NuCLS"):
        if path.name.startswith("all_fov"):  # of the whole release: where the fields lie
            continue
        rgb = _pixels(folder / "rgb" / f"{path.stem}.png")
        outlines = [_nucls_outline(row, path) for row in read_rows(path) if _nucls_label(row, path) != "fov"]
        labels, sets = _painted(outlines, rgb.shape[:2], "nucls", path)
        mask = folder / "mask" / path.name.replace(".csv", ".png")
        weight = _known_region(mask, labels) if mask.is_file() else None
        of = FieldId("nucls", path.stem, _patient(path.stem), image_mpp)
        exact = all(outline.exact for outline in outlines)
        yield instance_field(of, rgb, labels, sets, mpp=_NUCLS_MPP, weight=weight, shapes=exact)


def _nucls_label(row: Mapping[str, str], path: Path) -> str:
    label = row.get("raw_classification") or row.get("main_classification")
    if label is None:
        raise DataError(f"{path}: no column raw_classification or main_classification")
    return label


def _nucls_outline(row: Mapping[str, str], path: Path) -> Outline:
    label = _nucls_label(row, path)
    try:
        if row.get("type") == "polyline" and row.get("coords_x"):
            x, y = ([float(v) for v in row[f"coords_{axis}"].split(",")] for axis in "xy")
            return Outline(np.stack([x, y], axis=1), label)
        x0, y0, x1, y1 = (float(row[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
    except (KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: a {label} has no box and no outline that can be read ({error})") from error
    angles = 2 * np.pi * np.arange(32) / 32
    radii = np.array([x1 - x0, y1 - y0]) / 2
    corners = np.array([x0 + x1, y0 + y1]) / 2 + radii * np.stack([np.cos(angles), np.sin(angles)], 1)
    return Outline(corners, label, exact=False)


def _known_region(mask_path: Path, labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    mask = np.asarray(Image.open(mask_path))
    if mask.ndim != 3 or mask.shape[:2] != labels.shape:
        raise DataError(f"{mask_path}: shape {mask.shape}; expected {(*labels.shape, 3)}")
    return np.where((mask[..., 0] > 0) | (labels > 0), 255, 0).astype(np.uint8)


def load_puma(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """PUMA (Schuiveling et al. 2025, doi:10.1093/gigascience/giaf011), melanoma, 1024 px at 0.23 um/px.

    `01_training_dataset_tif_ROIs/*.tif` and `01_training_dataset_geojson_nuclei/*_nuclei.geojson`: polygons
    with `properties.classification.name`, "nuclei_tumor" and nine others. `source` is the region, one a
    specimen. Apoptotic nuclei teach that there is a nucleus, not its class.
    """
    images = {path.stem: path for path in sorted(folder.rglob("*.tif"))}
    for path in files_of(folder, "*_nuclei.geojson", "PUMA"):
        name = path.stem.removesuffix("_nuclei")
        if name not in images:
            raise DataError(f"{path}: no image {name}.tif under {folder}")
        rgb = _pixels(images[name])
        labels, sets = _painted(_read_geojson(path), rgb.shape[:2], "puma", path)
        yield instance_field(FieldId("puma", name, name, image_mpp), rgb, labels, sets, mpp=_PUMA_MPP)


def _read_geojson(path: Path) -> list[Outline]:
    try:
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
        return [outline for feature in features for outline in _of_feature(feature)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: no GeoJSON of polygons with classification.name ({what})") from error


def _of_feature(feature: Mapping[str, Any]) -> list[Outline]:
    label = feature["properties"]["classification"]["name"].removeprefix(_FIGURE)
    geometry = feature["geometry"]
    parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
    return [Outline(np.array(part[0], float)[:, :2], label) for part in parts]


def load_monusac(folder: Path, image_mpp: float = IMAGE_MPP) -> Iterator[Field]:
    """MoNuSAC 2020 (Verma et al. 2021, doi:10.1109/TMI.2021.3085712): training and test part as published.

    A folder a patient with `<name>.tif` (or `.svs`) and `<name>.xml`: Aperio polygons, an Annotation for each
    of Epithelial, Lymphocyte, Neutrophil, Macrophage. um/px as the XML says, else 0.25. Other nuclei are not
    labeled: nothing is known 1 um away from a labeled nucleus. Outlines of macrophages are whole cells and
    teach the class alone; regions marked Ambiguous (test part) are left out. `source` is the TCGA patient.
    """
    for path in files_of(folder, "*.xml", "MoNuSAC"):
        outlines, mpp = _read_aperio(path)
        outlines = [outline for outline in outlines if outline.label != "ambiguous"]
        rgb = _monusac_pixels(path, mpp)
        labels, sets = _painted(outlines, rgb.shape[:2], "monusac", path)
        weight = _ring(labels, round(_RING_UM / mpp))
        weight[(sets == set_of("monusac", "macrophage"))[labels]] = 0
        of = FieldId("monusac", path.stem, _patient(path.stem), image_mpp)
        yield instance_field(of, rgb, labels, sets, mpp=mpp, weight=weight)


def _monusac_pixels(path: Path, mpp: float) -> NDArray[np.uint8]:
    if path.with_suffix(".tif").is_file() or not path.with_suffix(".svs").is_file():
        return _pixels(path.with_suffix(".tif"))
    with open_slide(path.with_suffix(".svs"), mpp=mpp) as slide:
        return slide.read(0.0, 0.0, size=slide.size_px, mpp=mpp)


def _read_aperio(path: Path) -> tuple[list[Outline], float]:
    try:
        root = ElementTree.parse(path).getroot()
        found = []
        for annotation in root.iter("Annotation"):
            attribute = annotation.find("Attributes/Attribute")
            label = "" if attribute is None else attribute.get("Name", "").lower()
            for region in annotation.iter("Region"):
                corners = [(float(v.get("X", "")), float(v.get("Y", ""))) for v in region.iter("Vertex")]
                found.append(Outline(np.array(corners).reshape(-1, 2), label))
        mpp = float(root.get("MicronsPerPixel") or _MONUSAC_MPP)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: not an Aperio XML file of polygons ({error})") from error
    return found, mpp if 0.1 <= mpp <= 1.0 else _MONUSAC_MPP


def _ring(labels: NDArray[np.int32], radius_px: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return cv2.dilate((labels > 0).astype(np.uint8), kernel) * np.uint8(255)


def _painted(
    outlines: Sequence[Outline], shape: tuple[int, ...], data_set: str, path: Path
) -> tuple[NDArray[np.int32], NDArray[np.uint16]]:
    """Instance map and label sets; a later outline lies on top; one of under three corners is left out."""
    labels = np.zeros(shape, np.int32)
    sets = [0]
    for outline in outlines:
        try:
            mask = set_of(data_set, outline.label)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        if len(outline.corners_px) < 3:
            continue
        # OpenCV's pixel (0, 0) is centered on 0, ours on 0.5.
        corners = np.round((outline.corners_px - 0.5) * 2**_SUBPIXEL).astype(np.int32)
        cv2.fillPoly(labels, [corners], len(sets), shift=_SUBPIXEL)
        sets.append(mask)
    return compact(labels, sets)


def _patient(name: str) -> str:
    found = _PATIENT.search(name)
    return found[0] if found else name


def _pixels(path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise DataError(f"{path}: no image that can be read ({error.strerror or error})") from error
