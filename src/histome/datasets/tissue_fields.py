"""Labeled fields for the tissue network: every data set's label becomes a set of our seven classes.

A pixel of a field holds the code of a `LabelSet`; 0 is not labeled (background, doubt). Everything is
resampled to `FIELD_MPP`. The table of sets is the one of the data's README; what was added by eye says so.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from histome.classes import TISSUE_CLASSES
from histome.datasets.fields import read_image, read_rows
from histome.datasets.splits import HELD_OUT, TUNING

# 1 um/px: the resolution of wsss4luad and osteosarcoma, and about the coarsest that shows nuclei.
FIELD_MPP = 1.0

Codes = NDArray[np.uint8]
Pixels = NDArray[np.uint8]

_SOFT = ("STROMA", "VESSEL", "BLOOD")
_NOT_TUMOR = ("EPITHELIAL_TISSUE", *_SOFT, "OTHER")


class LabelSet(NamedTuple):
    """What a label allows, what it most likely is (with its share of the loss), how far it is trusted."""

    allowed: tuple[str, ...]
    preferred: tuple[str, ...] = ()
    preference: float = 0.0
    weight: float = 1.0


LABEL_SETS: dict[str, LabelSet] = {
    "tumor": LabelSet(("CARCINOMA",)),
    "tumor stroma": LabelSet(_SOFT, ("STROMA",), 0.5),
    # Alveolar walls: pneumocytes first, so epithelium is preferred and the vessels in it stay allowed.
    "normal lung": LabelSet(_NOT_TUMOR, ("EPITHELIAL_TISSUE", "OTHER"), 0.5),
    "malignant gland": LabelSet(("CARCINOMA",)),
    "benign gland": LabelSet(("EPITHELIAL_TISSUE",)),
    "outside glands": LabelSet((*_SOFT, "NECROSIS", "OTHER"), ("STROMA",), 0.2),
    # A sarcoma with bone: it teaches what is not necrosis and not epithelium, little else.
    "viable sarcoma": LabelSet(("CARCINOMA", *_SOFT, "OTHER"), weight=0.3),
    # "Mostly" necrosis or debris. With OTHER allowed besides, all became OTHER (seen after 2,200 steps).
    "necrotic sarcoma": LabelSet(("NECROSIS",), weight=0.7),
    "bone": LabelSet((*_SOFT, "OTHER"), ("OTHER",), 0.1, 0.5),
    "STR": LabelSet(("STROMA", "VESSEL"), ("STROMA",), 0.5),
    "NORM": LabelSet(("EPITHELIAL_TISSUE", "STROMA"), ("EPITHELIAL_TISSUE",), 0.3, 0.7),
    # Muscle is "other" by our words, but fibrous stroma must not become muscle for looking like it.
    "MUS": LabelSet(("OTHER", "STROMA")),
    "LYM": LabelSet(("STROMA", "OTHER")),
    "other": LabelSet(("OTHER",)),
    "debris": LabelSet(("NECROSIS", "BLOOD"), ("NECROSIS",), 1.0),
    "complex stroma": LabelSet(("STROMA", "OTHER", "CARCINOMA"), weight=0.3),
    "carcinoma tile": LabelSet(("CARCINOMA", "STROMA"), ("CARCINOMA",), 0.2, 0.5),
    "benign tile": LabelSet(_NOT_TUMOR, ("EPITHELIAL_TISSUE",), 0.1, 0.5),
    "blood": LabelSet(("BLOOD",), weight=3.0),
    "malignant nuclei": LabelSet(("CARCINOMA",)),
    "benign nuclei": LabelSet(("EPITHELIAL_TISSUE",)),
    "epithelial nuclei": LabelSet(("CARCINOMA", "EPITHELIAL_TISSUE"), weight=0.7),
    # Primary tumors of TCGA: an epithelial nucleus there is most likely a carcinoma cell.
    "epithelial nuclei of a tumor": LabelSet(("CARCINOMA", "EPITHELIAL_TISSUE"), ("CARCINOMA",), 0.5, 0.7),
    "fibroblasts": LabelSet(("STROMA", "VESSEL"), ("STROMA",), 0.3),
    "endothelium": LabelSet(("VESSEL", "STROMA"), ("VESSEL",), 0.5),
    "muscle nuclei": LabelSet(("OTHER", "STROMA"), weight=0.7),
    "breast cancer": LabelSet(("CARCINOMA", *_SOFT, "OTHER", "NECROSIS"), weight=0.3),
}
CODES = {name: code for code, name in enumerate(LABEL_SETS, start=1)}


def label_table() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Rows by code: allowed and preferred memberships (codes, 7), weight and preference (codes, 2)."""
    allowed, preferred = (np.zeros((len(CODES) + 1, len(TISSUE_CLASSES)), np.float32) for _ in range(2))
    weights = np.zeros((len(CODES) + 1, 2), np.float32)
    for name, code in CODES.items():
        label = LABEL_SETS[name]
        allowed[code] = [c in label.allowed for c in TISSUE_CLASSES]
        preferred[code] = [c in label.preferred for c in TISSUE_CLASSES]
        weights[code] = label.weight, label.weight * label.preference
    return allowed, preferred, weights


