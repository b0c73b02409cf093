"""What a text may say: read once, each value with its unit."""

import json
from dataclasses import replace

import pytest
from helpers.given_facts import CARDS, example, metrics

from histome.errors import UsageError
from histome.narrative.facts import Facts

PATCH = Facts.of_patch(example())
SLIDE = replace(Facts.of_slide(metrics(), {}), models=CARDS)


def test_a_patch_without_units_has_those_of_the_paper() -> None:
    bare = {name: example()[name] for name in ("raw_data", "interpretation", "generated_tokens")}
    units = Facts.of_patch(bare).units
    assert units["mean_dist_Inflammatory_to_Neoplastic"] == "px"
    assert units["mean_area_Neoplastic"] == "px2"
    assert units["ratio_Neoplastic"] == "1"
    assert units["count_Dead"] == "cells"


def test_nulls_have_a_reason() -> None:
    facts = Facts.of_slide(metrics(TUMOR_PURITY=None), {})
    assert facts.get("TUMOR_PURITY") is None
    assert facts.undefined == {"TUMOR_PURITY": "there is no tumor_purity"}


@pytest.mark.parametrize("value", [None, "many", True, float("nan"), float("inf")])
def test_what_is_no_finite_number_is_no_fact(value: object) -> None:
    facts = Facts.of_patch({**example(), "raw_data": {"total_cell_count": value}})
    assert facts.get("total_cell_count") is None


def test_a_source_has_the_value_as_it_was_given() -> None:
    assert PATCH.source("raw_data.count_Neoplastic", "1290") == (
        "raw_data.count_Neoplastic",
        1290,
        "cells",
        "1290",
    )
    assert SLIDE.source("IMMUNE_INFLAMED_SHARE.n") == ("IMMUNE_INFLAMED_SHARE.n", 24, "", "")


@pytest.mark.parametrize("facts", [PATCH, SLIDE])
def test_json_and_back(facts: Facts) -> None:
    assert Facts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@pytest.mark.parametrize("read", [Facts.of_patch, Facts.from_json])
@pytest.mark.parametrize("missing", ["raw_data", "interpretation", "generated_tokens"])
def test_other_json_is_refused(missing: str, read: object) -> None:
    with pytest.raises(UsageError, match=missing):
        read({name: value for name, value in example().items() if name != missing})  # type: ignore[operator]
