"""Tiles sorted by their vectors, and what each group looks like."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans2

from histome.embedding.layouts import read_corners, read_vectors
from histome.errors import UsageError
from histome.slide import Slide
from histome.store.disk import read_json

_COLUMNS = 5
_MONTAGE_PX = 112


def cluster_tiles(vectors: NDArray[np.float32], k: int, *, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Return the cluster (n,) int, 0 the largest, and the distance (n,) to its center, of each vector.

    k-means (k-means++ start) on vectors brought to length 1, so that the distance is that of the angle.
    Raises UsageError for more clusters than tiles.

    Examples
    --------
    >>> import numpy as np
    >>> from histome.embedding import cluster_tiles
    >>> vectors = np.array([[1, 0], [1, 0.01], [1, 0.02], [0, 1], [0.01, 1]], np.float32)
    >>> cluster_tiles(vectors, 2)[0].tolist()
    [0, 0, 0, 1, 1]
    """
    if not 1 <= k <= len(vectors):
        raise UsageError(f"{k} clusters of {len(vectors)} tiles: give 1 to {len(vectors)}")
    unit = np.asarray(vectors, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    centers, label = kmeans2(unit, k, minit="++", iter=50, rng=np.random.default_rng(seed))
    order = np.argsort(-np.bincount(label, minlength=k), kind="stable")
    rank = np.empty(k, int)
    rank[order] = np.arange(k)
    return rank[label], np.linalg.norm(unit - centers[label], axis=1)


def cluster_file(slide: Slide, file: Path, k: int) -> Path:
    """Sort the tiles of a file that `embed_slide` wrote; returns the folder of their montages beside it."""
    about = read_json(file.with_name(f"{file.name}.json"))
    corners, size = read_corners(file), (about["side_px"], about["side_px"])
    folder = file.with_name(f"{file.stem}.clusters")

    def read(row: int) -> NDArray[np.uint8]:
        return slide.read(*map(float, corners[row]), size=size, mpp=about["mpp"])

    write_clusters(folder, corners, cluster_tiles(read_vectors(file), k), read)
    return folder


def write_clusters(
    folder: Path,
    corners_px: NDArray,
    found: tuple[NDArray, NDArray],
    read: Callable[[int], NDArray[np.uint8]],
) -> list[Path]:
    """Write clusters.csv and a montage of the 25 tiles nearest to each cluster's center, nearest first.

    `read` gives the pixels of the tile of a row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    label, distance = found
    with (folder / "clusters.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["x_px", "y_px", "cluster", "distance"])
        for (x, y), cluster, away in zip(corners_px, label, distance, strict=True):
            rows.writerow([f"{x:g}", f"{y:g}", int(cluster), f"{away:.4f}"])
    written = []
    for cluster in range(int(label.max()) + 1):
        mine = np.flatnonzero(label == cluster)
        nearest = mine[np.argsort(distance[mine], kind="stable")][: _COLUMNS**2]
        written.append(folder / f"cluster_{cluster:02d}.png")
        montage([read(int(row)) for row in nearest]).save(written[-1])
    return written


def montage(tiles: list[NDArray[np.uint8]]) -> Image.Image:
    """Return tiles as one picture, five a row, each 112 px."""
    rows = -(-len(tiles) // _COLUMNS)
    picture = Image.new("RGB", (_COLUMNS * _MONTAGE_PX, rows * _MONTAGE_PX), "white")
    for k, tile in enumerate(tiles):
        small = Image.fromarray(tile).resize((_MONTAGE_PX - 2, _MONTAGE_PX - 2))
        picture.paste(small, (k % _COLUMNS * _MONTAGE_PX + 1, k // _COLUMNS * _MONTAGE_PX + 1))
    return picture
