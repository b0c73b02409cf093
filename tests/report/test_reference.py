"""A report shows the ranges that its settings name, and only then."""

import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
from helpers import profiles
from helpers.page import CONFIG, Page

from histome.config import Config
from histome.pipeline import _plan
from histome.report import render_report
from histome.report.reference import FORMAT, KEY

RANGE = {"p05": 10.0, "p25": 20.0, "p50": 30.0, "p75": 40.0, "p95": 50.0}


def write_range(path, organ="all"):
    rows = [{"organ": organ, "name": "CELL_PERCENTAGE_LYMPHOCYTE", "unit": "%", "n": 90, **RANGE}]
    about = {KEY: json.dumps({"format": FORMAT, "each": "patient"}).encode()}
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(about), path)


def test_ranges_stand_beside_the_key_numbers(tmp_path):
    slide, path = profiles.make_slide(tmp_path), tmp_path / "r.parquet"
    write_range(path)
    metrics = profiles.make_metrics({"CELL_PERCENTAGE_LYMPHOCYTE": 45.0})
    made = profiles.make_profile(metrics=metrics)
    text = render_report(made, slide, CONFIG.updated(reference=str(path)))
    section = re.search(r'<section id="metrics".*?</section>', text, re.S)
    assert section is not None
    words = Page(section[0]).words()
    assert "all organs, 5th to 95th percentile of patients" in words
    assert "10.0 to 50.0" in words
    assert "in the upper quarter" in words
    assert "not what is healthy" not in Page(render_report(made, slide, CONFIG)).words()


def test_another_file_of_ranges_makes_the_report_again(tmp_path):
    keys = []
    for organ in ("all", "breast"):
        write_range(tmp_path / "r.parquet", organ)
        config = Config().updated(report=CONFIG.updated(reference=str(tmp_path / "r.parquet")))
        plan = {stage.name: stage.inputs for stage in _plan(config, {}, None, "s")}
        keys.append(plan["report"]["reference"])
        assert str(tmp_path) not in str(plan)
    assert keys[0] != keys[1]
