import numpy as np
import pytest

from histome.slide.stain import hematoxylin_eosin_od, stain_matrix, to_od


def test_optical_density_of_known_bytes() -> None:
    assert to_od(np.array([255, 26, 25, 0], np.uint8)) == pytest.approx([0, 0.9916, 1.0086, 2.4065], abs=1e-3)
    assert to_od(np.zeros((2, 3), np.uint8)).dtype == np.float32


def test_stains_are_unit_vectors_and_the_residual_is_perpendicular() -> None:
    matrix = stain_matrix()
    assert np.linalg.norm(matrix, axis=1) == pytest.approx([1, 1, 1])
    assert matrix[2] @ matrix[:2].T == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(("hematoxylin", "eosin"), [(0.8, 0.0), (0.0, 0.5), (0.6, 0.3), (0.0, 0.0)])
def test_mixtures_are_unmixed(hematoxylin: float, eosin: float) -> None:
    density = np.array([hematoxylin, eosin, 0]) @ stain_matrix()
    rgb = np.round(255 * 10**-density).astype(np.uint8)
    # Rounding to bytes costs at most 0.5 / 40 / ln 10 in density here.
    assert hematoxylin_eosin_od(rgb[None, None])[0, 0] == pytest.approx([hematoxylin, eosin], abs=0.01)


def test_shape_is_kept() -> None:
    assert hematoxylin_eosin_od(np.zeros((4, 5, 3), np.uint8)).shape == (4, 5, 2)
