"""What is said of a data set once, and looked up everywhere else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# masks: a label map of codes. glands: a map of instances and a grade. tiles: one word an image.
# nuclei: each labels the pixels round it.
TissueLayout = Literal["masks", "glands", "tiles", "nuclei"]
# named: the sources in `tuning` and `held_out`. drawn: by a hash of the source, in every label.
TissueSplit = Literal["named", "drawn", "train only"]
_TCGA_PATIENT = re.compile(r"TCGA-\w{2}-\w{4}(?=$|-)")


def tcga_patient(source: str) -> str | None:
    """The patient of a TCGA slide or patient barcode, None for any other source."""
    found = _TCGA_PATIENT.match(source)
    return found[0] if found else None


@dataclass(frozen=True, kw_only=True)
class TissueLabels:
    """What a data set teaches the tissue network.

    Attributes
    ----------
    layout : TissueLayout
        How its labels lie.
    note : str
        What they are worth: words for the model's card.
    labels : Mapping[str, str]
        Its labels (codes of a mask as text) -> names in `tissue_labels.LABEL_SETS`; others are not labeled.
    answers : Mapping[str, tuple[str, ...]]
        Labels of tiles that are scored -> the tissue classes that answer them.
    split : TissueSplit
        How its sources are split.
    stratum : str
        Code of a rare label: fields with 2 % of it are split, and drawn, apart from the others.
    red_cells : tuple[str, ...]
        Images, or labels of tiles, in which red cells are found by color.
    by_eye : Mapping[str, str]
        Images that a person looked at -> name in `LABEL_SETS` of what has no label there.
    tile_mpp : float or None, um/px
        Of its tiles as published, in folders that are labels.
    zoom : tuple[float, float]
        Range of the scale of crops; wider where the resolution is doubtful.
    mirrored : bool
        Whether crops are always mirrored beyond the border: a small tile on white would teach that what
        stands alone on glass is whatever most tiles are (seen: fat and mucus, so "other").
    """

    layout: TissueLayout
    note: str
    labels: Mapping[str, str]
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    split: TissueSplit = "drawn"
    stratum: str = ""
    red_cells: tuple[str, ...] = ()
    by_eye: Mapping[str, str] = field(default_factory=dict)
    tile_mpp: float | None = None
    zoom: tuple[float, float] = (0.7, 1.4)
    mirrored: bool = False


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set: terms, labels, what is scored, which sources are kept from training.

    Attributes
    ----------
    name, license, citation : str
        As people call it, and as its publishers say; empty terms are the owner's to state.
    source : str
        What a source is, the unit of every split: a slide, a patient.
    organ : str
        Name out of `classes.ORGANS` of all its sources; "source" where the source names it; "" where their
        TCGA codes do, or nothing.
    site : "primary", "metastasis" or ""
        Of the tumors, where all are alike.
    published : bool
        Whether `datasets.published` reads it as its publishers give it.
    labels : Mapping[str, int] or None
        Label -> set of cell classes, 0 where it names no class; None: its labels name our classes.
    groups : Mapping[str, tuple[str, ...]]
        How its labels are asked for in scores: the nine probabilities are summed into these groups. Empty:
        as `validation.nuclei.groups_for` finds them.
    partly_labeled : bool
        Nuclei of other types are not labeled: what is found beside is not false.
    exact_shapes : int or None
        That many images, the first ones, have exact outlines, and the nuclei of the others count half; None:
        all are exact.
    dead_label : str
        The label of dead cells, which have no class of ours but one of PanNuke's.
    tuning, held_out : tuple[str, ...]
        Sources that choose thresholds, and sources that are only scored.
    folder : str
        Folder in our own layout where it is not called as the data set.
    sets : Mapping[str, float or None], um/px
        Where several sets share the folder, the names in its column `set` -> um/px where the table gives
        none.
    source_column, source_pattern : str
        Column of images.csv that names the source, or a regular expression on the image's name whose first
        group does.
    tissue : TissueLabels or None
        What it teaches the tissue network, if anything.
    """

    name: str
    license: str = ""
    citation: str = ""
    source: str = ""
    organ: str = ""
    site: Literal["primary", "metastasis", ""] = ""
    published: bool = False
    labels: Mapping[str, int] | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    partly_labeled: bool = False
    exact_shapes: int | None = None
    dead_label: str = ""
    tuning: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    folder: str = ""
    sets: Mapping[str, float | None] = field(default_factory=dict)
    source_column: str = "source"
    source_pattern: str = ""
    tissue: TissueLabels | None = None

    def source_of(self, row: Mapping[str, str]) -> str:
        """The source of one row of images.csv."""
        found = re.search(self.source_pattern, row["image"]) if self.source_pattern else None
        return found[1] if found else row[self.source_column]

    def outline_weight(self, place: int) -> float:
        """Weight, 0-1, of the outlines of the image at this place of images.csv."""
        return 1.0 if self.exact_shapes is None or place < self.exact_shapes else 0.5
