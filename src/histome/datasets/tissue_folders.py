"""Labeled tissue or quality as people keep it: masks, polygons, or folders of tiles with one word each."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from histome.datasets.declared import declaration_of
from histome.datasets.fields import read_image, read_rows
from histome.datasets.tissue_fields import FIELD_MPP, Codes, TissueField
from histome.datasets.tissue_labels import Vocabulary
from histome.errors import DataError
from histome.geometry.raster import paint_polygons
from histome.slide.mpp import check_given_mpp

_IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


def load_labeled_maps(
    name: str, folder: Path, vocabulary: Vocabulary, mpp: float | None = None
) -> Iterator[TissueField]:
    """Yield the fields of a folder; `part` stays empty.

    With images.csv (image, file, source, mpp) each image has a `mask` (a file, k is the k-th class, 0 not
    labeled), `polygons` (GeoJSON in pixels of the image, its classes by name) or a `label` of all its pixels.
    Without, each folder in it is a label and holds tiles, or folders of them that are the sources; a tile
    that lies in none is its own source. Labels are those that the data set of this name declares, else names
    of classes, several joined by | or + (`STROMA+VESSEL`).

    Parameters
    ----------
    mpp : float, um/px, or None
        Of the images whose resolution is neither in images.csv nor declared.

    Raises
    ------
    DataError
        No such folder, no labels, a label or resolution that is not known, a file that cannot be read.
    UsageError
        A `mpp` that no image has.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    own = (folder / "images.csv").is_file()
    try:
        yield from (
            _of_table(name, folder, vocabulary, mpp) if own else _of_tiles(name, folder, vocabulary, mpp)
        )
    except KeyError as error:
        raise DataError(f"{folder}: a column {error} is missing in images.csv") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{folder}: {' '.join(str(error).split())}") from error


def _of_table(name: str, folder: Path, vocabulary: Vocabulary, mpp: float | None) -> Iterator[TissueField]:
    for row in read_rows(folder / "images.csv"):
        from_mpp = row.mpp() if row.get("mpp") else _resolution(name, folder, mpp)
        image = read_image(folder / row["file"], from_mpp, FIELD_MPP)
        shape, label = image.shape[:2], row.get("label", "")
        if row.get("mask"):
            codes = _of_mask(folder / row["mask"], shape, vocabulary)
        elif row.get("polygons"):
            codes = _of_polygons(folder / row["polygons"], shape, vocabulary, from_mpp / FIELD_MPP)
        else:
            codes = np.full(shape, _code(name, label, vocabulary), np.uint8)
        yield TissueField(name, row["image"], row["source"], "", image, codes, label=label)


def _of_tiles(name: str, folder: Path, vocabulary: Vocabulary, mpp: float | None) -> Iterator[TissueField]:
    labels = sorted(path for path in folder.iterdir() if path.is_dir())
    if not labels:
        raise DataError(f"{folder}: no images.csv, and no folders that are labels of the tiles in them")
    from_mpp = _resolution(name, folder, mpp)
    for label in labels:
        if (code := _code(name, label.name, vocabulary)) == 0:
            continue
        for path in sorted(each for each in label.rglob("*") if each.suffix.lower() in _IMAGES):
            image = read_image(path, from_mpp, FIELD_MPP)
            source = path.stem if path.parent == label else path.parent.relative_to(label).as_posix()
            codes = np.full(image.shape[:2], code, np.uint8)
            yield TissueField(
                name, path.relative_to(folder).as_posix(), source, "", image, codes, label=label.name
            )


def _resolution(name: str, folder: Path, mpp: float | None) -> float:
    about = declaration_of(name).tissue
    found = mpp if mpp is not None else about.tile_mpp if about else None
    if found is None:
        raise DataError(f"{folder}: the um/px of its images is not known; pass --mpp, or give a column mpp")
    check_given_mpp(found)
    return found


def _code(name: str, label: str, vocabulary: Vocabulary) -> int:
    """Code of a label; 0 for one that a declared data set leaves out."""
    about = declaration_of(name).tissue
    declared = about.labels if about else {}
    code = vocabulary.code(declared.get(label, label))
    if code is None and label not in declared and not declared:
        raise DataError(f"{name}: unknown label {label!r}; known are {', '.join(vocabulary.classes)}")
    return code or 0


def _of_mask(path: Path, shape: tuple[int, ...], vocabulary: Vocabulary) -> Codes:
    mask = Image.open(path).resize((shape[1], shape[0]), Image.Resampling.NEAREST)
    values = np.asarray(mask)
    if values.ndim != 2 or values.max(initial=0) > len(vocabulary.classes):
        raise DataError(f"{path}: must be one channel of 0 (not labeled) to {len(vocabulary.classes)}")
    table = [0, *(vocabulary.code(each) for each in vocabulary.classes)]
    return np.array(table, np.uint8)[values.astype(np.int64)]


def _of_polygons(path: Path, shape: tuple[int, ...], vocabulary: Vocabulary, scale: float) -> Codes:
    """Paint a GeoJSON file, the largest first, so that the smallest lies on top."""
    content = json.loads(path.read_text(encoding="utf-8"))
    features = content["features"] if isinstance(content, dict) else content
    geometry = np.array([shapely.from_geojson(json.dumps(each["geometry"])) for each in features], object)
    found = [vocabulary.code(_word(each.get("properties") or {})) for each in features]
    unknown = {_word(each["properties"]) for each, code in zip(features, found, strict=True) if code is None}
    if unknown:
        raise DataError(f"{path}: unknown labels {', '.join(sorted(unknown))}")
    order = np.argsort(-shapely.area(geometry), kind="stable")
    codes = np.zeros(shape, np.uint8)
    paint_polygons(codes, geometry[order], np.array(found, np.uint8)[order], unit_px=scale)
    return codes


def _word(properties: dict) -> str:
    """Name of a feature's class as QuPath, or a table, has it."""
    named = properties.get("classification")
    word = named.get("name") if isinstance(named, dict) else properties.get("label", properties.get("class"))
    return str(word or "")
