"""Formats of microscopy that neither OpenSlide nor this package reads, and what makes a slide of them."""

from pathlib import Path
from typing import NamedTuple

_OME = "convert it to OME-TIFF with Bio-Formats' bfconvert or with QuPath"
_EXPORT = "export it as SVS, DICOM or pyramidal TIFF from its maker's viewer"
_PICTURE = "save it as PNG or TIFF"
_UNPACK = "unpack it and name the slide in it"


class _Foreign(NamedTuple):
    """A format, known by its first bytes where it has some of its own, else by the file's ending."""

    name: str
    advice: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...] = ()


_FOREIGN = (
    _Foreign("Olympus or Evident VSI", _OME, (".vsi", ".ets"), (b"SIS\0",)),
    _Foreign("Zeiss CZI of a kind that OpenSlide does not read", _OME, (".czi",), (b"ZISRAWFILE",)),
    _Foreign("Leica LIF", _OME, (".lif", ".xlef", ".lof"), (b"\x70\0\0\0",)),
    _Foreign("Nikon ND2", _OME, (".nd2",), (b"\xda\xce\xbe\x0a",)),
    _Foreign("Olympus OIB, OIF or OIR", _OME, (".oib", ".oif", ".oir")),
    _Foreign("Zeiss ZVI or LSM", _OME, (".zvi", ".lsm")),
    _Foreign("Imaris or another HDF5", _OME, (".ims", ".h5"), (b"\x89HDF\r\n\x1a\n",)),
    _Foreign("Philips iSyntax", _EXPORT, (".isyntax", ".i2syntax"), (b"<DataObject ObjectType=",)),
    _Foreign("KFBio KFB", _EXPORT, (".kfb",)),
    _Foreign("TEKSQRAY SDPC", _EXPORT, (".sdpc", ".dyqx")),
    _Foreign("UNIC TMAP", _EXPORT, (".tmap", ".tronx"), (b"TMAP",)),
    _Foreign("Motic MDS", _EXPORT, (".mds", ".mdsx")),
    _Foreign("JPEG 2000", _PICTURE, (".jp2", ".j2k", ".jpx"), (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
    _Foreign(
        "JPEG XL or XR", _PICTURE, (".jxl", ".jxr", ".hdp"), (b"\0\0\0\x0cJXL ", b"\xff\x0a", b"II\xbc")
    ),
    _Foreign("a BMP, GIF, WebP or HEIC", _PICTURE, (".bmp", ".webp", ".heic"), (b"BM", b"GIF8", b"RIFF")),
    _Foreign("a PDF", _PICTURE, (".pdf",), (b"%PDF",)),
    _Foreign("an archive", _UNPACK, (".zip", ".7z", ".gz", ".tar"), (b"PK\3\4", b"7z\xbc\xaf", b"\x1f\x8b")),
)


def conversion(path: Path, head: bytes) -> str | None:
    """Return what the file is and how to make a slide of it, for an error; None where it is nothing known.

    `head` is the beginning of the file, empty for a folder.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs" and not (path.with_suffix("") / "Slidedat.ini").is_file():
        return f"needs the folder {path.stem} beside it (MIRAX keeps its pixels there); copy it, too"
    if not head:
        zarr = suffix == ".zarr"
        return "is OME-Zarr: convert it to OME-TIFF with raw2ometiff or QuPath" if zarr else None
    for known in _FOREIGN:
        if suffix in known.suffixes or any(map(head.startswith, known.magics)):
            return f"is {known.name}: {known.advice}"
    return None
