"""Containers of scanners as small as OpenSlide opens them: NDPI, SCN, BIF, MRXS and DICOM, drawn here."""

import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from helpers.phantoms import RGB
from PIL import Image

TILE = 64
LEICA = "http://www.leica-microsystems.com/scn/2010/10/01"


def jpeg(pixels: RGB, *, quality: int = 95) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def png(pixels: RGB) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# --- TIFF by hand: what tifffile does not write -----------------------------------------------------------


def directory(tags: dict[int, tuple[int, Sequence[Any]]], *, at: int, next_at: int, wide: bool) -> bytes:
    """Return one classic directory and its values, to be written at byte `at`; `wide` pointers are NDPI's."""
    sizes = {1: "B", 2: "c", 3: "H", 4: "I", 5: "II", 9: "i", 11: "f", 12: "d"}
    beyond = at + 2 + 12 * len(tags) + (8 if wide else 4)
    entries, values = b"", b""
    for tag, (kind, content) in sorted(tags.items()):
        count = len(content) // (2 if kind == 5 else 1)
        data = content if kind == 2 else struct.pack(f"<{len(content)}{sizes[kind][0]}", *content)
        inline = bytes(data).ljust(4, b"\0")
        if len(data) > 4:
            inline = struct.pack("<I", beyond + len(values))
            values += bytes(data) + b"\0" * (len(data) % 2)
        entries += struct.pack("<HHI", tag, kind, count) + inline
    head = struct.pack("<H", len(tags)) + entries
    return head + struct.pack("<Q" if wide else "<I", next_at) + values


def write_ndpi(path: Path, planes: dict[int, RGB], *, mpp: float = 0.5, lens: float = 20.0) -> Path:
    """Write a Hamamatsu NDPI: a level of full size for each focal plane, then one of half size of plane 0."""
    images = [(z, pixels, lens) for z, pixels in planes.items()]
    images.append((0, np.ascontiguousarray(planes[0][::2, ::2]), lens / 2))
    body, places = b"II*\0" + bytes(8), []
    for z, pixels, power in images:
        data = jpeg(pixels)
        height, width = pixels.shape[:2]
        per_cm = round(10_000 / mpp * power / lens)
        tags: dict[int, tuple[int, Sequence[Any]]] = {
            256: (4, [width]),
            257: (4, [height]),
            258: (3, [8, 8, 8]),
            259: (3, [7]),
            262: (3, [6]),
            271: (2, b"Hamamatsu\0"),
            272: (2, b"Drawn\0"),
            273: (4, [len(body)]),
            277: (3, [3]),
            278: (4, [height]),
            279: (4, [len(data)]),
            282: (5, [per_cm, 1]),
            283: (5, [per_cm, 1]),
            296: (3, [3]),
            65420: (4, [1]),
            65421: (11, [power]),
            65422: (9, [0]),
            65423: (9, [0]),
            65424: (9, [z]),
            65427: (2, b"drawn slide\0"),
        }
        body += data + b"\0" * (len(data) % 2)
        places.append((tags, len(body)))
        body += bytes(len(directory(tags, at=0, next_at=0, wide=True)))
    ends = [at for _, at in places[1:]] + [0]
    whole = bytearray(body)
    whole[4:12] = struct.pack("<Q", places[0][1])
    for (tags, at), next_at in zip(places, ends, strict=True):
        data = directory(tags, at=at, next_at=next_at, wide=True)
        whole[at : at + len(data)] = data
    path.write_bytes(whole)
    return path


# --- TIFF with a description in XML ------------------------------------------------------------------------


