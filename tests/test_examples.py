"""The examples in docstrings and in the tutorial run as they stand, on a drawn slide and a drawn field."""

import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import histome
from histome.phantom import draw_phantom

pytestmark = pytest.mark.slow

SOURCE = Path(histome.__file__).parent
DOCS = Path(__file__).parents[1] / "docs"
# Where the doors of the library are defined: module and name.
DOORS = (
    ("classes", "find_organ"),
    ("slide.opening", "open_slide"),
    ("slide.reader", "Slide.read"),
    ("slide.maps", "ClassMap"),
    ("slide.tiles", "TileGrid"),
    ("pipeline", "profile"),
    ("store.profile", "load_profile"),
    ("cells.find", "find_cells"),
    ("datasets.organs", "organ_of"),
    ("metrics.measuring", "measure"),
    ("phenotype.features", "patch_features"),
    ("narrative.verifier", "verify"),
    ("validation.resampling", "bootstrap"),
    ("validation.matching", "match_centers"),
    ("validation.probes", "balanced_accuracy"),
    ("encoders.registry", "encoder"),
    ("encoders.slide_encoders", "open_slide_encoder"),
    ("embedding.places", "tile_places"),
    ("embedding.clusters", "cluster_tiles"),
)


def field_of_discs() -> NDArray[np.uint8]:
    """Twelve dark discs of 9 px radius on pink, (512, 512, 3), in focus as a scanner's."""
    y, x = np.mgrid[:512, :512] + 0.5
    discs = [np.hypot(x - cx, y - cy) <= 9 for cy in (100, 250, 400) for cx in (70, 190, 310, 430)]
    pixels = np.where(np.any(discs, axis=0)[..., None], (90, 60, 140), (232, 190, 212))
    return np.asarray(cv2.GaussianBlur(pixels.astype(np.uint8), (0, 0), 1.0), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with slide.svs (512 x 512 um), its profile in out/, and field.png: twelve discs of 9 um."""
    path = tmp_path_factory.mktemp("examples")
    draw_phantom(
        path / "slide.svs",
        size_px=(1024, 1024),
        rng=np.random.default_rng(1),
        tissue_share=0.8,
        artifacts=False,
    )
    Image.fromarray(field_of_discs()).save(path / "field.png")
    histome.profile(path / "slide.svs", path / "out")
    return path


@pytest.fixture(autouse=True)
def _in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


@pytest.mark.parametrize(("module", "name"), DOORS, ids=[name for _, name in DOORS])
def test_a_door_has_an_example_that_holds(module: str, name: str) -> None:
    door = importlib.import_module(f"histome.{module}")
    for part in name.split("."):
        door = getattr(door, part)
    (example,) = doctest.DocTestFinder(recurse=False).find(door, name, globs={"histome": histome})
    assert any(step.want for step in example.examples)
    failures: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=failures.append)
    assert not failures, "".join(failures)


def test_no_example_goes_unrun() -> None:
    shown = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in SOURCE.rglob("*.py")
        if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert shown == {module for module, _ in DOORS}


def blocks(page: str) -> Iterator[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    yield from re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_tutorial_runs() -> None:
    names: dict[str, object] = {}
    for block in blocks("tutorial.md"):
        exec(block, names)
    assert len(names["sure"]) <= len(names["cells"])  # type: ignore[arg-type]
