"""The catalogue: names, order and count of what was promised, and declarations that say something."""

import hashlib
import pkgutil
from pathlib import Path

import pytest

from histome.errors import UsageError
from histome.metrics import families
from histome.metrics.catalogue import (
    FAMILIES,
    find_metric,
    list_metrics,
    search_metrics,
    select_families,
)

SPEC = Path(__file__).resolve().parents[3] / "shared" / "spec" / "atlas_columns_4548.txt"
# Of the 4,544 published names of numbers in their order, joined by newlines.
CORE_SHA256 = "0211cabf26db744a4fcb8ff4641a8336350f404103c0b5415a645059800e08ae"
FAMILY_SIZES = {
    "total-area": 1,
    "qc-areas": 10,
    "tissue-areas": 14,
    "tissue-regions": 84,
    "all-cells": 7,
    "cells-per-class": 63,
    "cells-by-tissue": 135,
    "neighborhood-centers": 180,
    "neighborhood-pairs": 4050,
    "tumor-zones": 10,
    "tissues-in-zones": 70,
    "cells-in-zones": 135,
    "tumor-neighborhoods": 846,
    "lymphoid-aggregates": 12,
    "nuclei-per-class": 770,
    "nuclei-by-tissue": 360,
    "tumor-border": 90,
    "distance-to-carcinoma": 36,
    "nearest-distances": 243,
    "cross-g": 162,
    "cross-l": 405,
    "enrichment": 162,
    "contacts": 90,
    "colocalization": 72,
    "clustering": 36,
    "diversity": 33,
    "heterogeneity": 108,
    "ratios": 25,
    "certainty": 44,
    "not-counted": 11,
    "scan": 14,
    "enrichment-in-tissue": 90,
    "contacts-in-tissue": 90,
    "pairs-by-distance": 216,
    "tile-dispersion": 108,
    "tile-overlap": 72,
    "glands": 22,
}


def names(*wanted):
    return [metric.name for metric in list_metrics(wanted)]


def test_core_names_and_order_are_the_published_ones():
    assert hashlib.sha256("\n".join(names("core")).encode()).hexdigest() == CORE_SHA256


@pytest.mark.skipif(not SPEC.exists(), reason="the list of published columns is not here")
def test_core_names_equal_the_published_list():
    columns = SPEC.read_text().split()
    assert names("core") == [name for name in columns[3:] if name != "CELL_CLASSES"]


def test_families_have_the_promised_sizes():
    assert {family: len(names(family)) for family in FAMILIES} == FAMILY_SIZES
    assert len(list_metrics(["core"])) == 4544
    assert len(list_metrics()) == 8876


def test_names_are_unique():
    assert len(set(names())) == len(names())


def test_every_module_of_a_family_is_in_the_catalogue_under_its_name():
    found = pkgutil.walk_packages(families.__path__, f"{families.__name__}.")
    modules = {module.name.split(".")[-1] for module in found if not module.ispkg}
    assert {name.replace("-", "_") for name in FAMILIES} == modules
    assert all(family.id == name for name, family in FAMILIES.items())


def test_former_ids_still_select_their_family():
    assert select_families(["S4", "W1", "cells"]) == ("all-cells", "tumor-zones", "enrichment")
    former = [family.alias for family in FAMILIES.values() if family.alias]
    assert len(set(former)) == len(former) == 22
    assert not set(former) & set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_declarations_are_complete(family):
    assert FAMILIES[family].definition
    for metric in list_metrics([family]):
        low, high = metric.template.range
        assert metric.formula
        assert metric.counts
        assert metric.unit
        assert low is None or high is None or low < high
        texts = (metric.name, metric.unit, metric.formula, metric.derived, metric.counts, *metric.nulls)
        assert not any("{" in text for text in texts)


def test_one_declaration_reads_as_a_definition():
    metric = find_metric("DENSITY_OF_PLASMA_CELLS_AROUND_OTHER_IN_STROMA_20")
    assert metric.formula == (
        "that number of plasma cells / area of the discs of 20 um round other cells in stroma"
    )
    assert metric.unit == "cells/um2"
    assert metric.nulls == ("there are no other cells in stroma",)


def test_groups_and_unknown_names():
    assert select_families(["tissue-areas", "total-area"]) == ("total-area", "tissue-areas")
    assert select_families(["core"]) == tuple(FAMILIES)[:9]
    with pytest.raises(UsageError, match="no metric family 'areas'"):
        select_families(["areas"])
    with pytest.raises(UsageError, match="did you mean CELL_N_TOTAL"):
        find_metric("cell_total")


@pytest.mark.parametrize("word", ["lymphocyte", "LYMPHOCYTE", "Lymphocyte"])
def test_a_word_that_is_no_name_brings_the_plain_metrics_of_it(word):
    with pytest.raises(UsageError, match="mean CELL_COUNT_LYMPHOCYTE or CELL_DENSITY_LYMPHOCYTE or CELL_PER"):
        find_metric(word)


def test_a_name_that_is_spelled_wrong_brings_the_right_one():
    with pytest.raises(UsageError, match="did you mean CELL_DENSITY_LYMPHOCYTE"):
        find_metric("CELL_DENSTIY_LYMPHOCYTE")
    with pytest.raises(UsageError, match="`histome metrics search` finds names"):
        find_metric("")


@pytest.mark.parametrize(
    ("words", "first", "n"),
    [
        (["lymphocyte", "density"], "CELL_DENSITY_LYMPHOCYTE", None),
        (["CELL_DENSITY_*_IN_TUMOR_CORE"], "CELL_DENSITY_OTHER_IN_TUMOR_CORE", 9),
        (["*_ratio", "stroma"], "TUMOR_STROMA_RATIO", 2),
        (["salgado"], "STROMAL_TIL_PERCENT", 1),  # in a formula
        (["Getis-Ord hot spots"], None, 36),  # in the definition of a family
        (["no such word"], None, 0),
    ],
)
def test_search_finds_by_name_formula_title_and_definition(words, first, n):
    found = [metric.name for metric in search_metrics(words)]
    assert n is None or len(found) == n
    assert first is None or found[0] == first


def test_a_glob_is_the_whole_name_and_every_word_must_be_found():
    assert search_metrics(["CELL_COUNT"]) != []
    assert search_metrics(["CELL_COUN?"]) == []
    both = {metric.name for metric in search_metrics(["plasma", "core"])}
    assert both == {m.name for m in search_metrics(["plasma"])} & {m.name for m in search_metrics(["core"])}


def test_families_that_compare_say_with_what():
    said = {name for name, family in FAMILIES.items() if family.null_model}
    assert {"cross-l", "enrichment", "contacts", "clustering", "heterogeneity", "colocalization"} <= said
