"""The fixed vocabulary: classes of quality, tissue and cells."""

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
# PanNuke's classes (arXiv:2003.10778) in its order, and what each counts as among ours.
PANNUKE_CLASSES = ("neoplastic", "inflammatory", "connective", "dead", "epithelial")
PANNUKE_CELLS = ("carcinoma_cell", "lymphocyte", "fibroblast", "other", "epithelial_cell")
