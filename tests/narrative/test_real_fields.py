"""Grounded texts of fields of real data: the verifier finds nothing in them that is not so.

Of all labeled nuclei as patches; of three fields of each data set as the models that ship measure them.
"""

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from histome.config import Config, SlideConfig
from histome.datasets.fields import Field, load_fields
from histome.datasets.labelsets import members
from histome.errors import NoTissueError
from histome.narrative.facts import Facts
from histome.narrative.sentences import Narrative
from histome.narrative.verifier import verify
from histome.narrative.writers.patch import describe_patch
from histome.phenotype.axes import PANNUKE_CLASSES
from histome.phenotype.features import cells_of_masks, in_um, measure_cells
from histome.phenotype.patch import PANNUKE_OF, describe
from histome.pipeline import profile
from histome.store.disk import read_json


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


STATED = SlideConfig(organ="liver", site="metastasis", specimen="biopsy")


@pytest.mark.slow
@pytest.mark.parametrize(
    "data_set",
    [
        "camelyon32",
        "consep",
        "crchistophenotypes",
        "dsb2018_purple",
        "glas",
        "gtex_adipose",
        "monusac",
        "monuseg",
        "nucls15",
        "ocdc10",
        "osteosarcoma",
        "pannuke_figures",
        "puma_roi094",
        "segpath_web",
        "tissue_tiles",
        "tnbc",
        "wsss4luad",
    ],
)
def test_nothing_in_the_text_of_a_measured_field_is_unsupported(
    data_dir: Callable[[str], Path], tmp_path: Path, data_set: str
) -> None:
    folder = data_dir(data_set)
    with (folder / "images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = {len(rows) * k // 6: rows[len(rows) * k // 6] for k in (1, 3, 5)}
    told = 0
    for row in chosen.values():
        mpp = float(row["mpp"].strip("~ ") or 0.5)
        options = {"mpp": mpp, "config": Config(slide=STATED), "stages": ["narrative"], "workers": 1}
        with suppress(NoTissueError):  # an empty field has no text
            found = profile(folder / row["file"], tmp_path, **options)
            narrative = Narrative.from_json(read_json(found.path / "narrative" / "narrative.json"))
            assert (row["file"], narrative.unsupported) == (row["file"], 0)
            assert narrative.supported == len(narrative.sentences) >= 2
            for part in ("biopsy of a metastasis in the liver.", "models never saw liver"):
                assert part in narrative.text
            told += 1
    assert told
