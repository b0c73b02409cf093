"""Label sets as the table of the data's documentation has them."""

from histome.classes import CELL_CLASSES
from histome.datasets.declared import set_of
from histome.datasets.labelsets import label_set, members


def test_a_set_is_the_sum_of_its_bits():
    assert members(label_set("fibroblast", "other")) == ("fibroblast", "other")
    assert label_set(*CELL_CLASSES) == 2 ** len(CELL_CLASSES) - 1


def test_consep_inflammatory_names_the_four_leukocytes():
    names = members(set_of("consep", "inflammatory"))
    assert set(names) == {"lymphocyte", "plasma_cell", "macrophage", "granulocyte"}


def test_untyped_points_have_no_set():
    assert set_of("crchistophenotypes", "untyped") == 0
