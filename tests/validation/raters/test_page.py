"""Figures of a page: as SVG, and the same as PDF."""

import re

import numpy as np
import pytest

from histome.validation.raters.page import Section, write_page
from histome.validation.raters.pdf import text_width, write_pdf

CURVE = [
    {"judge": "m", "coverage": k / 4, "value": 0.9 - k / 20, "low": 0.6, "high": 0.95} for k in range(1, 5)
]
INTERVALS = [
    {"judge": name, "value": v, "low": v - 0.1, "high": v + 0.1} for name, v in (("a", 0.5), ("b", -0.2))
]
HEAT = [
    {
        "row": r,
        "column": c,
        "value": float("nan") if (r, c) == ("x", "q") else 0.1 * k,
        "n": 9,
        "too_small": not k,
    }
    for k, (r, c) in enumerate((r, c) for r in "xyz" for c in "pq")
]
BINS = [{"from": 0.4, "to": 0.5, "n": 10, "confidence": 0.45, "accuracy": 0.7}]
FIGURES = {"curve": CURVE, "intervals": INTERVALS, "heat": HEAT, "reliability": BINS}


@pytest.mark.parametrize("kind", FIGURES)
def test_each_figure_is_on_the_page_and_beside_it(kind, tmp_path):
    sections = [Section("one", "A figure (1 of 1)", "Text.", FIGURES[kind], figure=kind)]
    page = write_page(tmp_path, "Title", sections)
    svg, pdf = (tmp_path / "one.svg").read_text(), (tmp_path / "one.pdf").read_bytes()
    assert svg.strip() in page.read_text()
    assert pdf.startswith(b"%PDF-1.4")
    assert pdf.endswith(b"%%EOF\n")
    # Every word of the SVG is in the PDF, and every shape is painted.
    words = [" ".join(t.split()) for t in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
    assert pdf.count(b" Tj") == len(words)
    for word in words:
        assert word.replace("(", r"\(").replace(")", r"\)").encode("cp1252") in pdf
    shapes = len(re.findall("<(line|rect|circle|polygon|polyline)", svg))
    assert len(re.findall(rb"^[fSB]$", pdf, re.MULTILINE)) == shapes


def test_places_of_a_pdf_are_where_its_table_says(tmp_path):
    write_pdf(
        tmp_path / "a.pdf",
        '<svg viewBox="0 0 90 40"><line x1="1" x2="9" y1="3" y2="3" stroke="#ff0000"/></svg>',
    )
    pdf = (tmp_path / "a.pdf").read_bytes()
    for number, place in enumerate(re.findall(rb"^(\d{10}) 00000 n", pdf, re.MULTILINE), start=1):
        assert pdf[int(place) :].startswith(b"%d 0 obj" % number)
    start = int(re.search(rb"startxref\n(\d+)", pdf)[1])
    assert pdf[start:].startswith(b"xref")
    length = int(re.search(rb"/Length (\d+)", pdf)[1])
    assert len(re.search(rb"stream\n(.*)\nendstream", pdf, re.DOTALL)[1]) == length
    assert b"1.000 0.000 0.000 RG" in pdf
    assert b"1 3 m 9 3 l" in pdf
    assert b"/MediaBox [0 0 90 40]" in pdf


def test_widths_are_helveticas():
    assert text_width("il") == pytest.approx(0.444)
    assert text_width("W") == pytest.approx(0.944)
    assert text_width("~") == pytest.approx(0.584)
    assert text_width("0123456789") == pytest.approx(5.56)


def test_a_heat_map_leaves_out_what_is_not_known(tmp_path):
    write_page(tmp_path, "Title", [Section("h", "Heat", "", HEAT, figure="heat")])
    svg = (tmp_path / "h.svg").read_text()
    assert svg.count("<rect") == 5
    assert "0.00*" in svg
    assert "too small" in svg
    write_page(
        tmp_path / "b", "Title", [Section("h", "Heat", "", [{**HEAT[0], "value": np.nan}], figure="heat")]
    )
    assert not (tmp_path / "b/h.svg").exists()
