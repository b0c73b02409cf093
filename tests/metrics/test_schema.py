"""The exported schema spells out the catalogue; the reference page is up to date."""

import itertools
import json
from pathlib import Path

from histome.metrics.catalogue import FAMILIES, list_metrics
from histome.metrics.schema import SINCE, reference_page, schema_json, whole_catalogue

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"


def test_formatter_strings_spell_out_every_name():
    schema = json.loads(schema_json())
    names = [
        template["pattern"].format(**dict(zip(template["axes"], values, strict=True)))
        for family in schema["families"]
        for template in family["templates"]
        for values in itertools.product(*(schema["axes"][axis] for axis in template["axes"]))
    ]
    assert len(names) == schema["metrics"] == 8876
    assert set(names) == {metric.name for metric in list_metrics()}
    assert any(
        template["pattern"] == "CELL_DENSITY_{cell}_IN_{zone}"
        for family in schema["families"]
        for template in family["templates"]
    )


def test_the_reference_page_is_made_from_the_catalogue():
    assert PAGE.read_text(encoding="utf-8") == reference_page()


def test_since_names_what_there_is():
    templates = [template for family in whole_catalogue()["families"] for template in family["templates"]]
    told = {template["pattern"]: template["since"] for template in templates}
    assert SINCE.keys() <= told.keys() | FAMILIES.keys()
    assert told["INVASIVE_FRONT_DENSITY"] != told["TUMOR_PURITY"] != ""
    assert told["ABSOLUTE_AREA"] == ""
