"""Which of a file's properties may leave it: an allow-list, so that no name, date or label text ever does."""

from collections.abc import Mapping

# Scanner, optics and geometry only: no descriptions, file names, users, dates, barcodes or patient tags.
ALLOWED = {
    "openslide.vendor": "vendor",
    "openslide.objective-power": "objective-power",
    "openslide.mpp-x": "mpp-x",
    "openslide.mpp-y": "mpp-y",
    "openslide.bounds-x": "bounds-x",
    "openslide.bounds-y": "bounds-y",
    "openslide.bounds-width": "bounds-width",
    "openslide.bounds-height": "bounds-height",
    "aperio.MPP": "aperio.MPP",
    "aperio.AppMag": "aperio.AppMag",
    "aperio.ScanScope ID": "scanner",
    "hamamatsu.Product": "scanner",
    "leica.device-model": "scanner",
    "mirax.NONHIERLAYER_1_SECTION.SCANNER_HARDWARE_VERSION": "scanner",
    "ventana.ScannerModel": "scanner",
    "philips.DICOM_MANUFACTURERS_MODEL_NAME": "scanner",
    "dicom.ManufacturerModelName": "scanner",
    "tiff.Make": "maker",
    "tiff.Model": "scanner",
}
MAX_LENGTH = 100


def allowed(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the allowed properties under their short names, as printable text of at most 100 characters."""
    kept = {short: _clean(str(properties[name])) for name, short in ALLOWED.items() if name in properties}
    return {name: value for name, value in sorted(kept.items()) if value}


def _clean(value: str) -> str:
    return "".join(letter for letter in value if letter.isprintable()).strip()[:MAX_LENGTH]
