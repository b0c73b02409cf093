"""Grounded texts of all labeled fields of real data: the verifier finds nothing in them that is not so."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from histome.datasets.fields import Field, load_fields
from histome.datasets.labelsets import members
from histome.narrative.facts import Facts
from histome.narrative.verifier import verify
from histome.narrative.writers.patch import describe_patch
from histome.phenotype.axes import PANNUKE_CLASSES
from histome.phenotype.features import cells_of_masks, in_um, measure_cells
from histome.phenotype.patch import PANNUKE_OF, describe


def facts_of_field(field: Field) -> Iterator[Facts]:
    """Yield the facts of a field's labeled nuclei, in um and as published (px)."""
    kinds = [{PANNUKE_OF.get(name) for name in members(int(each))} for each in field.sets]
    names = [next(iter(kind)) if len(kind) == 1 else None for kind in kinds]
    codes = np.array([0 if name is None else 1 + PANNUKE_CLASSES.index(name) for name in names])
    kept = np.where(codes[field.labels] > 0, field.labels, 0)
    cells = cells_of_masks(kept, codes[field.labels])
    yield Facts.of_patch(describe(measure_cells(cells, unit="px"), unit="px", compatible=True))
    cells = in_um(cells, field.label_mpp, field.label_mpp)
    yield Facts.of_patch(describe(measure_cells(cells, unit="um"), unit="um"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data_set", "fields"),
    [
        ("pannuke_figures", 499),
        ("consep", 27),
        ("crchistophenotypes", 80),
        ("nucls15", 15),
        ("puma_roi094", 1),
    ],
)
def test_nothing_in_the_text_of_a_labeled_field_is_unsupported(
    data_dir: Callable[[str], Path], data_set: str, fields: int
) -> None:
    found = list(load_fields(data_dir(data_set), data_set))
    assert len(found) == fields
    for field in found:
        for facts in facts_of_field(field):
            sentences = [sentence.text for sentence in describe_patch(facts)]
            verdict = verify("\n".join(sentences), facts)
            assert (field.name, verdict.unsupported) == (field.name, [])
            assert verdict.tally.supported == len(sentences)
