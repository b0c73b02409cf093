"""Splits by source of data that nobody has split before."""

from dataclasses import replace

import numpy as np
import pytest

from histome.datasets.fields import FieldId, instance_field
from histome.datasets.splits import part_of, split_by_source, split_fields, split_labeled


def make_field(data_set, source, name="a"):
    labels = np.zeros((16, 16), np.int32)
    rgb = np.full((16, 16, 3), 200, np.uint8)
    return instance_field(FieldId(data_set, name, source), rgb, labels, np.zeros(1, np.uint16), mpp=0.5)


def sources_of(fields):
    return {field.source for field in fields}


def test_no_source_is_in_two_parts_and_every_field_in_one():
    fields = [make_field("lizard", f"p{k % 20}", str(k)) for k in range(100)]
    split = split_by_source(fields)
    parts = [sources_of(part) for part in (split.train, split.tuning, split.held_out)]
    assert [len(part) for part in parts] == [14, 2, 4]
    assert len(set().union(*parts)) == 20
    assert len(split.train) + len(split.tuning) + len(split.held_out) == 100


def test_the_seed_decides_and_other_data_sets_change_nothing():
    fields = [make_field("lizard", f"p{k}") for k in range(20)]
    others = [make_field("puma", f"q{k}") for k in range(9)]
    alone, beside = split_by_source(fields, 3), split_by_source([*others, *fields], 3)
    assert sources_of(alone.held_out) == {s for s in sources_of(beside.held_out) if s.startswith("p")}
    assert sources_of(alone.held_out) != sources_of(split_by_source(fields, 4).held_out)


def test_a_patient_of_two_data_sets_stays_in_one_part():
    fields = [make_field("nucls", f"TCGA-{k}") for k in range(12)]
    shared = [replace(field, data_set="monusac") for field in fields]
    split = split_by_source([*fields, *shared])
    parts = [sources_of(part) for part in (split.train, split.tuning, split.held_out)]
    assert sum(map(len, parts)) == 12


@pytest.mark.parametrize(("n", "sizes"), [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1])])
def test_few_sources(n, sizes):
    split = split_by_source([make_field("own", f"p{k}") for k in range(n)])
    assert [len(part) for part in (split.train, split.tuning, split.held_out)] == sizes


def test_each_organ_can_be_left_out_in_turn():
    organs = ("Breast", "Testis", "Bile-duct")
    fields = [make_field("pannuke_figures", organ) for organ in organs]
    declared = split_fields(fields)
    assert [sources_of(part) for part in (declared.train, declared.tuning, declared.held_out)] == [
        {"Breast"},
        {"Testis"},
        {"Bile-duct"},
    ]
    other = split_fields(fields, {"pannuke_figures": ("Breast",)})
    assert sources_of(other.held_out) == {"Breast"}
    assert sources_of(other.train) == {"Bile-duct"}


def test_a_name_of_no_barcode_is_kept_back_in_its_own_data_set_only():
    assert part_of("crchistophenotypes", "img10") == "held-out"
    assert part_of("mine", "img10") == "train"
    assert part_of("nucls15", "TCGA-A2-A0SX-DX1") == part_of("nucls", "TCGA-A2-A0SX") == "held-out"


def test_declared_sources_stay_kept_back_and_the_rest_is_drawn():
    names = ("train_1", "train_3", "train_2", "train_4", "train_5")
    consep = [make_field("consep", name) for name in names]
    mine = [make_field("mine", f"p{k}") for k in range(10)]
    # A patient that monuseg holds out, in data of one's own.
    known = make_field("mine", "TCGA-B0-5698")
    split = split_labeled([*consep, *mine, known])
    assert sources_of(split.tuning) & set(names) == {"train_1"}
    assert sources_of(split.held_out) & {*names, known.source} == {"train_3", known.source}
    assert len(sources_of(split.held_out) & sources_of(mine)) == 2
    assert sources_of(split.train) | sources_of(split.tuning) | sources_of(split.held_out) == {
        *names,
        *sources_of(mine),
        known.source,
    }


def test_a_part_of_a_declared_set_without_what_it_keeps_back_is_drawn():
    split = split_labeled([make_field("consep", f"train_{k}") for k in (2, 4, 5, 7)])
    assert len(split.held_out) == len(split.tuning) == 1
