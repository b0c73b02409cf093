"""The palettes tell their classes apart, also without one of the three cone types."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from histome.classes import CELL_CLASSES, QC_CLASSES, TISSUE_CLASSES
from histome.render import palette
from histome.render.scale import STOPS, scale_codes, scale_colors

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
PROTAN = [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998]
DEUTAN = [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881]
TRITAN = [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900]
VISION = {"normal": np.eye(3).ravel(), "protan": PROTAN, "deutan": DEUTAN, "tritan": TRITAN}


def seen(colors: list[str], vision: str) -> np.ndarray:
    """Lab values of colors as seen with a kind of color vision."""
    rgb = np.array([palette.rgb(color) for color in colors]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.reshape(VISION[vision], (3, 3)).T, 0, 1)
    return rgb2lab(np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    ("colors", "smallest"),
    [
        (palette.QC_COLORS, 23),
        (palette.TISSUE_COLORS, 19),
        (palette.CELL_COLORS, 17),
    ],
)
def test_any_two_classes_differ(colors: dict[str, str], smallest: float, vision: str) -> None:
    lab = seen(list(colors.values()), vision)
    differences = [float(deltaE_ciede2000(a, b)) for a, b in combinations(lab, 2)]
    assert min(differences) >= smallest


# Tissue under an outline: stroma, a nucleus, epithelium.
UNDER = ("#E8B8D0", "#8A5A9E", "#C77FB0")


def half_covered(color: str, under: str) -> str:
    """A pixel of which an outline one pixel wide, between two pixels, covers half."""
    mixed = (np.array(palette.rgb(color)) + palette.rgb(under)) / 2
    return "#" + bytes(mixed.astype(np.uint8).tolist()).hex()


@pytest.mark.parametrize("vision", ["normal", "deutan", "protan"])
@pytest.mark.parametrize(
    ("colors", "carcinoma", "epithelium"),
    [
        (palette.CELL_COLORS, "carcinoma_cell", "epithelial_cell"),
        (palette.TISSUE_COLORS, "CARCINOMA", "EPITHELIAL_TISSUE"),
    ],
)
def test_carcinoma_and_epithelium_differ_as_thin_outlines(
    colors: dict[str, str], carcinoma: str, epithelium: str, vision: str
) -> None:
    """Thin lines are told apart by how light they are, and keep half of their color."""
    pair = [colors[carcinoma], colors[epithelium]]
    light = seen(pair, vision)[:, 0]
    assert light[1] - light[0] >= 35
    assert float(deltaE_ciede2000(*seen(pair, vision))) >= 37
    for under in UNDER:
        thin = seen([half_covered(color, under) for color in pair], vision)
        assert float(deltaE_ciede2000(*thin)) >= 20


def test_palettes_hold_the_vocabulary_in_order() -> None:
    for classes, colors, labels in (
        (QC_CLASSES, palette.QC_COLORS, palette.QC_LABELS),
        (TISSUE_CLASSES, palette.TISSUE_COLORS, palette.TISSUE_LABELS),
        (CELL_CLASSES, palette.CELL_COLORS, palette.CELL_LABELS),
    ):
        assert tuple(colors) == classes
        assert tuple(labels) == classes


def test_a_legend_leaves_bare_glass_out() -> None:
    assert [entry["key"] for entry in palette.legend("qc")] == [k for k in QC_CLASSES if k != "NO_TISSUE"]


def test_the_scale_runs_from_dark_to_light_in_steps_that_are_seen() -> None:
    for vision in VISION:
        lab = seen(list(STOPS), vision)
        assert (np.diff(lab[:, 0]) > 8).all()
    codes = scale_codes(np.array([np.nan, -1.0, 0.0, 5.0, 10.0, 99.0]), 0, 10)
    assert codes.tolist() == [0, 1, 1, 128, 255, 255]
    colors = scale_colors()
    assert colors[0, 3] == 0
    assert tuple(colors[1, :3]) == palette.rgb(STOPS[0])
    assert tuple(colors[255, :3]) == palette.rgb(STOPS[-1])
    assert scale_codes(np.array([3.0, 3.0]), 3.0, 3.0).tolist() == [1, 1]
