"""A network's word on quality excludes besides the rules, never against them."""

import cv2
import numpy as np
from helpers.drawn_tissue import glass, tissue_texture, write_field
from helpers.tissue_models import InkNetwork

from histome.config import QcConfig
from histome.qc import assess


def section(path):
    """A disc of 1.2 mm on glass, with a square of 240 um that the network, and no rule, calls ink."""
    image = glass(1000, 1200)
    disc = np.zeros(image.shape[:2], np.uint8)
    cv2.circle(disc, (600, 500), 300, 1, -1)
    image[disc > 0] = tissue_texture(1000, 1200, mpp=2.0)[disc > 0]
    image[440:560, 540:660, 1] = 40
    image[440:560, 540:660, ::2] = image[440:560, 540:660, ::2] // 2 + 60
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


def test_the_number_of_workers_does_not_show(tmp_path):
    slide = section(tmp_path / "disc.png")
    one, two = (assess(slide, QcConfig(), network=InkNetwork(), workers=n).map.array for n in (1, 3))
    assert np.array_equal(one, two)
