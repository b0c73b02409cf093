"""Tasks of HEST-bench (arXiv:2406.16192): the expression of genes in patches, patients kept whole."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from histome.datasets.fields import read_rows
from histome.embedding.public_tasks import FoldScores, PublicEncoder
from histome.errors import DataError

_GENES = "var_50genes.json"
_COMPONENTS, _SEED, _BATCH = 256, 1, 64
# As the benchmark does: the strength of its ridge is this over vector length times genes.
_STRENGTH = 100.0


class Sample(NamedTuple):
    """Vectors (n, d) of a sample's patches, and the log of 1 + their counts (n, genes)."""

    x: NDArray[np.float32]
    y: NDArray[np.float64]


def score_hest_bench(folder: Path, vectors: Path | None, encoder: PublicEncoder) -> list[FoldScores]:
    """Return the mean correlation (Pearson) over genes of each published fold, by 256 components and ridge.

    `folder` holds splits/train_K.csv and test_K.csv (sample_id, patches_path, expr_path), the patches (HDF5),
    the expression (.h5ad) and var_50genes.json. Vectors are kept as the benchmark's own program keeps them:
    DATASET/ENCODER/SAMPLE.h5 in the folder hest-bench of the comparison.
    """
    genes = json.loads((folder / _GENES).read_text(encoding="utf-8"))["genes"]
    folds = len(list(folder.glob("splits/train_*.csv")))
    if not folds:
        raise DataError(f"{folder}: no splits/train_0.csv; give the folder of one data set of HEST-bench")
    home, samples, scores = encoder.kept / "hest-bench" / folder.name / encoder.name, {}, []
    for fold in range(folds):
        parts = []
        for part in ("train", "test"):
            rows = read_rows(folder / "splits" / f"{part}_{fold}.csv")
            for row in rows:
                if row["sample_id"] not in samples:
                    samples[row["sample_id"]] = _sample(folder, row, home, encoder, genes)
            mine = [samples[row["sample_id"]] for row in rows]
            parts.append(Sample(*(np.concatenate(values) for values in zip(*mine, strict=True))))
        scores.append(_correlation(*parts))
    n = sum(len(sample.y) for sample in samples.values())
    return [FoldScores(folder.name, "pearson", scores, n)]


def _sample(
    folder: Path, row: dict[str, str], home: Path, encoder: PublicEncoder, genes: list[str]
) -> Sample:
    import h5py

    file = home / f"{row['sample_id']}.h5"
    if not file.exists():
        _embed(folder / row["patches_path"], file, encoder)
    with h5py.File(file, "r") as held:
        x: Any = np.asarray(held["embeddings"], np.float32)
        barcodes = _texts(held["barcodes"])
    return Sample(x, read_expression(folder / row["expr_path"], barcodes, genes))


def _embed(patches: Path, file: Path, encoder: PublicEncoder) -> None:
    """Write `embeddings`, `barcodes` and `coords` of the patches."""
    import h5py

    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with h5py.File(patches, "r") as held, h5py.File(partial, "w") as made:
        source: Any = held
        count = len(source["img"])
        parts = [encoder(source["img"][k : k + _BATCH]) for k in range(0, count, _BATCH)]
        made["embeddings"] = np.concatenate(parts)
        made["barcodes"] = np.array(_texts(source["barcode" if "barcode" in held else "barcodes"]), "S")
        made["coords"] = source["coords"][:]
    partial.replace(file)


def _texts(stored: Any) -> list[str]:
    return [one.decode() if isinstance(one, bytes) else str(one) for one in np.asarray(stored).ravel()]


def read_expression(path: Path, barcodes: list[str], genes: list[str]) -> NDArray[np.float64]:
    """Return log(1 + counts) of an .h5ad file, (barcodes, genes), in the order asked for."""
    import h5py
    from scipy.sparse import csc_matrix, csr_matrix

    with h5py.File(path, "r") as file:
        held: Any = file
        names = {
            part: _texts(held[part][held[part].attrs.get("_index", "_index")]) for part in ("obs", "var")
        }
        stored: Any = held["X"]
        if hasattr(stored, "keys"):  # a group: sparse
            kind = csc_matrix if stored.attrs["encoding-type"] == "csc_matrix" else csr_matrix
            arrays = (stored["data"][:], stored["indices"][:], stored["indptr"][:])
            counts = kind(arrays, shape=tuple(stored.attrs["shape"])).tocsr()
        else:
            counts = csr_matrix(stored[:])
    rows, columns = ({name: k for k, name in enumerate(names[part])} for part in ("obs", "var"))
    missing = [name for name in genes if name not in columns] or [b for b in barcodes if b not in rows]
    if missing:
        raise DataError(f"{path}: lacks {missing[0]}")
    found = counts[[rows[name] for name in barcodes]][:, [columns[name] for name in genes]]
    return np.log1p(found.toarray().astype(np.float64))


def _correlation(learn: Sample, ask: Sample) -> float:
    """Mean over genes; one that does not vary in what is asked about is left out."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count = min(_COMPONENTS, *learn.x.shape)
    reduce = make_pipeline(StandardScaler(), PCA(count, random_state=_SEED)).fit(learn.x)
    x, new = reduce.transform(learn.x), reduce.transform(ask.x)
    strength = _STRENGTH / (count * learn.y.shape[1])
    ridge = Ridge(strength, solver="lsqr", fit_intercept=False, max_iter=1000, random_state=_SEED)
    said = ridge.fit(x, learn.y).predict(new).reshape(ask.y.shape)
    varies = (ask.y.std(0) > 0) & (said.std(0) > 0)
    if not varies.any():
        return float("nan")
    pairs = zip(ask.y.T[varies], said.T[varies], strict=True)
    return float(np.mean([np.corrcoef(truth, found)[0, 1] for truth, found in pairs]))
