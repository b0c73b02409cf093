"""Which classes were hardly taught, and that this travels with the cells."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.tiny_models import dark_detector

from histome.models.card import load_card
from histome.models.label_support import (
    CLASS_LABELS,
    FEW_LABELS,
    Support,
    card_support,
    read_support,
    support_metadata,
    support_texts,
    table_support,
    weakly_supported,
)


@pytest.mark.parametrize(
    ("text", "kind", "n"),
    [
        ("direct, n = 55", "direct", 55),
        ("direct, n = 2,388", "direct", 2388),
        ("indirect", "indirect", 0),
        ("as people said", "unknown", None),
        ("direct, n = many", "unknown", None),
    ],
)
def test_a_cards_text_is_read_once_and_kept(text, kind, n):
    support = Support.read(text)
    assert (support.kind, support.n, str(support)) == (kind, n, text)


def test_a_count_is_written_as_it_is_read():
    for n in (0, 1, 12_345):
        assert Support.read(str(Support.of_count(n))) == Support.of_count(n)


def test_few_or_no_labels_of_its_own_make_a_class_weak():
    support = read_support(
        {
            "plasma_cell": "indirect",
            "macrophage": f"direct, n = {FEW_LABELS - 1}",
            "lymphocyte": f"direct, n = {FEW_LABELS}",
            "fibroblast": "direct, n = 2,388",
            "other": "as people said",
        }
    )
    weak = {"macrophage": "direct, n = 99", "plasma_cell": "indirect"}
    assert support_texts(weakly_supported(support)) == weak


def test_the_shipped_model_marks_what_it_hardly_learned():
    weak = weakly_supported(card_support(load_card("nuclei")))
    assert weak["plasma_cell"].n == 13
    assert {"lymphocyte", "carcinoma_cell", "fibroblast"}.isdisjoint(weak)


def test_support_travels_in_the_metadata_of_the_table(tmp_path):
    card = dark_detector(tmp_path / "m").model_copy(
        update={"training": {"labels": {"macrophage": "indirect"}}}
    )
    schema = pa.schema([("x", pa.int8())], metadata=support_metadata(card))
    pq.write_table(pa.table({"x": pa.array([1], pa.int8())}, schema=schema), tmp_path / "t.parquet")
    schema = pq.read_schema(tmp_path / "t.parquet")
    assert schema.metadata[CLASS_LABELS] == b'{"macrophage": "indirect"}'
    assert table_support(schema) == {"macrophage": Support.of_count(0)}


def test_a_table_from_elsewhere_or_a_card_that_says_nothing_has_none(tmp_path):
    assert table_support(pa.schema([])) == {}
    assert table_support(pa.schema([], metadata={b"histome.class_labels": b"not JSON"})) == {}
    assert card_support(dark_detector(tmp_path / "m")) == {}
    card = dark_detector(tmp_path / "n").model_copy(update={"training": {"labels": 3}})
    assert card_support(card) == {}
