"""The catalogue: names, order and count of what was promised, and declarations that say something."""

import hashlib
from pathlib import Path

import pytest

from histome.errors import UsageError
from histome.metrics.catalogue import FAMILIES, catalogue, find_metric, select_families, templates
from histome.metrics.core_metrics import CORE_FAMILIES

SPEC = Path(__file__).resolve().parents[3] / "shared" / "spec" / "atlas_columns_4548.txt"
# Of the 4,544 published names of numbers in their order, joined by newlines.
CORE_SHA256 = "0211cabf26db744a4fcb8ff4641a8336350f404103c0b5415a645059800e08ae"
FAMILY_SIZES = {
    "total-area": 1,
    "qc-areas": 10,
    "tissue-areas": 14,
    "tissue-regions": 84,
    "cells": 7,
    "cells-per-class": 63,
    "cells-by-tissue": 135,
    "neighborhood-centers": 180,
    "neighborhood-pairs": 4050,
    "W1": 10,
    "W2": 70,
    "W3": 135,
    "W4": 846,
    "L1": 12,
    "N1": 770,
    "N2": 360,
    "I1": 90,
    "I2": 36,
    "S1": 243,
    "S2": 162,
    "S3": 405,
    "S4": 162,
    "S5": 90,
    "S6": 72,
    "S7": 36,
    "D1": 33,
    "H1": 108,
    "R1": 24,
    "U1": 42,
    "Q1": 14,
}


def names(*wanted):
    return [metric.name for metric in catalogue(wanted)]


def test_core_names_and_order_are_the_published_ones():
    assert hashlib.sha256("\n".join(names("core")).encode()).hexdigest() == CORE_SHA256


@pytest.mark.skipif(not SPEC.exists(), reason="the list of published columns is not here")
def test_core_names_equal_the_published_list():
    columns = SPEC.read_text().split()
    assert names("core") == [name for name in columns[3:] if name != "CELL_CLASSES"]


def test_families_have_the_promised_sizes():
    assert {family: len(names(family)) for family in FAMILIES} == FAMILY_SIZES
    assert sum(FAMILY_SIZES[family.id] for family in CORE_FAMILIES) == 4544
    assert len(catalogue()) == 8264


def test_names_are_unique():
    assert len(set(names())) == len(names())


def test_every_template_belongs_to_a_family_and_every_family_has_templates():
    assert {metric.family for metric in catalogue()} == set(FAMILIES)
    assert all(templates(family) for family in FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_declarations_are_complete(family):
    assert FAMILIES[family].definition
    for metric in catalogue([family]):
        low, high = metric.template.range
        assert metric.formula
        assert metric.unit
        assert metric.null_when
        assert low is None or high is None or low < high
        assert "{" not in metric.formula + metric.unit + metric.null_when + metric.derived + metric.name


def test_one_declaration_reads_as_a_definition():
    metric = find_metric("DENSITY_OF_PLASMA_CELLS_AROUND_OTHER_IN_STROMA_20")
    assert metric.formula == (
        "that number of plasma cells / area of the discs of 20 um round other cells in stroma"
    )
    assert metric.unit == "cells/um2"
    assert metric.null_when == "there are no other cells in stroma"


def test_groups_and_unknown_names():
    assert select_families(["tissue-areas", "total-area"]) == ("total-area", "tissue-areas")
    assert select_families(["core"]) == tuple(family.id for family in CORE_FAMILIES)
    with pytest.raises(UsageError, match="no metric family 'areas'"):
        select_families(["areas"])
    with pytest.raises(UsageError, match="did you mean CELL_N_TOTAL"):
        find_metric("cell_total")
