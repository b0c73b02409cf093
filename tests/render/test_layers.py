"""The layers show the classes where they are, whatever the size of the slide."""

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

from histome.render.layers import (
    HATCH_PX,
    Layer,
    border_layer,
    cell_layer,
    class_layer,
    class_shares,
    hatched,
    jpeg_uri,
    length_text,
    png_uri,
    scale_bar_um,
    shrink_map,
)
from histome.render.palette import rgb
from histome.slide import ClassMap

COLORS = ["#FF0000", "#00FF00", "#0000FF"]
FILL_ALPHA = 88


def decode(uri: str) -> np.ndarray:
    kind, data = uri.split(";base64,")
    assert kind in ("data:image/png", "data:image/jpeg")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    return np.asarray(image.convert("RGBA" if kind.endswith("png") else "RGB"))


def quarters() -> ClassMap:
    codes = np.zeros((40, 60), np.uint8)
    codes[:20, :30], codes[:20, 30:], codes[20:, :30] = 1, 2, 3
    return ClassMap(codes, 2.0, ("A", "B", "C"))


@pytest.mark.parametrize("shape", [(20, 30), (40, 60), (80, 120), (8, 6)])
def test_a_map_keeps_its_geometry_at_any_size(shape: tuple[int, int]) -> None:
    codes = shrink_map(quarters(), (120.0, 80.0), shape)
    half = (shape[0] // 2, shape[1] // 2)
    assert codes.shape == shape
    assert set(codes[: half[0], : half[1]].ravel()) == {1}
    assert set(codes[: half[0], half[1] :].ravel()) == {2}
    assert set(codes[half[0] :, : half[1]].ravel()) == {3}
    assert set(codes[half[0] :, half[1] :].ravel()) == {0}


def test_the_commonest_class_of_a_pixel_wins() -> None:
    codes = np.full((10, 10), 2, np.uint8)
    codes[:, :4] = 1
    assert shrink_map(ClassMap(codes, 1.0, ("A", "B")), (10.0, 10.0), (1, 1)).tolist() == [[2]]


def test_a_slide_larger_than_its_map_is_not_analyzed_beyond() -> None:
    codes = shrink_map(quarters(), (240.0, 80.0), (40, 120))
    assert not codes[:, 60:].any()
    assert codes[0, 59] == 2


def test_shares_sum_to_what_is_analyzed() -> None:
    shares = class_shares(quarters(), (120.0, 80.0), (4, 6))
    assert shares.shape == (3, 4, 6)
    assert shares.sum(axis=0) == pytest.approx(np.array([[1.0] * 6] * 2 + [[1.0] * 3 + [0.0] * 3] * 2))


def test_fills_are_translucent_outlines_opaque_and_some_classes_not_drawn() -> None:
    codes = shrink_map(quarters(), (120.0, 80.0), (40, 60))
    picture = decode(
        png_uri(class_layer(codes, ["#FF0000", None, "#0000FF"], alphas=[FILL_ALPHA, FILL_ALPHA, 0]))
    )
    assert tuple(picture[5, 5]) == (255, 0, 0, FILL_ALPHA)
    assert tuple(picture[19, 5]) == (255, 0, 0, 255)
    assert picture[5, 40, 3] == 0
    assert picture[30, 10, 3] == 0
    assert tuple(picture[20, 10]) == (0, 0, 255, 255)


def test_borders_alone_are_two_pixels_on_either_side() -> None:
    codes = np.ones((20, 20), np.uint8)
    codes[:, 10:] = 2
    picture = decode(png_uri(border_layer(codes, COLORS)))
    assert [int(alpha) for alpha in picture[5, 6:14, 3]] == [0, 0, 255, 255, 255, 255, 0, 0]
    assert tuple(picture[5, 9, :3]) == rgb(COLORS[0])
    assert tuple(picture[5, 10, :3]) == rgb(COLORS[1])


def test_a_hatched_class_is_a_third_and_the_others_stay() -> None:
    codes = np.ones((60, 60), np.uint8)
    codes[:, 36:] = 2
    drawn = hatched(codes, 1)
    assert (drawn[:, 36:] == 2).all()
    assert np.count_nonzero(drawn[:36, :36]) == 36 * 36 // 3
    assert drawn[0, HATCH_PX] == drawn[HATCH_PX, 0] == drawn[0, 0] == 1


def test_points_grow_where_there_is_room() -> None:
    few, many = (
        cell_layer(
            *(rng.uniform(0, 1000, n) for _ in range(2)), np.zeros(n, int), shape=(1000, 1000), colors=COLORS
        )
        for n, rng in ((1, np.random.default_rng(0)), (40_000, np.random.default_rng(0)))
    )
    assert np.count_nonzero(few.codes) == 89  # a disc of radius 5
    assert np.count_nonzero(many.codes) < 40_000 * 5  # crosses of radius 1


def test_a_cell_is_drawn_where_it_is() -> None:
    layer = cell_layer(np.array([10.7]), np.array([20.2]), np.array([2]), shape=(30, 40), colors=COLORS)
    rows, columns = np.nonzero(layer.codes)
    assert (rows.mean(), columns.mean()) == (10, 20)
    assert tuple(decode(png_uri(layer))[10, 20, :3]) == rgb(COLORS[2])


def test_cells_on_the_edge_stay_inside() -> None:
    rows, columns = np.array([0.0, 30.0, -1.0]), np.array([0.0, 40.0, 12.0])
    layer = cell_layer(rows, columns, np.array([0, 1, 2]), shape=(30, 40), colors=COLORS)
    assert layer.codes.shape == (30, 40)
    assert (layer.codes[0, 0], layer.codes[29, 39]) == (1, 2)


def test_the_commonest_class_of_crowded_cells_is_drawn() -> None:
    rows, columns = np.full(9, 3.5), np.full(9, 4.5)
    codes = np.array([0, 1, 1, 2, 1, 0, 2, 1, 0])
    layer = cell_layer(rows, columns, codes, shape=(8, 8), colors=COLORS)
    assert np.count_nonzero(layer.codes) == 1
    assert layer.codes[3, 4] == 2


def test_no_cells_no_points() -> None:
    empty = np.empty(0)
    layer = cell_layer(empty, empty, empty.astype(np.int64), shape=(8, 8), colors=COLORS)
    assert not layer.codes.any()


def test_a_million_cells_in_bounded_time() -> None:
    rng = np.random.default_rng(0)
    n, shape = 1_000_000, (900, 1200)
    rows, columns, codes = rng.uniform(0, 900, n), rng.uniform(0, 1200, n), rng.integers(0, 3, n)
    start = time.process_time()
    layer = cell_layer(rows, columns, codes, shape=shape, colors=COLORS)
    assert time.process_time() - start < 5  # under 1 s where it was measured
    assert len(png_uri(layer)) < 2_000_000
    assert np.count_nonzero(layer.codes) / layer.codes.size == pytest.approx(
        1 - np.exp(-n / (900 * 1200)), abs=0.01
    )


def test_pictures_of_the_same_pixels_are_the_same_bytes() -> None:
    layer = Layer(np.eye(8, dtype=np.uint8), np.array([[0, 0, 0, 0], [9, 8, 7, 255]], np.uint8))
    assert png_uri(layer) == png_uri(layer)
    pixels = np.full((16, 16, 3), 200, np.uint8)
    assert jpeg_uri(pixels, 85) == jpeg_uri(pixels, 85)
    assert decode(jpeg_uri(pixels, 85)) == pytest.approx(pixels, abs=2)


@pytest.mark.parametrize(
    ("width_um", "length_um", "label"),
    [
        (1000.0, 200.0, "200 µm"),
        (250.0, 50.0, "50 µm"),
        (20_000.0, 2000.0, "2 mm"),
        (249.0, 20.0, "20 µm"),
        (3.0, 0.5, "0.5 µm"),
    ],
)
def test_scale_bars_are_round(width_um: float, length_um: float, label: str) -> None:
    assert scale_bar_um(width_um) == pytest.approx(length_um)
    assert length_text(scale_bar_um(width_um)) == label
