"""GeoJSON for QuPath: cells as detections with measurements, tissue and quality as annotations."""

import json
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from histome.cells.table import class_codes
from histome.classes import CELL_CLASSES
from histome.colors import CELL_COLORS, QC_COLORS, TISSUE_COLORS, rgb
from histome.exports.geojson_bytes import NULL, Detections, Wording, write_detections
from histome.exports.place import Place, class_name, place_of
from histome.store.profile import Profile
from histome.threads import available_cpus
from histome.tissue.regions import find_regions

# QuPath's name of a measurement: our column, and the decimals that are written.
MEASURES = {
    "Confidence": ("confidence", 4),
    "Abstained": ("abstained", 0),
    "Counted": ("counted", 0),
    "Nucleus: Area \u00b5m^2": ("area_um2", 2),
    "Nucleus: Perimeter \u00b5m": ("perimeter_um", 2),
    "Nucleus: Max diameter \u00b5m": ("major_axis_um", 2),
    "Nucleus: Min diameter \u00b5m": ("minor_axis_um", 2),
    "Nucleus: Circularity": ("roundness", 4),
    "Nucleus: Solidity": ("solidity", 4),
    "Nucleus: Hematoxylin OD mean": ("hematoxylin_od_mean", 4),
    "Nucleus: Eosin OD mean": ("eosin_od_mean", 4),
    "Distance to carcinoma \u00b5m": ("distance_to_carcinoma_um", 1),
}
ENTRY = "qupath.geojson"
_NO_ANNOTATION = ("VALID_TISSUE", "NO_TISSUE")
_BATCH = 16_384
_POINT_RADIUS_PX = 4.0
_ZLIB_LEVEL = 1  # level 6 takes four times as long for a sixth less


def write_qupath(profile: Profile, path: Path) -> None:
    """Write one FeatureCollection, in level-0 px to 0.1 px.

    Packed where the name ends in .zip, which QuPath opens, or .gz, which it does not. Each class has its
    color, annotations are locked. In memory is one batch of cells a thread, whatever their number.
    """
    place = place_of(profile)
    notes = [*region_features(profile, place, "tissue"), *region_features(profile, place, "quality")]
    with profile.cells_file() as cells:
        write_features(path, place, notes, cells)


def write_features(path: Path, place: Place, notes: list[dict[str, Any]], cells: Path | None = None) -> None:
    """Write features, then those of the cells of a cells table."""
    head = json.dumps({"type": "FeatureCollection", "histome": place.told()})[:-1] + ', "features": [\n'
    text = [json.dumps(feature, ensure_ascii=False) for feature in notes]
    pack = _gzip if path.suffix.lower() == ".gz" else bytes
    with _opened(path) as file:
        file.write(pack((head + ",\n".join(text)).encode()))
        separator = b",\n" if notes else b""
        for part in _cell_parts(cells, place, pack) if cells else ():
            file.write(pack(separator))
            file.write(part)
            separator = b",\n"
        file.write(pack(b"\n]}\n"))


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing, or the one entry of an archive."""
    if path.suffix.lower() != ".zip":
        with path.open("wb") as file:
            yield file
        return
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_ZLIB_LEVEL) as archive,
        archive.open(ENTRY, "w", force_zip64=True) as file,
    ):
        yield file


def _gzip(content: bytes) -> bytes:
    """Return a whole gzip member: several in a row are one file."""
    packer = zlib.compressobj(_ZLIB_LEVEL, wbits=31)
    return packer.compress(content) + packer.flush()


def _cell_parts(cells: Path, place: Place, pack: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Return the features of batches of cells, in order, made by as many threads as there are CPUs."""
    names = ["cell_id", "class", "geometry", *(column for column, _ in MEASURES.values())]
    words = _wording(place)

    def made(batch: pa.RecordBatch) -> bytes:
        return pack(write_detections(_detections(pa.Table.from_batches([batch])), words)[:-1])

    with pq.ParquetFile(cells) as file, ThreadPoolExecutor(available_cpus()) as pool:
        batches = (batch for batch in file.iter_batches(_BATCH, columns=names) if len(batch))
        while some := list(islice(batches, 2 * available_cpus())):
            yield from pool.map(made, some)


def _wording(place: Place) -> Wording:
    sign = place.fingerprint.encode().hex()[:32].ljust(32, "0")
    start = f"{sign[:8]}-{sign[8:12]}-4{sign[12:15]}-8{sign[15:18]}-"
    kinds = [json.dumps(_kind(name, CELL_COLORS[name])).encode() for name in CELL_CLASSES]
    names = [json.dumps(name, ensure_ascii=False).encode() for name in MEASURES]
    decimals = tuple(digits for _, digits in MEASURES.values())
    return Wording(start.encode(), kinds, names, decimals)


def _kind(name: str, color: str) -> dict[str, Any]:
    return {"name": class_name(name), "color": list(rgb(color))}


def _detections(cells: pa.Table) -> Detections:
    rings = shapely.get_exterior_ring(_as_polygons(shapely.from_wkb(cells["geometry"].to_numpy())))
    corners, owner = shapely.get_coordinates(rings, return_index=True)
    ends = np.searchsorted(owner, np.arange(1, len(rings) + 1))
    measures = [_scaled(cells[column], digits) for column, digits in MEASURES.values()]
    return Detections(
        cells["cell_id"].to_numpy().astype(np.int64),
        np.rint(corners * 10).astype(np.int64),
        ends.astype(np.int64),
        class_codes(cells),
        np.stack(measures, axis=1),
    )


def _as_polygons(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return polygons: given nuclei may be points, which become octagons, or have parts, which get a hull."""
    kinds = shapely.get_type_id(shapes)
    points, others = kinds == shapely.GeometryType.POINT, kinds != shapely.GeometryType.POLYGON
    shapes[points] = shapely.buffer(shapes[points], _POINT_RADIUS_PX, quad_segs=2)
    shapes[others & ~points] = shapely.convex_hull(shapes[others & ~points])
    return shapes


def _scaled(column: pa.ChunkedArray, decimals: int) -> NDArray[np.int64]:
    values = column.cast(pa.float64()).to_numpy() if not pa.types.is_boolean(column.type) else None
    if values is None:
        values = column.to_numpy().astype(np.float64)
    finite = np.isfinite(values)
    scaled = np.full(len(values), NULL, np.int64)
    scaled[finite] = np.rint(values[finite] * 10**decimals)
    return scaled


def region_features(profile: Profile, place: Place, layer: str) -> Iterator[dict[str, Any]]:
    """Yield the regions of a layer, "tissue" or "quality" (what was not measured), as locked annotations."""
    regions, colors = profile.tissue.regions, TISSUE_COLORS
    if layer == "quality":
        found, colors = find_regions(profile.quality.map), QC_COLORS
        regions = found.filter(pa.array([name not in _NO_ANNOTATION for name in found["class"].to_pylist()]))
    shapes = shapely.transform(shapely.from_wkb(regions["geometry"].to_numpy()), lambda xy: xy.round(1))
    rows = zip(regions["class"].to_pylist(), regions["area_um2"].to_pylist(), shapes.tolist(), strict=True)
    for number, (name, area, shape) in enumerate(rows, start=1):
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{place.fingerprint} {layer} {number}")),
            "geometry": shapely.geometry.mapping(shape),
            "properties": {
                "objectType": "annotation",
                "name": f"{class_name(name)} {number}",
                "isLocked": True,
                "classification": _kind(name, colors[name]),
                "measurements": {"Area \u00b5m^2": round(area, 1)},
            },
        }
