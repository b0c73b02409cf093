"""The fixed vocabulary: classes of quality, tissue and cells; organs."""

from difflib import get_close_matches

# Code k of a class map means classes[k - 1]; 0 means "not analyzed". The order never changes.
QC_CLASSES = ("TISSUE_ARTIFACT", "NO_TISSUE", "MARKER", "OUT_OF_FOCUS", "VALID_TISSUE")
TISSUE_CLASSES = ("CARCINOMA", "EPITHELIAL_TISSUE", "NECROSIS", "STROMA", "OTHER", "BLOOD", "VESSEL")
NUCLEATED_TISSUES = tuple(name for name in TISSUE_CLASSES if name not in ("NECROSIS", "BLOOD"))
CELL_CLASSES = (
    "carcinoma_cell",
    "endothelial_cell",
    "epithelial_cell",
    "fibroblast",
    "granulocyte",
    "lymphocyte",
    "macrophage",
    "other",
    "plasma_cell",
)
# What a cell is reported as whose class has no held-out score -> the classes that it may be.
UNDECIDED_CELLS = {
    "immune, undecided": ("granulocyte", "lymphocyte", "macrophage", "plasma_cell"),
    "stromal, undecided": ("endothelial_cell", "fibroblast"),
    "epithelial, undecided": ("carcinoma_cell", "epithelial_cell"),
}
# PanNuke's classes (arXiv:2003.10778) in its order, and what each counts as among ours.
PANNUKE_CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
PANNUKE_CELLS = ("carcinoma_cell", "lymphocyte", "fibroblast", "other", "epithelial_cell")
# Organs that may be stated of a specimen and of a model's training -> other names that mean them.
ORGANS: dict[str, tuple[str, ...]] = {
    "adrenal gland": ("adrenal",),
    "anus": ("anal canal",),
    "appendix": (),
    "bile duct": ("bile ducts", "biliary tract"),
    "bladder": ("urinary bladder",),
    "bone": (),
    "brain": ("central nervous system", "cns"),
    "breast": ("mamma",),
    "cervix": ("cervix uteri", "uterine cervix"),
    "colorectum": ("colon", "rectum", "colorectal", "large bowel", "large intestine", "cecum", "sigmoid"),
    "esophagus": ("oesophagus", "esophageal"),
    "eye": (),
    "gallbladder": (),
    "kidney": ("renal",),
    "larynx": (),
    "liver": ("hepatic",),
    "lung": ("pulmonary", "bronchus"),
    "lymph node": ("lymph nodes", "node"),
    "oral cavity": ("mouth", "tongue", "oral mucosa"),
    "ovary": ("ovaries", "fallopian tube"),
    "pancreas": ("pancreatic",),
    "peritoneum": ("omentum",),
    "pharynx": ("nasopharynx", "oropharynx", "hypopharynx", "tonsil"),
    "pleura": (),
    "prostate": ("prostate gland",),
    "salivary gland": ("salivary glands", "parotid"),
    "skin": ("cutis",),
    "small intestine": ("small bowel", "duodenum", "jejunum", "ileum"),
    "soft tissue": ("soft tissues", "fat", "adipose tissue", "muscle"),
    "spleen": (),
    "stomach": ("gastric",),
    "testis": ("testicle",),
    "thymus": (),
    "thyroid": ("thyroid gland",),
    "ureter": (),
    "uterus": ("endometrium", "corpus uteri"),
    "vagina": (),
    "vulva": (),
}


def find_organ(name: str) -> str:
    """Return the organ of `ORGANS` that a name means; raises ValueError, with near ones, for others.

    Examples
    --------
    >>> from histome.classes import find_organ
    >>> find_organ("Large bowel")
    'colorectum'
    """
    organs = {other: organ for organ, others in ORGANS.items() for other in (organ, *others)}
    plain = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    if plain in organs:
        return organs[plain]
    near = get_close_matches(plain, organs, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(ORGANS)}"
    raise ValueError(f"{name!r} is no organ known here; {hint}")
