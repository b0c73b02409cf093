"""The commands of `histome validate` that work on files of slides, fields and readers, not on votes."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.cli.validation.positivity import positivity
    from histome.cli.validation.register import register, transfer
    from histome.cli.validation.robustness import metamorphic, staining
    from histome.cli.validation.segmentation import paired, read_maps, read_pair, read_strata
    from histome.cli.validation.study import study

__all__ = [
    "metamorphic",
    "paired",
    "positivity",
    "read_maps",
    "read_pair",
    "read_strata",
    "register",
    "staining",
    "study",
    "transfer",
]
__getattr__ = opened(__name__, __file__)
