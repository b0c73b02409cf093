"""Labels of people beside the cells of a profile: what meets, what is left, and where all must be labeled."""

import numpy as np
import pyarrow as pa
import pytest
import shapely

from histome.errors import DataError
from histome.validation.raters.match import Placed, match_votes

CELLS = pa.table(
    {
        "cell_id": [7, 8, 9],
        "x_um": [10.0, 20.0, 90.0],
        "y_um": [10.0, 10.0, 90.0],
        "class": ["lymphocyte", "fibroblast", "other"],
        "confidence": [0.9, 0.5, 0.4],
        "abstained": [False, True, False],
    }
)


def placed(*points):
    return Placed(
        np.array([xy for *xy, _ in points], float), np.array([label for *_, label in points], object)
    )


def test_pairs_votes_answers_and_what_is_left():
    raters = {
        "ann": placed((11, 10, "lymphocyte"), (50, 50, "fibroblast")),
        "ben": placed((10, 12, "plasma_cell"), (21, 11, "fibroblast")),
    }
    found = match_votes(CELLS, raters)
    assert [(row["cell_id"], row["rater"], row["label"]) for row in found.votes] == [
        ("7", "ann", "lymphocyte"),
        ("7", "ben", "plasma_cell"),
        ("8", "ben", "fibroblast"),
    ]
    assert found.answers == [
        {"cell_id": "7", "label": "lymphocyte", "confidence": 0.9, "abstained": False},
        {"cell_id": "8", "label": "fibroblast", "confidence": 0.5, "abstained": True},
    ]
    assert found.unmatched == [{"rater": "ann", "label": "fibroblast", "x_um": 50.0, "y_um": 50.0}]
    assert found.counts[0] == {"rater": "ann", "labels": 2, "matched": 1, "labels_alone": 1}


def test_cells_alone_count_only_in_an_area_where_all_is_labeled():
    area = shapely.box(0, 0, 30, 30)
    raters = {"ann": placed((11, 10, "lymphocyte"), (50, 50, "fibroblast"))}
    row = match_votes(CELLS, raters, area_um=area).counts[0]
    assert (row["labels"], row["matched"], row["labels_alone"], row["cells_alone"]) == (1, 1, 0, 1)
    assert (row["precision"], row["recall"]) == (0.5, 1.0)


def test_labels_of_another_slide_are_refused():
    with pytest.raises(DataError, match="none of 1 labels lies within 3 um of a cell"):
        match_votes(CELLS, {"ann": placed((500, 500, "lymphocyte"))})


def test_labels_that_meet_cells_by_chance_are_refused_and_few_are_said():
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 300, (400, 2))
    table = {"cell_id": np.arange(400), "x_um": places[:, 0], "y_um": places[:, 1], "class": ["other"] * 400}
    cells, labels = pa.table(table), np.array(["other"] * 400, object)
    with pytest.raises(DataError, match="would by chance: are they of this slide"):
        match_votes(cells, {"ann": Placed(places / 2, labels)})  # px of another resolution
    assert match_votes(cells, {"ann": Placed(places + 1, labels)}).doubts == []
    some = np.where(np.arange(400)[:, None] < 160, places, rng.uniform(0, 300, (400, 2)))
    (told,) = match_votes(cells, {"ann": Placed(some, labels)}).doubts
    assert told.startswith("ann: 177 of 400 labels met a cell")
    assert "see unmatched.csv" in told