def write_scn(path: Path, pixels: RGB, *, offset_px: tuple[int, int] = (128, 64), light: str = "brightfield",
              mpp: float = 0.5, planes: int = 1) -> Path:  # fmt: skip
    """Write a Leica SCN: two levels of one region that lies at `offset_px` of a larger collection."""
    height, width = pixels.shape[:2]
    nm, (left, top) = round(1000 * mpp), offset_px
    dimensions = "".join(
        f'<dimension sizeX="{width >> level}" sizeY="{height >> level}" r="{level}" z="{z}" '
        f'ifd="{level + 2 * z}"/>'
        for z in range(planes)
        for level in (0, 1)
    )
    size = f'sizeX="{(width + 2 * left) * nm}" sizeY="{(height + 2 * top) * nm}"'
    view = f'sizeX="{width * nm}" sizeY="{height * nm}" offsetX="{left * nm}" offsetY="{top * nm}"'
    text = (
        f'<?xml version="1.0"?><scn xmlns="{LEICA}"><collection {size}><barcode>secret</barcode><image>'
        f'<creationDate>2020-01-01T00:00:00Z</creationDate><device model="Leica SCN400" version="1"/>'
        f"<pixels>{dimensions}</pixels><view {view}/><scanSettings><objectiveSettings>"
        f"<objective>20</objective></objectiveSettings><illuminationSettings><numericalAperture>0.4</numericalAperture>"
        f"<illuminationSource>{light}</illuminationSource></illuminationSettings></scanSettings></image>"
        f"</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number in range(2 * planes):
            level = number % 2
            writer.write(
                255 - pixels if number > 1 else pixels[:: 1 + level, :: 1 + level],
                tile=(TILE, TILE),
                photometric="rgb",
                compression="zlib",
                metadata=None,
                description=text if number == 0 else None,
                resolution=(10_000 / (mpp * (1 + level)),) * 2,
                resolutionunit="CENTIMETER",
            )
    return path


def write_bif(path: Path, pixels: RGB, *, mpp: float = 0.5, overlap: int = 0, claimed: int = 0) -> Path:
    """Write a Ventana BIF of one area; tiles overlap by so many px. `claimed` rows and columns are a lie."""
    height, width = pixels.shape[:2]
    columns, rows = width // TILE, height // TILE
    scan = (
        f'<Metadata><iScan Magnification="20" ScanRes="{mpp}" UnitNumber="1" ScannerModel="VENTANA drawn" '
        f'Z-layers="1" UserName="secret"/></Metadata>'
    )

    def number(column: int, row: int) -> int:
        """Rows are counted from the bottom, every second one from the right."""
        up = rows - 1 - row
        return up * columns + (columns - 1 - column if up % 2 else column) + 1

    joints = [
        ("RIGHT", number(column, row), number(column + 1, row), overlap, 0)
        for row in range(rows)
        for column in range(columns - 1)
    ] + [
        ("UP", number(column, row), number(column, row - 1), 0, overlap)
        for row in range(1, rows)
        for column in range(columns)
    ]
    if claimed:
        rows = columns = claimed
        joints = [("RIGHT", 1, 2, 0, 0), ("UP", 1, 2 * columns, 0, 0)]
    text = "".join(
        f'<TileJointInfo FlagJoined="1" Confidence="100" Direction="{way}" Tile1="{a}" Tile2="{b}" '
        f'OverlapX="{x}" OverlapY="{y}"/>'
        for way, a, b, x, y in joints
    )
    encode = (
        f'<?xml version="1.0"?><EncodeInfo Ver="2"><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" '
        f'Width="{TILE}" Height="{TILE}" NumRows="{rows}" NumCols="{columns}" Pos-X="0" Pos-Y="0">{text}'
        f'</ImageInfo></SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )
    options: dict[str, Any] = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        label = np.full((TILE, TILE, 3), 128, np.uint8)
        writer.write(
            label, description="Label Image", extratags=[(700, 1, None, scan.encode(), True)], **options
        )
        for level in (0, 1):
            writer.write(
                np.ascontiguousarray(pixels[:: 1 + level, :: 1 + level]),
                tile=(TILE, TILE),
                description=f"level={level} mag={20 >> level} quality=90",
                extratags=[(700, 1, None, encode.encode(), True)] if level == 0 else [],
                **options,
            )
    return path


# --- MIRAX -------------------------------------------------------------------------------------------------


def write_mrxs(path: Path, pixels: RGB, *, missing: Sequence[tuple[int, int]] = (), mpp: float = 0.5) -> Path:
    """Write a MIRAX slide of one level of PNG tiles; `missing` are the (column, row) not scanned."""
    folder = path.with_suffix("")
    folder.mkdir()
    rows, columns = pixels.shape[0] // TILE, pixels.shape[1] // TILE
    path.write_bytes(jpeg(pixels[:8, :8]))
    data, records = b"drawn", b""
    for row in range(rows):
        for column in range(columns):
            if (column, row) not in missing:
                tile = png(pixels[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE])
                records += struct.pack("<4i", row * columns + column, len(data), len(tile), 0)
                data += tile
    (folder / "Data0000.dat").write_bytes(data)
    uuid = b"0123456789abcdef"
    start = 5 + len(uuid)
    table = start + 8
    index = b"01.02" + uuid + struct.pack("<2i", table, 0) + struct.pack("<i", table + 4)
    index += struct.pack("<2i", 0, table + 12) + struct.pack("<2i", len(records) // 16, 0) + records
    (folder / "Index.dat").write_bytes(index)
    (folder / "Slidedat.ini").write_text(
        f"[GENERAL]\nSLIDE_VERSION = 01.02\nSLIDE_ID = {uuid.decode()}\nSLIDE_NAME = secret\n"
        f"IMAGENUMBER_X = {columns}\nIMAGENUMBER_Y = {rows}\nOBJECTIVE_MAGNIFICATION = 20\n"
        f"[HIERARCHICAL]\nHIER_COUNT = 1\nNONHIER_COUNT = 0\nINDEXFILE = Index.dat\n"
        f"HIER_0_NAME = Slide zoom level\nHIER_0_COUNT = 1\nHIER_0_VAL_0_SECTION = LAYER_0\n"
        f"[DATAFILE]\nFILE_COUNT = 1\nFILE_0 = Data0000.dat\n"
        f"[LAYER_0]\nOVERLAP_X = 0\nOVERLAP_Y = 0\nMICROMETER_PER_PIXEL_X = {mpp}\n"
        f"MICROMETER_PER_PIXEL_Y = {mpp}\nIMAGE_FORMAT = PNG\nIMAGE_FILL_COLOR_BGR = 16777215\n"
        f"DIGITIZER_WIDTH = {TILE}\nDIGITIZER_HEIGHT = {TILE}\nIMAGE_CONCAT_FACTOR = 0\n"
    )
    return path


# --- DICOM -------------------------------------------------------------------------------------------------


def element(group: int, number: int, kind: str, value: bytes) -> bytes:
    """Return one element of a data set, explicit and little-endian."""
    value += (b"\0" if kind in ("UI", "OB") else b" ") * (len(value) % 2)
    head = struct.pack("<HH", group, number) + kind.encode()
    if kind in ("OB", "OW", "SQ", "UN", "UT"):
        return head + bytes(2) + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def sequence(group: int, number: int, *items: bytes) -> bytes:
    """Return a sequence whose items do not state their lengths."""
    inside = b"".join(
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + item + b"\xfe\xff\x0d\xe0" + bytes(4) for item in items
    )
    head = struct.pack("<HH", group, number) + b"SQ\0\0\xff\xff\xff\xff"
    return head + inside + b"\xfe\xff\xdd\xe0" + bytes(4)


def write_dicom(
    path: Path, pixels: RGB, *, series: str = "1.2.3", instance: str = "1.2.3.1", mpp: float = 0.5
) -> Path:
    """Write one level of a DICOM whole-slide image, JPEG tiles, complete."""
    height, width = pixels.shape[:2]
    short = lambda value: struct.pack("<H", value)  # noqa: E731
    wsi = b"1.2.840.10008.5.1.4.1.1.77.1.6"
    spacing = f"{mpp / 1000:.7f}\\{mpp / 1000:.7f}".encode()
    padded = np.pad(pixels, ((0, -height % TILE), (0, -width % TILE), (0, 0)), constant_values=255)
    frames = [
        jpeg(padded[y : y + TILE, x : x + TILE])
        for y in range(0, height, TILE)
        for x in range(0, width, TILE)
    ]
    meta = (
        element(2, 1, "OB", b"\0\1")
        + element(2, 2, "UI", wsi)
        + element(2, 3, "UI", instance.encode())
        + element(2, 0x10, "UI", b"1.2.840.10008.1.2.4.50")
        + element(2, 0x12, "UI", b"1.2.3.4")
    )
    body = (
        element(8, 8, "CS", b"ORIGINAL\\PRIMARY\\VOLUME\\NONE")
        + element(8, 0x16, "UI", wsi)
        + element(8, 0x18, "UI", instance.encode())
        + element(8, 0x60, "CS", b"SM")
        # The series of another slide, referred to: it comes first and is not this file's own.
        + sequence(8, 0x1115, element(0x20, 0xE, "UI", b"9.9.9"))
        + element(0x10, 0x10, "PN", b"Secret^Patient")
        + element(0x20, 0xD, "UI", b"1.2")
        + element(0x20, 0xE, "UI", series.encode())
        + element(0x28, 2, "US", short(3))
        + element(0x28, 4, "CS", b"YBR_FULL_422")
        + element(0x28, 6, "US", short(0))
        + element(0x28, 8, "IS", str(len(frames)).encode())
        + element(0x28, 0x10, "US", short(TILE))
        + element(0x28, 0x11, "US", short(TILE))
        + element(0x28, 0x100, "US", short(8))
        + element(0x28, 0x101, "US", short(8))
        + element(0x28, 0x102, "US", short(7))
        + element(0x28, 0x103, "US", short(0))
        + element(0x48, 6, "UL", struct.pack("<I", width))
        + element(0x48, 7, "UL", struct.pack("<I", height))
        + sequence(0x5200, 0x9229, sequence(0x28, 0x9110, element(0x28, 0x30, "DS", spacing)))
    )
    item = lambda data: b"\xfe\xff\x00\xe0" + struct.pack("<I", len(data)) + data  # noqa: E731
    data = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + item(b"")
    data += (
        b"".join(item(frame + b"\0" * (len(frame) % 2)) for frame in frames) + b"\xfe\xff\xdd\xe0" + bytes(4)
    )
    group = element(2, 0, "UL", struct.pack("<I", len(meta)))
    path.write_bytes(bytes(128) + b"DICM" + group + meta + body + data)
    return path
