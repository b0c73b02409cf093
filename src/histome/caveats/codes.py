"""Every code that a warning may have: how grave it is, what it means, which values it carries."""

from typing import Any, NamedTuple

from histome.store.caveat import Caveat, Severity


class Code(NamedTuple):
    """What a code stands for.

    Attributes
    ----------
    severity : "alarm", "caution" or "note"
        See `store.caveat.Caveat`.
    title : str
        Of the warning in the report.
    meaning : str
        When it is given, and what to do.
    values : tuple of str
        Names of the values that it carries.
    """

    severity: Severity
    title: str
    meaning: str
    values: tuple[str, ...]


# In the order of the pipeline. docs/reference/codes.md has the same table; a test compares them.
CODES: dict[str, Code] = {
    "NOT_H_AND_E": Code(
        "alarm",
        "This does not look like H&E",
        "The colors of the valid tissue are not those of hematoxylin and eosin: another stain, swapped color "
        "channels, a flat or gray picture. Nothing measured holds.",
        ("looks_like", "colors"),
    ),
    "RESOLUTION_IMPLAUSIBLE": Code(
        "alarm",
        "The resolution is probably wrong",
        "At the stated um/px nuclei are smaller than any, larger and smoother than they are, or missing from "
        "valid tissue. Look the resolution up and pass it with `--mpp`. Frozen sections may give it, too.",
        ("mpp", "median_nucleus_um2", "nuclear_contrast", "cells_per_mm2"),
    ),
    "RESOLUTION_ESTIMATED": Code(
        "caution",
        "Pixel size is an estimate",
        "The file states only an objective's magnification. Scanners differ from it by up to 30 %.",
        ("mpp",),
    ),
    "RESOLUTION_COARSE": Code(
        "caution",
        "Scanned coarser than the nucleus model expects",
        "The slide has larger pixels than the nucleus model works at: small nuclei are missed. Above 1.05 "
        "um/px focus is not judged either: the area out of focus is 0 whatever the picture.",
        ("mpp", "model_mpp"),
    ),
    "RESOLUTION_NOTE": Code(
        "caution",
        "About the resolution",
        "What the file states of its resolution is unusual, or was replaced.",
        (),
    ),
    "BROKEN_TILES": Code(
        "caution",
        "Part of the file could not be read",
        "Tiles of the file are damaged. They are counted as no tissue.",
        ("tiles", "tissue_share"),
    ),
    "FILE_NOTE": Code("note", "About the file", "Colors were converted while the file was read.", ()),
    "PAGES_NOT_READ": Code(
        "caution",
        "One page of the file was read",
        "A TIFF has further pages of the same size and kind, as of a stack; the first was measured.",
        ("pages",),
    ),
    "RUN_NOTE": Code("caution", "From the run", "What a stage had to tell while it ran.", ("stage",)),
    "REGIONS_OF_INTEREST": Code(
        "note",
        "Regions of interest were measured",
        "What lies outside of the regions of `--roi` is as if it were not on the slide.",
        ("regions", "file"),
    ),
    "REGIONS_NOT_MEASURED": Code(
        "caution",
        "Some of the file of regions was not measured",
        "Points and lines enclose nothing; regions may lie off the slide or in what is left out.",
        ("regions", "file", "not_measured"),
    ),
    "NUCLEI_GIVEN": Code(
        "note",
        "The nuclei were given",
        "They were read from the file of `--nuclei`; the model classified them and found none.",
        ("file", "count", "measured"),
    ),
    "NUCLEI_LEFT_OUT": Code(
        "caution",
        "Many of the given nuclei were left out",
        "More than a fifth of the nuclei of the file of `--nuclei` lie outside of valid tissue.",
        ("file", "count", "measured"),
    ),
    "CORRECTED": Code(
        "note",
        "Corrected by hand",
        "Cells were given another class, or regions were excluded, by people (`--edits`); of edited cells "
        "that are not there any more nothing is changed.",
        ("relabeled", "excluded_regions", "not_found"),
    ),
    "MUCH_EXCLUDED": Code(
        "caution",
        "Much of the tissue was excluded",
        "Less of the tissue passed quality control than `low_valid_percent` of `[warnings]` in the settings.",
        ("valid_percent",),
    ),
    "ORGAN_NOT_SEEN": Code(
        "alarm",
        "The models never saw this organ",
        "The organ that was stated is not among those that a model learned from.",
        ("organ", "models"),
    ),
    "ORGAN_NOT_STATED": Code(
        "note",
        "The organ was not stated",
        "Whether the models ever saw such tissue is not known. State it with `--organ`.",
        (),
    ),
    "SPECIMEN_NOT_SEEN": Code(
        "alarm",
        "Not made for cytology",
        "The specimen was stated to be cytology; histome measures sections of tissue.",
        ("specimen",),
    ),
    "NO_CARCINOMA": Code(
        "caution",
        "No carcinoma was found",
        "Every metric that refers to carcinoma is null or zero. If this is a tumor, look at the overlay.",
        ("tissue_mm2",),
    ),
    "NO_CELLS": Code(
        "alarm",
        "No cells were found",
        "There is valid tissue, but not one cell in it. Cell metrics are zero or null, with their reason.",
        ("valid_mm2",),
    ),
    "CELLS_NOT_COUNTED": Code(
        "caution",
        "Many cells are not counted",
        "More than a fifth of the cells lie in tissue called necrosis or blood and enter no metric.",
        ("cells", "not_counted"),
    ),
    "SMALL_SAMPLE": Code(
        "caution",
        "Few cells",
        "There are fewer cells than `few_cells` of `[warnings]`: a few percent more or less mean nothing.",
        ("cells",),
    ),
    "TYPES_UNFAMILIAR": Code(
        "alarm",
        "The cell types are not to be trusted here",
        "Stain, sizes of nuclei and certainty around most of the cells are unlike any that the model learned "
        "from or was tried on: an organ, a scanner or a stain that it does not know. These cells are left "
        "open. More than `high_unfamiliar_percent` of `[warnings]`.",
        ("unfamiliar_percent", "strangeness_median"),
    ),
    "LOW_CONFIDENCE": Code(
        "caution",
        "The cell classes are uncertain",
        "The mean confidence of the classes is under `low_confidence` of `[warnings]`.",
        ("confidence_mean",),
    ),
    "MANY_ABSTAINED": Code(
        "caution",
        "Many cells are left open",
        "The model abstained on more of the cells than `high_abstained_percent` of `[warnings]`.",
        ("abstained_percent",),
    ),
    "MODELS_DISAGREE": Code(
        "caution",
        "The models disagree",
        "Fewer than half of the carcinoma cells lie in carcinoma, or of the cells there fewer than a fifth "
        "are carcinoma cells, or more are epithelial, or more are fibroblasts. Every number on the tumor "
        "needs a look at the overlay.",
        (
            "carcinoma_cells",
            "in_carcinoma",
            "cells_in_carcinoma",
            "epithelial_in_carcinoma",
            "fibroblasts_in_carcinoma",
        ),
    ),
    "STAIN_OUTSIDE_TRAINING": Code(
        "caution",
        "The stain is unlike what the model learned from",
        "Mean optical densities of the nuclei lie outside the range of the slides in training.",
        ("model", "outside"),
    ),
    "TYPES_UNDECIDED": Code(
        "note",
        "Cells that are reported without a type",
        "The model has no held-out score of their class; the column `reported` has the group that it is sure "
        "of, `report_unscored` of `[cells]` the class itself.",
        ("undecided",),
    ),
    "FEW_LABELS": Code(
        "note",
        "Classes learned from few labels of their own, or from none",
        "Numbers of these classes are tentative; the report marks them with a dagger.",
        ("model", "classes"),
    ),
    "MODEL_LIMITS": Code(
        "note", "Limits of the models", "What a model never saw or hardly learned.", ("model", "limits")
    ),
}


def caveat(code: str, text: str, **values: Any) -> Caveat:
    """Return a warning of a code."""
    return Caveat(code, CODES[code].severity, CODES[code].title, text, values)
