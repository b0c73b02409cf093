"""Which organ a source is of, as far as its data set or its TCGA code says."""

from contextlib import suppress

from histome.classes import find_organ
from histome.datasets.declaration import tcga_patient
from histome.datasets.declared import declaration_of

# Tissue source site in a TCGA code -> organ of the study that it delivered to (those of the declared sets).
_TCGA_SITES = {
    "bladder": ("DK", "G2"),
    "brain": ("HT",),
    "breast": ("A1", "A2", "A7", "AR", "E2"),
    "colorectum": ("AY", "NH"),
    "kidney": ("B0", "DW", "F9", "HE", "IZ", "MH"),
    "lung": ("18", "21", "38", "49", "50", "55", "MP"),
    "prostate": ("CH", "G9"),
    "stomach": ("KB", "RD"),
}
_ORGAN_OF_SITE = {site: organ for organ, sites in _TCGA_SITES.items() for site in sites}


def organ_of(data_set: str, source: str) -> str:
    """Return the organ of a source, a name out of `classes.ORGANS`; "" where nothing says it.

    Examples
    --------
    >>> from histome.datasets.organs import organ_of
    >>> organ_of("consep", "train_1"), organ_of("monuseg", "TCGA-G2-A2EK"), organ_of("mine", "slide 7")
    ('colorectum', 'bladder', '')
    """
    about = declaration_of(data_set)
    if about.organ == "source":
        with suppress(ValueError):  # "Head & neck" is no one organ
            return find_organ(source)
        return ""
    if about.organ:
        return about.organ
    patient = tcga_patient(source)
    return _ORGAN_OF_SITE.get(patient.split("-")[1], "") if patient else ""
