"""What a run leaves behind, read part by part."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from histome.errors import OutputError
from histome.store import files as store
from histome.store.caveat import Caveat
from histome.store.disk import read_json

if TYPE_CHECKING:
    import pyarrow as pa

    from histome.qc import Quality
    from histome.tissue import Tissue

RUN_NAME = "run.json"
RECORD_NAME = "stage.json"
T = TypeVar("T")


class Profile:
    """A profile's folder; each part is read when it is asked for and then kept.

    Raises OutputError, one line, for a part that the run never reached.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Profile({str(self.path)!r}, {self.run['state']})"

    @cached_property
    def run(self) -> dict[str, Any]:
        """run.json: the slide, versions, settings, models, times, warnings and how the run ended."""
        return read_json(self.path / RUN_NAME)

    @cached_property
    def warnings(self) -> tuple[Caveat, ...]:
        """What to know before believing a number, the gravest first; see `histome.caveats.CODES`."""
        return tuple(Caveat(**entry) for entry in self.run.get("warnings", ()))

    @cached_property
    def quality(self) -> "Quality":
        """Quality of the slide, as `histome.qc.assess` returned it."""
        return self._load("qc", store.QUALITY.load)

    @cached_property
    def tissue(self) -> "Tissue":
        """Tissue of the slide, as `segment_tissue` returned it; its probabilities are read when asked for."""
        return self._load("tissue", store.TISSUE.load)

    @cached_property
    def cells(self) -> "pa.Table":
        """Table of the cells, one row each."""
        return self._load("cells", store.CELLS.load)

    @cached_property
    def metrics(self) -> "pa.Table":
        """Table of the metrics: name, value, unit, n, reason."""
        return self._load("metrics", store.METRICS.load)

    @cached_property
    def narrative(self) -> dict[str, Any]:
        """The narrative as `histome.narrative.sentences.Narrative.to_json` wrote it."""
        return self._load("narrative", store.NARRATIVE.load)

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self._load("report", lambda folder: folder / store.REPORT_PAGE)

    def _load(self, stage: str, load: Callable[[Path], T]) -> T:
        folder = self.path / stage
        if not (folder / RECORD_NAME).is_file():
            raise OutputError(
                f"{self.path}: no {stage} results (its run is {self.run.get('state')}); profile it again"
            )
        return load(folder)


def load_profile(folder: str | Path) -> Profile:
    """Return the profile in a folder that `histome.profile` wrote; raises OutputError when there is none.

    Examples
    --------
    >>> profile = histome.load_profile("out/slide")
    >>> profile.run["state"]
    'done'

    What to know before believing a number stands in run.json, each with a code and its values:

    >>> [warning.title for warning in profile.warnings if warning.code == "ORGAN_NOT_STATED"]
    ['The organ was not stated']

    Its parts fit each other; the area of stroma on the map is that of the table of metrics:

    >>> metrics = {row["name"]: row["value"] for row in profile.metrics.to_pylist()}
    >>> profile.tissue.map.area_um2("STROMA") == metrics["ABSOLUTE_AREA_STROMA"]
    True
    """
    profile = Profile(Path(folder))
    if not profile.run:
        raise OutputError(
            f"{folder}: no profile here (no run.json); name a folder that histome profile wrote"
        )
    return profile