@dataclass(frozen=True)
class TissueField:
    """One field at `FIELD_MPP`: pixels (h, w, 3) uint8, label codes (h, w) uint8.

    `truth` is the data set's own label where scores need it: a (h, w) mask or a word for the whole field.
    """

    data_set: str
    name: str
    source: str
    part: str
    image: Pixels
    codes: Codes
    truth: NDArray[np.uint8] | None = None
    label: str = ""


def white(image: Pixels) -> NDArray[np.bool_]:
    """Pixels as bright and colorless as empty glass, judged against the field's own brightest percentile."""
    soft = cv2.GaussianBlur(image, (0, 0), 1.0)
    low, high = soft.min(axis=2).astype(int), soft.max(axis=2).astype(int)
    top = max(float(np.percentile(low, 99)), 200.0)
    return (low > 0.9 * top) & (high - low < 30)


def red_cells(image: Pixels) -> NDArray[np.bool_]:
    """Red cells by color: strong in green, weak in red, more orange than eosin. For fields chosen by eye.

    On unchosen fields it also takes bone, muscle and hyaline collagen (looked at: 16 fields).
    """
    soft = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    od = -np.log10((soft + 1) / 256)
    orange = soft[..., 0] - soft[..., 2] > 38
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


# Patients 1, 3 and 10 of glas have fields of both grades.
GLAS_PARTS = {
    "held-out": ("patient 9", "patient 11", "patient 3"),
    "tuning": ("patient 4", "patient 6", "patient 13"),
}
_HELD_OUT_SHARE, _TUNING_SHARE = 0.22, 0.12


def _named_part(data_set: str, source: str) -> str | None:
    """Part of a source whose split is written down: glas by patient, typed nuclei as the nuclei model."""
    if data_set == "glas":
        return next((part for part, names in GLAS_PARTS.items() if source in names), "train")
    if data_set in HELD_OUT:
        held, tuning = (any(source in names for names in table.values()) for table in (HELD_OUT, TUNING))
        return "held-out" if held else "tuning" if tuning else "train"
    # LC25000 tiles are augmented copies of few originals: training only.
    return "train" if data_set == "lc25000" else None


def _drawn_parts(strata: dict[str, str]) -> dict[str, str]:
    """Part of each source: in every stratum, by a hash of the name, 22 % are held out and 12 % tune."""
    parts: dict[str, str] = {}
    for stratum in set(strata.values()):
        names = [s for s in strata if strata[s] == stratum]
        names.sort(key=lambda s: hashlib.sha256(s.encode()).digest())
        held, tuning = round(_HELD_OUT_SHARE * len(names)), round(_TUNING_SHARE * len(names))
        parts |= dict.fromkeys(names, "train")
        parts |= dict.fromkeys(names[:held], "held-out") | dict.fromkeys(
            names[held : held + tuning], "tuning"
        )
    return parts


