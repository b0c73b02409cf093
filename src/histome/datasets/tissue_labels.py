"""The labels of the tissue network: sets of our seven classes, what is likeliest in them, and their trust."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.classes import QC_CLASSES, TISSUE_CLASSES

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
    # Of an antibody on the same section: what it stains is sure, what it leaves is not known.
    "stained red cells": LabelSet(("BLOOD",)),
    "stained smooth muscle": LabelSet(("STROMA", "VESSEL", "OTHER")),
    "stained epithelium": LabelSet(("CARCINOMA", "EPITHELIAL_TISSUE")),
    # Blocky masks: the edge of a metastasis lies 8-30 um off.
    "lymph node": LabelSet((*_SOFT, "OTHER"), weight=0.5),
    "fat or fibrous tissue": LabelSet((*_SOFT, "OTHER"), weight=0.5),
    # Fibroblasts, endothelium and muscle in one word.
    "connective nuclei": LabelSet(("STROMA", "VESSEL", "OTHER"), ("STROMA",), 0.3, 0.7),
}


def own_labels(classes: tuple[str, ...]) -> dict[str, LabelSet]:
    """Return every set of the classes by its names, `CARCINOMA` or `STROMA|VESSEL`: what people say."""
    sizes = range(1, len(classes) + 1)
    return {"|".join(names): LabelSet(names) for size in sizes for names in combinations(classes, size)}


class Vocabulary(NamedTuple):
    """The classes of a map and the labels that are sets of them, by name; code k is the k-th label."""

    classes: tuple[str, ...]
    labels: Mapping[str, LabelSet]

    def code(self, label: str) -> int | None:
        """Return the code of a label; names of classes may stand in any order, joined by | or +."""
        names = label.replace("+", "|").split("|")
        ordered = "|".join(name for name in self.classes if name in names)
        found = label if label in self.labels else ordered if len(ordered.split("|")) == len(names) else ""
        return list(self.labels).index(found) + 1 if found else None

    def table(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Rows by code: allowed and preferred members (codes, classes), weight and preference (codes, 2)."""
        rows = len(self.labels) + 1
        allowed, preferred = (np.zeros((rows, len(self.classes)), np.float32) for _ in range(2))
        weights = np.zeros((rows, 2), np.float32)
        for code, label in enumerate(self.labels.values(), start=1):
            allowed[code] = [name in label.allowed for name in self.classes]
            preferred[code] = [name in label.preferred for name in self.classes]
            weights[code] = label.weight, label.weight * label.preference
        return allowed, preferred, weights


TISSUE_LABELS = Vocabulary(TISSUE_CLASSES, LABEL_SETS | own_labels(TISSUE_CLASSES))
QUALITY_LABELS = Vocabulary(QC_CLASSES, own_labels(QC_CLASSES))
CODES = {name: code for code, name in enumerate(TISSUE_LABELS.labels, start=1)}
