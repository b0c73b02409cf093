"""Regions of interest: every format gives the same regions; what cannot be meant is one clear line."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from histome.config import RoiConfig
from histome.errors import HistomeError, UsageError
from histome.interop.given import read_regions
from histome.slide import Mpp

WIDTH, HEIGHT, UM = 2000, 1000, 0.5
SQUARE = [(100, 100), (500, 100), (500, 300), (100, 300)]  # 200 x 100 um


def slide(source: str = "file property", mpp: float = UM) -> Any:
    return SimpleNamespace(
        id="slide",
        path=Path("slide.svs"),
        size_px=(WIDTH, HEIGHT),
        mpp=Mpp(mpp, mpp, source),
        extent_um=(WIDTH * mpp, HEIGHT * mpp),
    )


def feature(corners: Any = SQUARE, *, kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    coordinates = [[*corners, corners[0]]] if kind == "Polygon" else corners
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": {"objectType": "annotation", **properties},
    }


def moved(x: float, y: float = 0.0) -> list[tuple[float, float]]:
    return [(px + x, py + y) for px, py in SQUARE]


def write(folder: Path, *features: dict[str, Any]) -> Path:
    path = folder / "drawn.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return path


def aperio(regions: str, *, mpp: str = "", name: str = "Tumor") -> str:
    stated = f' MicronsPerPixel="{mpp}"' if mpp else ""
    layer = f'<Annotation Id="1" Name="{name}"><Regions>{regions}</Regions></Annotation>'
    return f"<Annotations{stated}>{layer}</Annotations>"


def region(corners: Any = SQUARE, **attributes: str) -> str:
    told = " ".join(f'{key}="{value}"' for key, value in {"Type": "0", **attributes}.items())
    vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in corners)
    return f"<Region {told}><Vertices>{vertices}</Vertices></Region>"


def asap(*shapes: str) -> str:
    return f"<ASAP_Annotations><Annotations>{''.join(shapes)}</Annotations></ASAP_Annotations>"


def asap_shape(
    corners: Any = SQUARE, *, type_: str = "Polygon", group: str = "Tumor", name: str = "A"
) -> str:
    # Written out of order: the order is a number of each.
    at = "".join(
        f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in reversed(list(enumerate(corners)))
    )
    told = f'Name="{name}" Type="{type_}" PartOfGroup="{group}"'
    return f"<Annotation {told}><Coordinates>{at}</Coordinates></Annotation>"


def as_parquet(folder: Path) -> Path:
    path = folder / "drawn.parquet"
    pq.write_table(
        pa.table({"geometry": shapely.to_wkb([shapely.Polygon(SQUARE)]), "class": ["Tumor"]}), path
    )
    return path


def as_xml(folder: Path, text: str) -> Path:
    path = folder / "drawn.xml"
    path.write_text(text)
    return path


FORMATS = {
    "qupath": lambda folder: write(folder, feature(classification={"name": "Tumor"})),
    "parquet": as_parquet,
    "aperio": lambda folder: as_xml(folder, aperio(region())),
    "aperio rectangle": lambda folder: as_xml(folder, aperio(region(Type="1"))),
    "aperio of two corners": lambda folder: as_xml(folder, aperio(region(SQUARE[::2], Type="1"))),
    "halo": lambda folder: as_xml(folder, aperio(region(Type="Polygon")).replace("Vertex ", "V ")),
    "asap": lambda folder: as_xml(folder, asap(asap_shape(name=""))),
    "asap rectangle": lambda folder: as_xml(folder, asap(asap_shape(type_="Rectangle", name=""))),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_region_in_um(tmp_path: Path, name: str) -> None:
    found, notes = read_regions(FORMATS[name](tmp_path), slide())
    assert (list(found.shapes.label), found.kinds, notes) == (["Tumor"], ("Tumor",), [])
    assert shapely.bounds(found.measured).tolist() == [50, 50, 250, 150]
    assert shapely.area(found.measured) == 200 * 100
    mask = found.mask((125, 250), mpp=2.0)  # 500 x 250 um of the slide
    assert mask.sum() * 4 == 200 * 100
    assert mask[25:75, 25:125].all()


def test_an_ellipse_has_its_area(tmp_path: Path) -> None:
    found = read_regions(as_xml(tmp_path, aperio(region(SQUARE[::2], Type="2"))), slide()).regions
    assert shapely.area(found.measured) == pytest.approx(np.pi * 100 * 50, rel=2e-3)


def test_what_is_to_be_left_out_is_cut_from_every_region(tmp_path: Path) -> None:
    """By QuPath's class Ignore*, by Aperio's negative regions, by name."""
    hole = [(100, 100), (300, 100), (300, 300), (100, 300)]
    qupath = write(tmp_path, feature(name="A"), feature(hole, classification={"name": "Ignore*"}))
    xml = as_xml(tmp_path, aperio(region() + region(hole, NegativeROA="1")))
    for path in (qupath, xml):
        found = read_regions(path, slide()).regions
        assert (len(found.kinds), shapely.area(found.measured)) == (1, 100 * 100)
        assert shapely.area(found.left_out) == 100 * 100
    named = write(tmp_path, feature(name="A"), feature(hole, name="fold 1"))
    found = read_regions(named, slide(), RoiConfig(exclude=("FOLD*",))).regions
    assert (list(found.shapes.label), shapely.area(found.measured)) == (["A"], 100 * 100)


def test_regions_are_chosen_by_name_or_class(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        feature(name="biopsy"),
        feature(moved(600), classification={"name": "Tumor"}),
        feature(moved(1200), classification={"name": "Stroma"}),
    )
    assert list(read_regions(path, slide()).regions.shapes.label) == ["biopsy", "Tumor", "Stroma"]
    chosen = read_regions(path, slide(), RoiConfig(include=("tumor", "bio*"))).regions
    assert list(chosen.shapes.label) == ["biopsy", "Tumor"]
    with pytest.raises(UsageError, match=r"no region is called 'Tumour'; there are Stroma, Tumor, biopsy$"):
        read_regions(path, slide(), RoiConfig(include=("Tumour",)))
    with pytest.raises(UsageError, match="what is to be measured is what is to be left out"):
        read_regions(path, slide(), RoiConfig(include=("Tumor",), exclude=("Tumor",)))


def test_only_to_leave_out_measures_all_the_rest_and_names_no_region(tmp_path: Path) -> None:
    found = read_regions(write(tmp_path, feature(classification={"name": "Ignore*"})), slide()).regions
    assert found.kinds == ()
    assert found.mask((250, 500), mpp=2.0).sum() * 4 == 1000 * 500 - 200 * 100
    # The last pixel of a map that the slide's edge cuts belongs to it, as without regions.
    assert found.mask((63, 125), mpp=8.0)[-1].all()


def test_equal_names_are_numbered_and_stay_different(tmp_path: Path) -> None:
    names = ["A", "A", "A 2", "A", "B"]
    path = write(tmp_path, *(feature(moved(150 * k), name=name) for k, name in enumerate(names)))
    assert list(read_regions(path, slide()).regions.shapes.label) == ["A 1", "A 3", "A 2", "A 4", "B"]


def test_a_line_that_crosses_itself_encloses_what_even_odd_says(tmp_path: Path) -> None:
    bow_tie = [(100, 100), (300, 300), (300, 100), (100, 300)]
    turns = np.pi * (np.arange(5) * 4 / 5 - 0.5)
    star = [(500 + 200 * np.cos(turn), 500 + 200 * np.sin(turn)) for turn in turns]
    found = read_regions(write(tmp_path, feature(bow_tie)), slide()).regions
    assert shapely.area(found.measured) == pytest.approx(100 * 100 / 2)
    mask = read_regions(write(tmp_path, feature(star)), slide()).regions.mask((500, 1000), mpp=1.0)
    assert mask[250 - 60, 250]  # a point of the star
    assert not mask[250, 250]  # twice enclosed


def test_what_is_not_measured_is_told(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        feature(name="A"),
        feature(moved(5000), name="far"),
        feature(moved(20, 20), name="inner"),
        feature([(1, 1), (9, 9)], kind="LineString"),
        feature(moved(0, 0), classification={"name": "Ignore*"}),
        feature([(1, 1), (9, 1), (9, 9)], objectType="detection"),
    )
    found, notes = read_regions(path, slide())
    assert list(found.shapes.label) == ["inner"]
    assert notes == [
        "1 points, lines or empty shapes",
        "A, which lies in what is left out",
        "far, which lies off the slide",
    ]


@pytest.mark.parametrize(
    ("features", "told"),
    [
        ([], "holds no regions"),
        ([feature([(1, 1)], kind="MultiPoint")], "holds no regions"),
        ([feature(moved(5000))], r"x 5100 to 5500, y 100 to 300, it has 2000 x 1000 px; .* level 0\?"),
        ([feature(moved(-3000))], "nothing of its 1 regions lies on slide.svs"),
        ([feature([(x / 500, y / 500) for x, y in SQUARE])], "are they in px of its level 0"),  # mm
        ([{"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[1]]]}}], "not valid GeoJSON"),
        ([feature([(1, 1), (float("nan"), 5), (9, 9)])], "row 1 is empty or not finite|not valid GeoJSON"),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, features: list[Any], told: str) -> None:
    with pytest.raises(HistomeError, match=told) as caught:
        read_regions(write(tmp_path, *features), slide())
    assert "\n" not in str(caught.value)
    assert "drawn.geojson" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not valid XML"),
        ("<Annotations><Anno", "not valid XML"),
        ("<html/>", "<html> is neither Aperio's XML"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><Annotations/>', "has a document type"),
        (aperio('<Region Type="0"><Vertices><Vertex X="a" Y="1"/></Vertices></Region>'), "cannot be read"),
        (aperio('<Region Type="0"><Vertices><Vertex X="1"/></Vertices></Region>'), "no X or Y"),
        (aperio(region(SQUARE[:2])), "holds no regions"),
        (aperio(region(Type="4")), "holds no regions"),
        (aperio(region(), mpp="0.25"), r"was drawn on 0.25 um/px, slide.svs has 0.5: is it of this slide\?"),
    ],
)
def test_damaged_or_foreign_xml_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(HistomeError, match=told):
        read_regions(as_xml(tmp_path, text), slide())


def test_the_resolution_of_the_drawing_may_differ_where_the_slide_s_was_replaced(tmp_path: Path) -> None:
    path = as_xml(tmp_path, aperio(region(), mpp="0.25"))
    assert read_regions(path, slide("given by the user")).regions.kinds == ("Tumor",)


@pytest.mark.parametrize(("number", "classes"), [(1, 2), (2, 2), (3, 1)])
def test_real_aperio_files_are_read_whole(data_dir: Any, number: int, classes: int) -> None:
    """Outlines of nuclei as ImageScope keeps them: each Region of the file is a region of a class."""
    from histome.slide import open_slide

    folder = data_dir("slides")
    path = folder / f"A9K0_{number}.xml"
    with open_slide(folder / f"A9K0_{number}.svs") as opened:
        found, notes = read_regions(path, opened)
        area_px = shapely.area(found.shapes.geometry) / (opened.mpp.x * opened.mpp.y)
    text = path.read_text()
    # Drawn twice along one line encloses nothing, and ImageScope gives a few such strokes their area.
    assert len(found.kinds) + len(notes) == pytest.approx(text.count("<Region Id"), abs=2)
    assert len(set(found.kinds)) == classes
    stated = np.array([float(part.split('"')[1]) for part in text.split(" Area=")[1:]])
    assert np.sum(area_px) == pytest.approx(stated.sum(), rel=0.02)