def split_tissue_fields(fields: Sequence[TissueField]) -> list[TissueField]:
    """Return the fields with their part set: never two parts for one source."""
    strata: dict[str, dict[str, str]] = {}
    for f in fields:
        strata.setdefault(f.data_set, {}).setdefault(f.source, f.label)
    drawn = {name: _drawn_parts(sources) for name, sources in strata.items()}
    return [replace(f, part=_named_part(f.data_set, f.source) or drawn[f.data_set][f.source]) for f in fields]


def _field(data_set: str, row: dict[str, str], image: Pixels, codes: Codes, **more) -> TissueField:
    source = more.pop("source", row["source"])
    return TissueField(data_set, row["image"], source, "", image, codes, **more)


def _labels_at(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    labels = np.asarray(Image.open(path)).astype(np.uint16)
    return (
        cv2.resize(labels, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
        .clip(0, 255)
        .astype(np.uint8)
    )


def _wsss4luad(root: Path) -> Iterator[TissueField]:
    table = np.array([CODES["tumor"], CODES["tumor stroma"], CODES["normal lung"], 0], np.uint8)
    for row in read_rows(root / "images.csv"):
        image = read_image(root / row["file"], float(row["mpp"]), FIELD_MPP)
        truth = _labels_at(root / row["tissue"], image.shape)
        label = "with normal lung" if np.mean(truth == 2) > 0.02 else "tumor and stroma"
        yield _field("wsss4luad", row, image, table[truth], truth=truth, label=label)


def _glas(root: Path) -> Iterator[TissueField]:
    for row in read_rows(root / "images.csv"):
        image = read_image(root / row["file"], float(row["mpp"]), FIELD_MPP)
        gland = _labels_at(root / row["glands"], image.shape) > 0
        outside = np.where(white(image), 0, CODES["outside glands"])
        codes = np.where(gland, CODES[f"{row['grade']} gland"], outside).astype(np.uint8)
        yield _field("glas", row, image, codes, truth=gland.astype(np.uint8), label=row["grade"])


_OSTEOSARCOMA = {"Viable": "viable sarcoma", "Non-Viable-Tumor": "necrotic sarcoma", "Non-Tumor": "bone"}


def _osteosarcoma(root: Path) -> Iterator[TissueField]:
    for row in read_rows(root / "images.csv"):
        image = read_image(root / row["file"], float(row["mpp"]), FIELD_MPP)
        codes = np.where(white(image), 0, CODES[_OSTEOSARCOMA[row["label"]]]).astype(np.uint8)
        # Three patients, each with its own labels: only the block can be held out, and the card says so.
        block = re.search(r"___(.*?-[A-C]\d+)-", row["image"])
        yield _field(
            "osteosarcoma", row, image, codes, label=row["label"], source=block[1] if block else row["source"]
        )


_TILES = {
    **{
        "TUM": "tumor",
        "STR": "STR",
        "NORM": "NORM",
        "MUS": "MUS",
        "LYM": "LYM",
        "MUC": "other",
        "ADI": "other",
    },
    **{
        "DEB": "debris",
        "01_TUMOR": "tumor",
        "02_STROMA": "STR",
        "03_COMPLEX": "complex stroma",
        "04_LYMPHO": "LYM",
    },
    **{"05_DEBRIS": "debris", "06_MUCOSA": "NORM", "07_ADIPOSE": "other", "colon_aca": "carcinoma tile"},
    **{
        "lung_aca": "carcinoma tile",
        "lung_scc": "carcinoma tile",
        "colon_n": "benign tile",
        "lung_n": "benign tile",
    },
}
# LC25000 does not state its resolution: red cells (7 um) are 21 px in the 512 px tiles, 11 px in the small.
_TILE_MPP = {"LC25000 at 512 px": 0.33, "LC25000 small": 0.7}


def _tissue_tiles(root: Path) -> Iterator[TissueField]:
    for row in read_rows(root / "images.csv"):
        label = _TILES.get(row["label"])
        if label is None:  # BACK and 08_EMPTY: background
            continue
        image = read_image(root / row["file"], float(row["mpp"] or _TILE_MPP[row["set"]]), FIELD_MPP)
        keep_white = label == "other"  # fat and mucus are white or nearly so
        codes = np.where(white(image) & (not keep_white), 0, CODES[label]).astype(np.uint8)
        if row["label"] == "lung_n":
            codes[red_cells(image)] = CODES["blood"]
        data_set = {"NCT-CRC-HE-7K": "nct", "Kather 2016": "kather"}.get(row["set"], "lc25000")
        yield _field(data_set, row, image, codes, label=row["label"])


_NUCLEI = {
    "consep": {
        **{"malignant epithelial": "malignant nuclei", "healthy epithelial": "benign nuclei"},
        **{"fibroblast": "fibroblasts", "endothelial": "endothelium", "muscle": "muscle nuclei"},
    },
    "crchistophenotypes": {"epithelial": "epithelial nuclei", "fibroblast": "fibroblasts"},
    "monusac": {"epithelial": "epithelial nuclei of a tumor"},
}
# Fields of crchistophenotypes that a person looked at: red cells in bulk, fat, smooth muscle.
_SEEN_BLOOD = ("img16", "img25", "img26", "img30", "img61")
_SEEN_WHOLE = {
    **dict.fromkeys(("img1", "img27", "img34", "img98", "img99", "img100"), "other"),
    **dict.fromkeys(("img24", "img44", "img45"), "MUS"),
    "img74": "blood",
}


def _typed_nuclei(root: Path) -> Iterator[TissueField]:
    data_set = root.name
    nuclei = read_rows(root / "nuclei.csv")
    for row in read_rows(root / "images.csv"):
        mpp = float(row["mpp"])
        image = read_image(root / row["file"], mpp, FIELD_MPP)
        mine = [n for n in nuclei if n["image"] == row["image"]]
        points = (
            np.array([(float(n["x_px"]), float(n["y_px"])) for n in mine]).reshape(-1, 2) * mpp / FIELD_MPP
        )
        names = [_NUCLEI[data_set].get(n["label"]) for n in mine]
        codes = around_points(
            image.shape[:2], points, np.array([CODES[n] if n else 0 for n in names], np.uint8)
        )
        # A label of their own: crops are drawn evenly over the labels, and hardly any field has red cells.
        label = "blood" if row["image"] in (*_SEEN_BLOOD, "img74") else ""
        yield _field(data_set, row, image, _seen(row["image"], image, codes), label=label)


def _seen(name: str, image: Pixels, codes: Codes) -> Codes:
    if name in _SEEN_BLOOD:
        codes = np.where(red_cells(image), CODES["blood"], codes)
    label = _SEEN_WHOLE.get(name)
    if label is not None:
        empty = white(image) if label != "other" else np.zeros(codes.shape, bool)
        codes = np.where((codes == 0) & ~empty, CODES[label], codes)
    return codes.astype(np.uint8)


def _tnbc(root: Path) -> Iterator[TissueField]:
    for row in read_rows(root / "images.csv"):
        image = read_image(root / row["file"], float(row["mpp"]), FIELD_MPP)
        codes = np.where(white(image), 0, CODES["breast cancer"]).astype(np.uint8)
        yield _field("tnbc", row, image, codes)


_READERS: dict[str, Callable[[Path], Iterator[TissueField]]] = {
    **{"wsss4luad": _wsss4luad, "glas": _glas, "osteosarcoma": _osteosarcoma, "tissue_tiles": _tissue_tiles},
    **{"consep": _typed_nuclei, "crchistophenotypes": _typed_nuclei, "monusac": _typed_nuclei, "tnbc": _tnbc},
}
FOLDERS = tuple(_READERS)


def load_tissue_fields(root: Path, folders: tuple[str, ...] = FOLDERS) -> list[TissueField]:
    """All labeled fields of the data sets under `root`, split by source."""
    return split_tissue_fields([field for folder in folders for field in _READERS[folder](root / folder)])


def sources_by_part(fields: Sequence[TissueField]) -> dict[str, dict[str, list[str]]]:
    """Sources of each part and data set, for the card."""
    table: dict[str, dict[str, set[str]]] = {}
    for f in fields:
        table.setdefault(f.part, {}).setdefault(f.data_set, set()).add(f.source)
    return {part: {name: sorted(names) for name, names in sets.items()} for part, sets in table.items()}
