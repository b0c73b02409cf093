"""Our classes as a sentence names them."""

_TISSUES = {"EPITHELIAL_TISSUE": "normal epithelium", "OTHER": "other tissue", "VESSEL": "vessels"}


def tissue_words(name: str) -> str:
    """Return the words for a tissue class."""
    return _TISSUES.get(name, name.lower())


def cell_words(name: str) -> str:
    """Return the words for the cells of a class."""
    return f"{name.replace('_', ' ')} cells" if name == "other" else f"{name.replace('_', ' ')}s"
