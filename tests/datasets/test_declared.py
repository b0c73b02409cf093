"""Declarations of data sets: complete, and of our classes only."""

import subprocess
import sys

import numpy as np
import pytest

from histome.classes import CELL_CLASSES, TISSUE_CLASSES
from histome.datasets.declaration import DataSet, tcga_patient
from histome.datasets.declared import DECLARED, PUBLISHED, declaration_of, in_folder, set_of
from histome.datasets.labelsets import members
from histome.datasets.published import LAYOUTS
from histome.datasets.tissue_labels import CODES, TISSUE_LABELS


@pytest.mark.parametrize("name", DECLARED)
def test_a_declaration_states_terms_source_and_paper(name):
    about = declaration_of(name)
    assert about.license
    assert about.citation
    assert about.source
    assert about.labels is not None or about.tissue is not None or name in ("cryonuseg", "monuseg", "tnbc")


@pytest.mark.parametrize("name", DECLARED)
def test_groups_part_our_classes_and_each_label_lies_in_one(name):
    about = declaration_of(name)
    named = [cell for group in about.groups.values() for cell in group]
    assert len(named) == len(set(named))
    assert set(named) <= set(CELL_CLASSES)
    for mask in (about.labels or {}).values():
        met = [group for group in about.groups.values() if set(group) & set(members(mask))]
        assert met or not (mask and about.groups)


@pytest.mark.parametrize("about", [each for each in DECLARED.values() if each.tissue], ids=lambda d: d.name)
def test_labels_of_tissue_are_known_sets_and_answers_are_tissue_classes(about):
    assert (
        set(about.tissue.labels.values()) | set(about.tissue.by_eye.values()) <= TISSUE_LABELS.labels.keys()
    )
    assert about.tissue.answers.keys() <= about.tissue.labels.keys()
    assert {name for names in about.tissue.answers.values() for name in names} <= set(TISSUE_CLASSES)


def test_what_is_declared_as_published_has_a_reader():
    assert set(LAYOUTS) == set(PUBLISHED)


def test_a_data_set_of_ones_own_names_our_classes():
    assert declaration_of("mine") == DataSet(name="mine")
    assert members(set_of("mine", "lymphocyte|plasma_cell")) == ("lymphocyte", "plasma_cell")


def test_a_folder_may_hold_several_data_sets():
    assert [each.name for each in in_folder("tissue_tiles")] == ["nct", "kather", "lc25000"]
    assert [each.name for each in in_folder("consep")] == ["consep"]


@pytest.mark.parametrize(
    ("source", "patient"),
    [
        ("TCGA-A2-A0SX-DX1", "TCGA-A2-A0SX"),
        ("TCGA-A2-A0SX", "TCGA-A2-A0SX"),
        ("ADI-TCGA-AAICEQFN", None),
        ("patient 06", None),
    ],
)
def test_the_patient_of_a_tcga_barcode(source, patient):
    assert tcga_patient(source) == patient


def test_sources_are_read_from_a_column_or_from_the_name():
    row = {"image": "x___Case-3-A8-1", "source": "s", "organ": "Testis"}
    assert declaration_of("osteosarcoma").source_of(row) == "Case-3-A8"
    assert declaration_of("pannuke_figures").source_of(row) == "Testis"
    assert declaration_of("consep").source_of(row) == "s"


def test_rebuilt_outlines_weigh_half():
    weights = [declaration_of("monuseg").outline_weight(place) for place in (0, 12, 13)]
    assert weights == [1.0, 1.0, 0.5]
    assert declaration_of("consep").outline_weight(20) == 1.0


@pytest.mark.parametrize("room", ["training", "training.nuclei", "datasets", "validation"])
def test_a_face_imports_no_network_library(room):
    code = f"import sys, histome.{room}; print('torch' in sys.modules, 'cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("room", ["training", "datasets", "validation"])
def test_a_name_of_a_face_has_a_home(room):
    if room == "training":
        pytest.importorskip("torch", reason="training needs the [train] extra")
    module = __import__(f"histome.{room}", fromlist=["__all__"])
    assert all(getattr(module, name) is not None for name in module.__all__)


def test_label_sets_have_their_own_code_each():

    allowed, _, weights = TISSUE_LABELS.table()
    assert sorted(CODES.values()) == list(range(1, len(TISSUE_LABELS.labels) + 1))
    assert np.array_equal(allowed.any(1), weights[:, 0] > 0)
