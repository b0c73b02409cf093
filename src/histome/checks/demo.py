"""The demo: a drawn slide is profiled and compared with its truth."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from histome.classes import NUCLEATED_TISSUES, QC_CLASSES
from histome.store.disk import writing
from histome.store.profile import Profile
from histome.store.runner import Progress

if TYPE_CHECKING:
    import numpy as np

    from histome.phantom import PhantomTruth
    from histome.validation.matching import DetectionCounts

DEMO_SIDE_PX = 4096
DEMO_SEED = 7
MATCH_UM = 3.0


class Score(NamedTuple):
    """One comparison with the truth: a number and the line that tells it."""

    name: str
    value: float
    text: str


class Demo(NamedTuple):
    """The demo's profile and its distance from the truth."""

    profile: Profile
    scores: list[Score]


def run_demo(out: str | Path, *, workers: int | None = None, progress: Progress | None = None) -> Demo:
    """Draw a phantom of 2 x 2 mm into `out`, profile it and compare with the truth; needs no network.

    Raises OutputError where `out` cannot be written, and what `histome.profile` raises.
    """
    import numpy as np

    from histome.config import Config, ReportConfig
    from histome.phantom import draw_phantom
    from histome.pipeline import profile

    folder = Path(out)
    path = folder / "phantom.tif"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        truth = draw_phantom(path, size_px=(DEMO_SIDE_PX, DEMO_SIDE_PX), rng=np.random.default_rng(DEMO_SEED))
    # Nuclei are drawn as they look; textures are not, and the tissue map of a drawing says nothing.
    config = Config(report=ReportConfig(first_layer="cells"))
    found = profile(path, folder, config=config, workers=workers, progress=progress)
    return Demo(found, score_phantom(found, truth))


def score_phantom(profile: Profile, truth: "PhantomTruth") -> list[Score]:
    """Compare a phantom's profile with what was drawn, as far as drawing is like tissue.

    Nuclei match one to one within 3 um between centroids. Those under pen, in folds, out of focus, in
    necrosis or blood are not asked for: a found one that matches them counts neither way. Classes are not
    compared: the textures that tell tissues and cells apart are not drawn.
    """
    counts = match_cells(profile, truth)
    drawn, matched = counts.tp + counts.fn, counts.tp
    found = f"(n = {drawn:,} drawn, {matched:,} of them found, {counts.fp:,} found besides)"
    return [
        Score("nucleus detection F1", counts.f1, f"{counts.f1:.3f}  {found}"),
        _counted(matched + counts.fp, drawn),
        _quality_agreement(profile.quality.map.array, truth.qc_map(profile.quality.map.mpp)),
        _valid_area(profile, truth),
    ]


def _counted(found: int, drawn: int) -> Score:
    error = found / max(1, drawn) - 1
    return Score("number of nuclei", error, f"{100 * error:+.1f} %  of {drawn:,} drawn")


def match_cells(profile: Profile, truth: "PhantomTruth") -> "DetectionCounts":
    """Return the detection counts."""
    import numpy as np

    from histome.cells.table import counted_cells
    from histome.validation.matching import DetectionCounts, match_centers

    drawn, cells = truth.cells, counted_cells(profile.cells)
    true_um = np.stack([drawn.x_px, drawn.y_px], axis=1) * truth.mpp
    found_um = np.stack([cells["x_um"].to_numpy(), cells["y_um"].to_numpy()], axis=1)
    pairs = match_centers(true_um, found_um, within_um=MATCH_UM)
    asked = drawn.valid & np.isin(drawn.tissues, NUCLEATED_TISSUES)
    hits = int(asked[pairs[:, 0]].sum())
    return DetectionCounts(hits, len(cells) - len(pairs), int(asked.sum()) - hits)


def _quality_agreement(found: "np.ndarray", drawn: "np.ndarray") -> Score:
    """Share of the pixels that either calls something else than bare glass."""
    import numpy as np

    height, width = (min(a, b) for a, b in zip(found.shape, drawn.shape, strict=True))
    found, drawn = found[:height, :width], drawn[:height, :width]
    glass = QC_CLASSES.index("NO_TISSUE") + 1
    asked = (drawn != glass) | (found != glass)
    share = float(np.mean(found[asked] == drawn[asked])) if asked.any() else 1.0
    text = f"{share:.3f}  of the pixels that either calls tissue agree (n = {asked.sum():,})"
    return Score("quality map", share, text)


def _valid_area(profile: Profile, truth: "PhantomTruth") -> Score:
    import numpy as np

    mpp = profile.quality.map.mpp
    drawn = np.count_nonzero(truth.qc_map(mpp) == QC_CLASSES.index("VALID_TISSUE") + 1) * mpp**2
    error = profile.quality.map.area_um2("VALID_TISSUE") / drawn - 1
    return Score("area of valid tissue", error, f"{100 * error:+.1f} %  of {drawn / 1e6:.2f} mm² drawn")
