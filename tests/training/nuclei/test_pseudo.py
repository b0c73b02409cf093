"""Pseudo-labels: the entropy filter, the gland's grade over the network's word, classes without shapes."""

import csv

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="training needs the [train] extra")

from histome.classes import CELL_CLASSES
from histome.datasets.labelsets import label_set
from histome.training.nuclei.pseudo import grade_over, pseudo_fields, surest_classes


def _sure_of(name, share):
    p = np.full(9, (1 - share) / 8)
    p[CELL_CLASSES.index(name)] = share
    return p


def test_only_the_surest_keep_their_class():
    p = np.stack([_sure_of("lymphocyte", s) for s in (0.95, 0.3, 0.8, 0.5)])
    kept = surest_classes(p, 0.5)
    assert kept.tolist() == [label_set("lymphocyte"), 0, label_set("lymphocyte"), 0]
    assert surest_classes(np.empty((0, 9))).shape == (0,)


def test_the_grade_stands_over_the_network_for_epithelium_alone():
    p = np.stack(
        [_sure_of("carcinoma_cell", 0.9), _sure_of("carcinoma_cell", 0.9), _sure_of("fibroblast", 0.9)]
    )
    sets = surest_classes(p, 1.0)
    in_gland = np.array([True, False, True])
    graded = grade_over(sets, p, in_gland, label_set("epithelial_cell"))
    assert graded.tolist() == [label_set("epithelial_cell"), 0, label_set("fibroblast")]


class _Constant(torch.nn.Module):
    """Finds one nucleus of 8 px radius where the image is dark, and calls it a carcinoma cell."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        dark = torch.nn.functional.avg_pool2d((x.mean(1, keepdim=True) < -1).float(), 2)
        prob = torch.nn.functional.avg_pool2d(dark, 5, 1, 2) * 20 - 10
        n, _, h, w = dark.shape
        logits = torch.zeros(n, 9, h, w)
        logits[:, CELL_CLASSES.index("carcinoma_cell")] = 5
        return {"prob": prob, "dist": torch.full((n, 32, h, w), 0.54), "logits": logits}


def _write(folder, sources):
    (folder / "images").mkdir()
    (folder / "glands").mkdir()
    rows = []
    for k, source in enumerate(sources):
        image = np.full((128, 128, 3), 230, np.uint8)
        yy, xx = np.mgrid[:128, :128]
        image[(yy - 40) ** 2 + (xx - 50) ** 2 < 64] = 40
        Image.fromarray(image).save(folder / f"images/{k}.png")
        gland = np.zeros((128, 128), np.uint8)
        gland[:, :64] = 1
        Image.fromarray(gland).save(folder / f"glands/{k}.png")
        files = {"file": f"images/{k}.png", "glands": f"glands/{k}.png"}
        rows.append({"image": str(k), "source": source, "grade": "benign", "mpp": "0.5"} | files)
    with (folder / "images.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_fields_teach_classes_only_and_patients_can_be_left_out(tmp_path):
    _write(tmp_path, ["a", "b"])
    fields = list(pseudo_fields(_Constant(), tmp_path, ("b",)))
    assert [field.source for field in fields] == ["a"]
    field = fields[0]
    assert not field.shapes
    assert field.weight.max() == 0
    assert field.sets.tolist() == [0, label_set("epithelial_cell")]
    np.testing.assert_allclose(field.points_px[0], [50.5, 40.5], atol=3)
    assert field.labels[40, 50] == 1
