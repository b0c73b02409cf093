"""What a text may say: each value with its unit and what it is about."""

from typing import Any

import pytest
from helpers.given_facts import example, metrics

from histome.errors import UsageError
from histome.narrative.facts import read_facts, units_of
from histome.narrative.slide_facts import slide_facts


def by_path(facts: dict[str, Any]) -> dict[str, Any]:
    return {fact.path: fact for fact in read_facts(facts).numbers}


def test_a_patch() -> None:
    found = by_path(example())
    area = found["raw_data.mean_area_Neoplastic"]
    assert (area.unit, area.about) == ("px2", (frozenset(["Neoplastic"]),))
    assert found["raw_data.total_cell_count"].about == (frozenset(),)
    assert read_facts(example()).counts["Inflammatory"] == 3133
    assert "immune hot" in read_facts(example()).said


def test_a_patch_without_units_has_those_of_the_paper() -> None:
    bare = {name: example()[name] for name in ("raw_data", "interpretation", "generated_tokens")}
    assert units_of(bare)["mean_dist_Inflammatory_to_Neoplastic"] == "px"
    assert (
        units_of(bare)["mean_area_Dead" if "mean_area_Dead" in bare["raw_data"] else "mean_area_Neoplastic"]
        == "px2"
    )
    assert units_of(bare)["ratio_Neoplastic"] == "1"
    assert units_of(bare)["count_Dead"] == "cells"


def test_a_slide() -> None:
    found = by_path(slide_facts(metrics(), {}))
    density = found["CELL_DENSITY_LYMPHOCYTE_STROMA"]
    assert density.about == (frozenset(["lymphocyte", "STROMA"]),)
    assert density.base == pytest.approx(2700)
    assert found["IMMUNE_INFLAMED_SHARE.n"].value == 24
    assert read_facts(slide_facts(metrics(), {})).findings["lymphoid aggregates"] == 0


def test_nulls_are_no_facts() -> None:
    assert "TUMOR_PURITY" not in by_path(slide_facts(metrics(TUMOR_PURITY=None), {}))


@pytest.mark.parametrize("missing", ["raw_data", "interpretation", "generated_tokens"])
def test_other_json_is_refused(missing: str) -> None:
    with pytest.raises(UsageError, match=missing):
        read_facts({name: value for name, value in example().items() if name != missing})
