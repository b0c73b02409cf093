"""A network's word on quality excludes besides the rules, never against them."""

import cv2
import numpy as np
from helpers.drawn_tissue import glass, tissue_texture, write_field
from helpers.tissue_models import InkNetwork

from histome.config import QcConfig
from histome.qc import assess


def section(path, side_um=240):
    """A disc of 1.2 mm on glass, with a square in its middle that the network, and no rule, calls ink."""
    image = glass(1000, 1200)
    disc = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, (600, 500), 300, 1, -1)
    image[disc > 0] = tissue_texture(1000, 1200, mpp=2.0)[disc > 0]
    half = side_um // 4
    square = image[500 - half : 500 + half, 600 - half : 600 + half]
    square[..., 1] = 40
    square[..., ::2] = square[..., ::2] // 2 + 60
    return write_field(path, image, 2.0)


def test_what_the_network_finds_is_excluded_where_it_lies(tmp_path):
    slide = section(tmp_path / "disc.png")
    rules = assess(slide, QcConfig()).map
    both = assess(slide, QcConfig(), network=InkNetwork(), workers=2).map
    ink = both.mask("MARKER") & ~rules.mask("MARKER")
    rows, columns = np.nonzero(both.mask("MARKER"))
    assert abs(np.count_nonzero(both.mask("MARKER")) * 64 - 240**2) < 0.15 * 240**2
    assert abs(rows.mean() * 8 + 4 - 1000) < 12
    assert abs(columns.mean() * 8 + 4 - 1200) < 12
    assert ink.any()
    # Nothing that a rule excluded is measured.
    assert not (both.mask("VALID_TISSUE") & ~rules.mask("VALID_TISSUE")).any()


def test_specks_of_the_network_are_measured(tmp_path):
    slide = section(tmp_path / "disc.png", side_um=40)
    both = assess(slide, QcConfig(), network=InkNetwork()).map
    assert np.array_equal(both.array, assess(slide, QcConfig()).map.array)
    wider = section(tmp_path / "wider.png", side_um=64)
    assert assess(wider, QcConfig(), network=InkNetwork()).map.mask("MARKER").any()


def test_the_number_of_workers_does_not_show(tmp_path):
    slide = section(tmp_path / "disc.png")
    one, two = (assess(slide, QcConfig(), network=InkNetwork(), workers=n).map.array for n in (1, 3))
    assert np.array_equal(one, two)
