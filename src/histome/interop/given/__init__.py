"""Files that a profile takes beside its slide: regions that a person drew, nuclei that others found."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.interop.given.nuclei import read_nuclei
    from histome.interop.given.regions import read_regions
    from histome.interop.given.run_files import RunFiles

__all__ = ["RunFiles", "read_nuclei", "read_regions"]
__getattr__ = opened(__name__, __file__)
