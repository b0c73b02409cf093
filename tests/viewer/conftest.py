"""A profile of a drawn slide: a few hundred nuclei of the shipped model, tissue of a few weights."""

from pathlib import Path
from typing import NamedTuple

import pytest
from helpers.phantoms import small_phantom
from helpers.tiny_models import segmenter_model

from histome.config import Config
from histome.pipeline import profile
from histome.store.profile import Profile

pytest.importorskip("fastapi", reason="the viewer's extra is not installed")
pytest.importorskip("httpx", reason="FastAPI's test client needs it")

SETTINGS = """
[tissue]
model = "{folder}/tiny-tissue"
[metrics]
families = ["total-area", "tissue-areas", "all-cells", "cells-per-class", "cells-by-tissue", "ratios"]
"""


class Looked(NamedTuple):
    """A folder with a slide, out/ with its profile, and the settings that it was made with."""

    folder: Path
    out: Path
    slide: Path
    config: Config
    profile: Profile


@pytest.fixture(scope="session")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looked:
    folder = tmp_path_factory.mktemp("viewer")
    slide, out = folder / "drawn.tif", folder / "out"
    small_phantom(slide, size_px=(700, 600), tissue_share=0.7)
    segmenter_model(folder / "tiny-tissue")
    (folder / "settings.toml").write_text(SETTINGS.format(folder=folder))
    config = Config.from_toml(folder / "settings.toml")
    made = profile(slide, out, config=config, stages=("metrics",), workers=1)
    return Looked(folder, out, slide, config, made)
