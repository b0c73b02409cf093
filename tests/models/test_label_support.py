"""Which classes are marked, and that the marks travel with the cells."""

import pyarrow as pa
import pyarrow.parquet as pq
from helpers.tiny_models import dark_detector

from histome.models.card import load_card
from histome.models.label_support import (
    FEW_LABELS,
    class_labels,
    class_labels_metadata,
    labels_of,
    weak_marks,
)


def test_few_or_no_labels_of_its_own_make_a_class_weak():
    marks = {
        "plasma_cell": "indirect",
        "macrophage": f"direct, n = {FEW_LABELS - 1}",
        "lymphocyte": f"direct, n = {FEW_LABELS}",
        "fibroblast": "direct, n = 2,388",
        "other": "as people said",
    }
    assert weak_marks(marks) == {"macrophage": "direct, n = 99", "plasma_cell": "indirect"}


def test_the_shipped_model_marks_what_it_hardly_learned():
    weak = weak_marks(labels_of(load_card("nuclei")))
    assert weak["plasma_cell"] == "indirect"
    assert {"lymphocyte", "carcinoma_cell", "fibroblast"}.isdisjoint(weak)


def test_marks_travel_in_the_metadata_of_the_table(tmp_path):
    card = dark_detector(tmp_path / "m").model_copy(
        update={"training": {"labels": {"macrophage": "indirect"}}}
    )
    schema = pa.schema([("x", pa.int8())], metadata=class_labels_metadata(card))
    pq.write_table(pa.table({"x": pa.array([1], pa.int8())}, schema=schema), tmp_path / "t.parquet")
    assert class_labels(pq.read_schema(tmp_path / "t.parquet")) == {"macrophage": "indirect"}


def test_a_table_from_elsewhere_or_a_card_without_marks_has_none(tmp_path):
    assert class_labels(pa.schema([])) == {}
    assert class_labels(pa.schema([], metadata={b"histome.class_labels": b"not JSON"})) == {}
    assert labels_of(dark_detector(tmp_path / "m")) == {}
    card = dark_detector(tmp_path / "n").model_copy(update={"training": {"labels": 3}})
    assert labels_of(card) == {}
