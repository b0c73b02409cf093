"""Reader studies, simulated: slides with cells, raters of known confusion, what is true of such a study."""

import json

import numpy as np
import shapely
from helpers.cells import cell_table

from histome.validation.raters.accuracy import confusions, mean_f1
from histome.validation.raters.alpha import coincidences, krippendorff_alpha

CLASSES = ("carcinoma_cell", "lymphocyte", "plasma_cell")
RIGHT = {"HE": 0.72, "HE_IHC": 0.92}
MODEL_RIGHT = 0.8
RATERS = ("ann", "ben", "eva", "ida", "tom")
MPP = 0.5


def study_cells(seed, n=1500, side_um=1500.0):
    """Cells of a slide as a profile has them; `true` is what they are, `class` what the model says."""
    rng = np.random.default_rng(seed)
    x_um, y_um = rng.uniform(10, side_um - 10, (2, n))
    true = rng.choice(3, n, p=(0.5, 0.3, 0.2))
    said = said_of(true, MODEL_RIGHT, rng)
    confidence = rng.uniform(0.3, 1.0, n).astype(np.float32)
    outlines = shapely.buffer(shapely.points(x_um / MPP, y_um / MPP), 7.0, quad_segs=4)
    columns = {"cell_id": np.arange(1, n + 1), "confidence": confidence, "abstained": np.zeros(n, bool)}
    names = [CLASSES[k] for k in said]
    return cell_table(x_um, y_um, names, **columns, geometry=shapely.to_wkb(outlines), true=true)


def said_of(true, right, rng, classes=3):
    """Labels of a judge who is right with this chance and else says one of the others."""
    wrong = (true + rng.integers(1, classes, len(true))) % classes
    return np.where(rng.random(len(true)) < right, true, wrong)


def planted(prior, n=200_000):
    """What a study of endless size would find: alphas, macro F1 of a rater and the model, consensus right."""
    rng, k = np.random.default_rng(99), len(prior)
    true = rng.choice(k, n, p=prior)
    votes = {name: np.stack([said_of(true, r, rng, k) for _ in RATERS], 1) for name, r in RIGHT.items()}
    counts = np.stack([(votes["HE_IHC"] == label).sum(1) for label in range(k)], 1)
    tie = (counts == counts.max(1, keepdims=True)).sum(1) > 1
    agreed = np.where(tie, -1, counts.argmax(1))
    judges = {"rater": votes["HE"][:, 0], "model": said_of(true, MODEL_RIGHT, rng, k)}
    found = {name: float(krippendorff_alpha(coincidences(v, k).sum(0))) for name, v in votes.items()}
    found |= {name: float(mean_f1(confusions(agreed, said, k).sum(0), k)) for name, said in judges.items()}
    return found | {"consensus right": float((agreed == true)[agreed >= 0].mean()), "tie": float(tie.mean())}


def fill_in(path, label_of):
    """Give each annotation of a GeoJSON file the class that `label_of` gives for its name, as QuPath does."""
    data = json.loads(path.read_text())
    for feature in data["features"]:
        label = label_of(feature["properties"]["name"])
        if label:
            feature["properties"]["classification"] = {"name": label, "color": [200, 0, 0]}
    path.write_text(json.dumps(data))
