"""Public tasks in their publishers' layouts, of made data whose answers are known."""

import csv
import json

import numpy as np
import pytest
from helpers.layouts import save_png
from typer.testing import CliRunner

h5py = pytest.importorskip("h5py", reason="vectors need the [encoders] extra")
pytest.importorskip("sklearn", reason="public tasks need the [encoders] extra")
torch = pytest.importorskip("torch", reason="files of eva need the [train] extra")

from histome.cli import app
from histome.embedding import PublicTask, read_public_tasks, score_public
from histome.embedding.eva import write_eva
from histome.embedding.hest_bench import read_expression
from histome.embedding.public_tasks import classified
from histome.embedding.tasks import Item
from histome.errors import DataError, UsageError

COLORS = [("color-histogram", None)]


def write_rows(path, rows, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        written = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        written.writeheader()
        written.writerows(rows)


def patho_bench(root, rng, *, config=""):
    """Twelve patients of two slides; only the mean over a patient's slides tells the label."""
    rows = []
    for case in range(12):
        label, away = case % 2, rng.normal(0, 3, 4)
        for slide, sign in enumerate((1, -1)):
            tiles = sign * away + (2 * label - 1) + rng.normal(0, 0.1, (5, 4))
            path = root / "job" / "features_color-histogram" / f"c{case}-{slide}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as file:
                file["features"] = tiles.astype(np.float32)
            fold = {f"fold_{k}": "test" if case // 4 == k else "train" for k in range(3)}
            rows.append({"case_id": f"c{case}", "slide_id": f"c{case}-{slide}", "TP53": label} | fold)
    folder = root / "cptac_x" / "TP53"
    write_rows(folder / "k=all.tsv", rows, "\t")
    (folder / "config.yaml").write_text(
        config
        or "task_col: TP53\nextra_cols: []\nsample_col: case_id\nmetrics:\n  - macro-ovr-auc\n"
        "label_dict:\n  0: wildtype\n  1: mutant\n"
    )
    return PublicTask(benchmark="patho-bench", path="cptac_x/TP53", vectors="job")


def test_a_task_of_patho_bench_is_asked_of_patients_on_its_folds(tmp_path, rng):
    (score,) = score_public([patho_bench(tmp_path, rng)], COLORS, tmp_path, tmp_path / "out")
    assert (score.task, score.metric, score.folds, score.n) == ("cptac_x/TP53", "macro-ovr-auc", 3, 12)
    assert (score.mean, score.sd) == (1.0, 0.0)


def test_the_vector_of_a_slide_goes_before_those_of_its_tiles(tmp_path, rng):
    task = patho_bench(tmp_path, rng)
    for file in (tmp_path / "job" / "features_color-histogram").glob("*.h5"):
        whole = tmp_path / "job" / "slide_features_color-histogram" / file.name
        whole.parent.mkdir(exist_ok=True)
        with h5py.File(whole, "w") as held:
            held["features"] = np.full(3, 1.0, np.float32)  # the same for all: nothing can be told
    (score,) = score_public([task], COLORS, tmp_path, tmp_path / "out")
    assert score.mean == 0.5


def test_what_is_no_task_with_classes_is_one_line(tmp_path, rng):
    config = (
        "task_col: OS\nsample_col: case_id\nextra_cols: [OS_days]\ntask_type: survival\nmetrics: [cindex]\n"
    )
    with pytest.raises(UsageError, match="not survival"):
        score_public([patho_bench(tmp_path, rng, config=config)], COLORS, tmp_path, tmp_path)
    task = patho_bench(tmp_path, rng)
    (tmp_path / "job" / "features_color-histogram" / "c3-1.h5").unlink()
    with pytest.raises(DataError, match="no vectors of c3-1 by color-histogram"):
        score_public([task], COLORS, tmp_path, tmp_path)
    with pytest.raises(UsageError, match="give `vectors`"):
        score_public([task.model_copy(update={"vectors": None})], COLORS, tmp_path, tmp_path)


def test_scores_of_folds_by_hand():
    x = np.array([[0], [1], [2], [3], [0.1], [2.9], [0.2], [2.8]], np.float32)
    y = np.array(list("aabbabba"))  # the last two are on the wrong side
    learn = np.arange(8) < 4
    found = classified(x, y, iter([(learn, ~learn), (learn, np.isin(np.arange(8), [4, 5]))]))
    assert found["bacc"] == [0.5, 1.0]
    # Of the four pairs of an a and a b three are in order; 2.8, an a, lies beyond 0.2, a b.
    assert found["macro-ovr-auc"] == [0.75, 1.0]


def write_h5ad(path, counts, barcodes, genes, *, sparse):
    """As anndata writes it: X dense or by rows, the index of obs and var named by an attribute."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if sparse:
            rows, columns = np.nonzero(counts)
            group = file.create_group("X")
            group.attrs.update({"encoding-type": "csr_matrix", "shape": counts.shape})
            group["data"], group["indices"] = counts[rows, columns], columns
            group["indptr"] = np.searchsorted(rows, np.arange(len(counts) + 1))
        else:
            file["X"] = counts
        for part, names in (("obs", barcodes), ("var", genes)):
            group = file.create_group(part)
            group.attrs["_index"] = "names"
            group["names"] = np.array(names, "S")


@pytest.mark.parametrize("sparse", [True, False])
def test_expression_is_in_the_order_asked_for(tmp_path, sparse):
    counts = np.array([[0.0, 1, 2], [3, 0, 5]])
    write_h5ad(tmp_path / "a.h5ad", counts, ["x", "y"], ["g", "h", "i"], sparse=sparse)
    found = read_expression(tmp_path / "a.h5ad", ["y", "x"], ["i", "g"])
    np.testing.assert_allclose(found, np.log1p([[5, 3], [2, 0]]))
    with pytest.raises(DataError, match="lacks z"):
        read_expression(tmp_path / "a.h5ad", ["x"], ["z"])


def hest_bench(root, rng):
    """Three samples of 30 patches; gene `red` goes with the patches' red, `none` with nothing."""
    for sample in range(3):
        red = rng.integers(0, 256, 30)
        patches = np.zeros((30, 16, 16, 3), np.uint8)
        patches[..., 0] = red[:, None, None]
        barcodes = [f"b{k}" for k in range(30)]
        path = root / "SKCM" / "patches" / f"S{sample}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file["img"], file["coords"] = patches, np.zeros((30, 2))
            file["barcode"] = np.array(barcodes, "S").reshape(-1, 1)
        counts = np.stack([red // 16, rng.integers(0, 9, 30)], 1).astype(float)
        order = rng.permutation(30)  # the expression is in another order than the patches
        names = [barcodes[k] for k in order]
        adata = root / "SKCM" / "adata" / f"S{sample}.h5ad"
        write_h5ad(adata, counts[order], names, ["red", "none"], sparse=True)
    for fold in range(3):
        for part in ("train", "test"):
            rows = [
                {"sample_id": f"S{k}", "patches_path": f"patches/S{k}.h5", "expr_path": f"adata/S{k}.h5ad"}
                for k in range(3)
                if (k == fold) == (part == "test")
            ]
            write_rows(root / "SKCM" / "splits" / f"{part}_{fold}.csv", rows)
    return PublicTask(benchmark="hest-bench", path="SKCM")


@pytest.mark.parametrize(("genes", "low", "high"), [(["red"], 0.8, 1.0), (["none"], -0.4, 0.4)])
def test_a_data_set_of_hest_bench_is_embedded_and_told_by_ridge(tmp_path, rng, genes, low, high):
    task = hest_bench(tmp_path, rng)
    (tmp_path / "SKCM" / "var_50genes.json").write_text(json.dumps({"genes": genes}))
    (score,) = score_public([task], COLORS, tmp_path, tmp_path / "out")
    assert (score.task, score.metric, score.folds, score.n) == ("SKCM", "pearson", 3, 90)
    assert low <= score.mean <= high
    kept = tmp_path / "out" / "hest-bench" / "SKCM" / "color-histogram" / "S0.h5"
    with h5py.File(kept) as file:  # as the benchmark's own program keeps and takes up vectors
        assert file["embeddings"].shape == (30, 48)
        assert [b.decode() for b in file["barcodes"][:2]] == ["b0", "b1"]
        assert file["coords"].shape == (30, 2)
    made = kept.stat().st_mtime_ns
    score_public([task], COLORS, tmp_path, tmp_path / "out")
    assert kept.stat().st_mtime_ns == made


EVA = """
trainer:
  init_args:
    callbacks:
      - class_path: eva.callbacks.ClassificationEmbeddingsWriter
        init_args:
          output_dir: &ROOT ${oc.env:EMBEDDINGS_ROOT, ./data}/${oc.env:MODEL_NAME, dino_vits16}/bach
data:
  class_path: eva.DataModule
  init_args:
    datasets:
      train:
        class_path: eva.datasets.EmbeddingsClassificationDataset
        init_args: &ARGS
          root: *ROOT
          manifest_file: manifest.csv
          split: train
      val:
        class_path: eva.datasets.EmbeddingsClassificationDataset
        init_args:
          <<: *ARGS
          split: val
"""


def test_vectors_go_to_eva_and_come_back(tmp_path, rng):
    rows = [
        Item(tmp_path / f"{k}.png", 0.5, None, "yes" if k % 2 else "no", f"g{k // 4}", "") for k in range(40)
    ]
    bags = [rng.normal(2.0 * (k % 2), 0.1, (3, 5)).astype(np.float32) for k in range(40)]
    home = tmp_path / "vectors" / "color-histogram" / "bach"
    with write_eva(bags, rows, home).open(newline="") as file:
        held = list(csv.DictReader(file))
    assert list(held[0])[:4] == ["origin", "embeddings", "target", "split"]
    assert [row["target"] for row in held[:2]] == ["0", "1"]
    sides = {row["group"]: set() for row in held}
    for row in held:
        sides[row["group"]].add(row["split"])
    assert sorted(map(sorted, sides.values())) == [["train"]] * 8 + [["val"]] * 2  # groups are whole
    tensor = torch.load(home / held[3]["embeddings"], weights_only=True)
    np.testing.assert_allclose(tensor.numpy(), bags[3].mean(0), rtol=1e-6)
    (tmp_path / "bach.yaml").write_text(EVA)
    task = PublicTask(benchmark="eva", path="bach.yaml", vectors="vectors")
    found = score_public([task], COLORS, tmp_path, tmp_path)
    assert {(score.task, score.metric, score.mean) for score in found} == {
        ("bach (val)", "macro-ovr-auc", 1.0),
        ("bach (val)", "bacc", 1.0),
    }
    (tmp_path / "bach.yaml").write_text(EVA.replace("EmbeddingsClassification", "EmbeddingsSegmentation"))
    with pytest.raises(UsageError, match="not EmbeddingsSegmentationDataset"):
        score_public([task], COLORS, tmp_path, tmp_path)


def test_the_command_reads_public_tasks_beside_own_ones(tmp_path, rng):
    patho_bench(tmp_path, rng)
    file = tmp_path / "tasks.toml"
    file.write_text('[[public]]\nbenchmark = "patho-bench"\npath = "cptac_x/TP53"\nvectors = "job"\n')
    words = [
        "encoders",
        "compare",
        "-e",
        "color-histogram",
        "--tasks",
        str(file),
        "-o",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (
        "| patho-bench cptac_x/TP53 | macro-ovr-auc | color-histogram | 1.000 (0.000) | 3 | 12 |"
        in done.output
    )
    assert (tmp_path / "out" / "public.csv").read_text().startswith("encoder,benchmark,task,metric,mean")
    for label, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        for k in range(6):
            tile = np.full((32, 32, 3), color, np.uint8) + rng.integers(0, 40, (32, 32, 3), np.uint8)
            save_png(tmp_path / "tiles" / label / f"{k}.png", tile)
    words = ["encoders", "compare", "-e", "color-histogram", "--tiles", str(tmp_path / "tiles"), "--eva"]
    done = CliRunner().invoke(app, [*words, "--no-cost", "-o", str(tmp_path / "own")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "own" / "eva" / "color-histogram" / "tiles" / "manifest.csv").is_file()
    file.write_text('[[public]]\nbenchmark = "hest"\npath = "x"\n')
    with pytest.raises(DataError, match="no list of tasks"):
        read_public_tasks(file)
