"""How vectors lie on the disk: as TRIDENT, CLAM and slide2vec write them, as Zarr and as Parquet."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from numpy.typing import NDArray

from histome.embedding.places import Places
from histome.errors import UsageError


@dataclass(frozen=True, eq=False)
class Embedded:
    """The vectors of one slide.

    Attributes
    ----------
    slide : str
        Its id.
    encoder : str
        The encoder's name.
    vectors : (n, d) float32
        A row a place.
    places : Places
        Where they were read.
    slide_mpp : float, um/px
        Of level 0.
    about : dict
        Settings and origin: encoder, its weights' sha256, the slide's fingerprint, stain normalization.
    """

    slide: str
    encoder: str
    vectors: NDArray[np.float32]
    places: Places
    slide_mpp: float
    about: dict[str, Any]

    @property
    def side_level0_px(self) -> int:
        """Side of a square in level-0 px."""
        return round(self.places.side_px * self.places.mpp / self.slide_mpp)

    @property
    def corners_px(self) -> NDArray[np.int64]:
        """Corners as the other programs hold them: whole level-0 px, (n, 2) x, y."""
        return np.rint(self.places.corners_px).astype(np.int64)


class VectorLayout(NamedTuple):
    """One way of writing: what it is, where under a folder, and how."""

    about: str
    path: Callable[[Embedded], str]
    write: Callable[[Embedded, Path], None]


def magnification(mpp: float) -> str:
    """Return what other programs call a resolution: 0.5 um/px is 20x."""
    return f"{10 / mpp:g}"


def _trident_attributes(found: Embedded) -> dict[str, Any]:
    return {
        "patch_size": found.places.side_px,
        "patch_size_level0": found.side_level0_px,
        "level0_magnification": round(10 / found.slide_mpp),
        "target_magnification": round(10 / found.places.mpp),
        "overlap": 0,
        "name": found.slide,
    }


def _h5(found: Embedded, path: Path) -> None:
    """`features` (n, d) and `coords` (n, 2) level-0 px, with the attributes that slide encoders read."""
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UsageError("no module 'h5py'; install it: pip install 'histome[encoders]'") from error
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", data=found.vectors)
        features.attrs.update({"name": found.slide, "encoder": found.encoder})
        coords = file.create_dataset("coords", data=found.corners_px)
        coords.attrs.update(_trident_attributes(found))
        if found.places.ids is not None:
            file.create_dataset("cell_id", data=found.places.ids)
        file.attrs["histome"] = json.dumps(found.about)


def _clam(found: Embedded, path: Path) -> None:
    import torch

    _h5(found, path)
    tensors = path.parent.parent / "pt_files"
    tensors.mkdir(exist_ok=True)
    torch.save(torch.from_numpy(np.array(found.vectors)), tensors / f"{found.slide}.pt")


def _slide2vec(found: Embedded, path: Path) -> None:
    x, y = found.corners_px.T
    arrays = {"features": found.vectors, "tile_index": np.arange(len(found.vectors)), "x": x, "y": y}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
    count, length = found.vectors.shape
    about = {
        **{"sample_id": found.slide, "artifact_type": "tile_embeddings", "format": "npz"},
        **{"feature_dim": length, "num_tiles": count, "histome": found.about},
    }
    name = path.with_name(f"{found.slide}.meta.json")
    name.write_text(json.dumps(about, indent=2, sort_keys=True), encoding="utf-8")


def _zarr(found: Embedded, path: Path) -> None:
    group = zarr.create_group(path, overwrite=True, attributes={"histome": found.about})
    arrays = {"features": found.vectors, "coords": found.corners_px}
    if found.places.ids is not None:
        arrays["cell_id"] = found.places.ids
    for name, array in arrays.items():
        rows = max(1, min(len(array), 4096))
        held = group.create_array(name, shape=array.shape, chunks=(rows, *array.shape[1:]), dtype=array.dtype)
        held[:] = array
    group["coords"].attrs.update(_trident_attributes(found))


def _parquet(found: Embedded, path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(np.ascontiguousarray(found.vectors).ravel()), found.vectors.shape[1]
    )
    x, y = found.places.corners_px.T
    columns: dict[str, Any] = {"x_px": x, "y_px": y}
    if found.places.ids is not None:
        columns["cell_id"] = found.places.ids
    about = {"histome": json.dumps(found.about | _trident_attributes(found))}
    pq.write_table(pa.table(columns | {"embedding": vectors}).replace_schema_metadata(about), path)


def _trident_path(found: Embedded) -> str:
    """The folder names of TRIDENT's jobs."""
    folder = f"{magnification(found.places.mpp)}x_{found.places.side_px}px_0px_overlap"
    return f"{folder}/features_{found.encoder}/{found.slide}.h5"


def _own_path(ending: str) -> Callable[[Embedded], str]:
    return lambda found: f"{found.slide}.{found.encoder}.{ending}"


LAYOUTS = {
    "trident": VectorLayout("HDF5 in the folders of TRIDENT", _trident_path, _h5),
    "clam": VectorLayout("HDF5 and torch files of CLAM", lambda found: f"h5_files/{found.slide}.h5", _clam),
    "slide2vec": VectorLayout(
        "NPZ and JSON of slide2vec", lambda found: f"tile_embeddings/{found.slide}.npz", _slide2vec
    ),
    "zarr": VectorLayout("a Zarr group", _own_path("zarr"), _zarr),
    "parquet": VectorLayout("a Parquet table", _own_path("parquet"), _parquet),
}


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return the vectors (n, d) of a file in any of these layouts, or of a torch or NumPy file."""
    match path.suffix:
        case ".h5":
            import h5py

            with h5py.File(path, "r") as file:
                found: Any = np.asarray(file["features"])
        case ".npz" | ".npy":
            held = np.load(path, allow_pickle=False)
            found = held if path.suffix == ".npy" else held["features"]
        case ".zarr":
            found = np.asarray(zarr.open_group(path, mode="r")["features"])
        case ".parquet":
            rows = pq.read_table(path, columns=["embedding"])["embedding"].combine_chunks()
            found = np.asarray(rows.values).reshape(len(rows), -1)
        case ".pt":
            import torch

            found = torch.load(path, map_location="cpu", weights_only=True).numpy()
        case _:
            raise UsageError(f"{path}: no file of vectors (.h5, .npz, .npy, .zarr, .parquet, .pt)")
    return np.asarray(found, np.float32)


def read_corners(path: Path) -> NDArray[np.float64]:
    """Return the corners (n, 2) x, y, level-0 px, of a file that `LAYOUTS` wrote."""
    match path.suffix:
        case ".h5":
            import h5py

            with h5py.File(path, "r") as file:
                found: Any = np.asarray(file["coords"])
        case ".npz":
            held = np.load(path, allow_pickle=False)
            found = np.stack([held["x"], held["y"]], axis=1)
        case ".zarr":
            found = np.asarray(zarr.open_group(path, mode="r")["coords"])
        case _:
            table = pq.read_table(path, columns=["x_px", "y_px"])
            found = np.stack([table[name].to_numpy() for name in ("x_px", "y_px")], axis=1)
    return np.asarray(found, np.float64)
