"""What lies on disk as a slide: the files that belong to one, and formats that must be converted first."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.slide.containers.claims import check_claims
    from histome.slide.containers.dicom import is_dicom
    from histome.slide.containers.files import slide_files
    from histome.slide.containers.foreign import conversion

__all__ = ["check_claims", "conversion", "is_dicom", "slide_files"]
__getattr__ = opened(__name__, __file__)
