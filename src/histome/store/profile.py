"""What a run leaves behind, read part by part."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from histome.errors import MissingPartError, OutputError
from histome.store import files as store
from histome.store.caveat import Caveat
from histome.store.disk import read_json
from histome.store.notebook import profile_html
from histome.store.sealed import find_damage, read_record

if TYPE_CHECKING:
    import geopandas
    import pandas
    import polars
    import pyarrow as pa
    from anndata import AnnData  # pyright: ignore[reportMissingImports]
    from matplotlib.axes import Axes
    from spatialdata import SpatialData  # pyright: ignore[reportMissingImports]

    from histome.qc import Quality
    from histome.slide import ClassMap, ProbabilityMap
    from histome.store.edits import Corrected
    from histome.tissue import Tissue

RUN_NAME = "run.json"
T = TypeVar("T")
# What every run.json and every stage's record hold; anything else was written by somebody else, or in part.
_RUN_HOLDS = {"state": str, "slide": dict, "stages": dict, "warnings": list}
_STAGE_HOLDS = {"key": str, "warnings": list, "broken_tiles_px": list, "facts": dict}


class Profile:
    """A profile's folder; each part is read when it is asked for and then kept.

    Cells and tissue are those that the numbers were taken of: as people corrected them where the profile was
    made with a file of edits. `as_found` gives them as the models found them, as they lie on the disk.

    Raises OutputError, one line, for a part that the run never reached and for one that is not as it was
    written.
    """

    def __init__(self, path: Path, *, as_found: bool = False) -> None:
        self.path = path
        self._as_found = as_found

    def __repr__(self) -> str:
        return f"Profile({str(self.path)!r}, {self.run['state']})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: slide, tissue, cells, warnings and the report."""
        return profile_html(self.path, self.run)

    def __getitem__(self, name: str) -> SimpleNamespace:
        """Return a metric by name: its row, with `.value` (None has a `.reason`), `.unit`, `.n` and more."""
        if name not in self._row_of:
            raise KeyError(f"{name}: no metric of this profile; `histome metrics search` finds names")
        return SimpleNamespace(**self.metrics.slice(self._row_of[name], 1).to_pylist()[0])

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.metrics["name"].to_pylist())}

    @cached_property
    def run(self) -> dict[str, Any]:
        """run.json: the slide, versions, settings, models, times, warnings and how the run ended."""
        return read_run(self.path)

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
        return self._corrected.tissue if self._is_corrected else self._load("tissue", store.TISSUE.load)

    def tissue_maps(self) -> "tuple[ClassMap, ProbabilityMap | None]":
        """Map and probabilities of `tissue`, read for the caller alone and without its zones."""
        if self._is_corrected:
            return self.tissue.map, self.tissue.probabilities
        return self._load("tissue", store.load_tissue_maps)

    @cached_property
    def cells(self) -> "pa.Table":
        """Table of the cells, one row each."""
        return self._corrected.cells if self._is_corrected else self._load("cells", store.CELLS.load)

    @property
    def _edits(self) -> Path:
        return self.path / "metrics" / store.EDITS_FILE

    @property
    def _is_corrected(self) -> bool:
        return self._edits.is_file() and not self._as_found

    @cached_property
    def _corrected(self) -> "Corrected":
        from histome.store.edits import apply_edits, read_edits

        found = Profile(self.path, as_found=True)
        return apply_edits(found.cells, found.tissue, read_edits(self._edits), self.run)

    @contextmanager
    def cells_file(self) -> Iterator[Path]:
        """The file of `cells`, for what reads it in parts; one for a while where people corrected it."""
        if not self._is_corrected:
            yield self._load("cells", lambda folder: folder / store.CELLS_TABLE)
            return
        from histome.cells.table import write_cells

        with TemporaryDirectory() as folder:
            write_cells(self.cells, Path(folder) / store.CELLS_TABLE)
            yield Path(folder) / store.CELLS_TABLE

    @cached_property
    def metrics(self) -> "pa.Table":
        """Table of the metrics: name, value, unit, n, reason."""
        return self._load("metrics", store.METRICS.load)

    @cached_property
    def parts(self) -> "store.Parts":
        """Regions of interest, of a profile that has some: `metrics` of each region, and `outlines`."""
        return self._load("parts", store.PARTS.load)

    @cached_property
    def narrative(self) -> dict[str, Any]:
        """The narrative as `histome.narrative.sentences.Narrative.to_json` wrote it."""
        return self._load("narrative", store.NARRATIVE.load)

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self._load("report", lambda folder: folder / store.REPORT_PAGE)

    def to_pandas(self, table: str = "cells") -> "pandas.DataFrame":
        """Return a table (cells, tissue, quality, metrics) as pandas; see `histome.exports.to_pandas`."""
        return _exports().to_pandas(self, table)

    def to_polars(self, table: str = "cells") -> "polars.DataFrame":
        """Return a table as polars; see `histome.exports.to_polars`."""
        return _exports().to_polars(self, table)

    def to_geopandas(self, table: str = "cells", *, unit: str = "px") -> "geopandas.GeoDataFrame":
        """Return cells, tissue or quality with outlines in px or um; see `histome.exports.to_geopandas`."""
        return _exports().to_geopandas(self, table, unit=unit)

    def to_anndata(self) -> "AnnData":
        """Return the cells as AnnData; see `histome.exports.to_anndata`."""
        return _exports().to_anndata(self)

    def to_spatialdata(self) -> "SpatialData":
        """Return cells and regions as SpatialData; see `histome.exports.to_spatialdata`."""
        return _exports().to_spatialdata(self)

    def export(self, to: str, out: str | Path | None = None) -> Path:
        """Write the profile for another program; see `histome.exports.export_profile`."""
        return _exports().export_profile(self, to, out)

    def plot(self, layers: tuple[str, ...] = ("tissue", "cells"), *, axes: "Axes | None" = None) -> "Axes":
        """Draw the slide's maps and cells with matplotlib; see `histome.exports.plot_profile`."""
        return _exports().plot_profile(self, layers, axes=axes)

    def _load(self, stage: str, load: Callable[[Path], T]) -> T:
        folder = self.path / stage
        if not folder.is_dir():
            state, error = self.run.get("state"), self.run.get("error")
            refused = state == "refused" and error  # it would be again
            why = f"its run was refused: {error}" if refused else f"its run is {state}; profile it again"
            raise MissingPartError(f"{self.path}: no {stage} results; {why}")
        if damage := find_damage(folder):
            raise OutputError(f"{folder}: {damage}; profile the slide again")
        return load_part(load, folder)


def _exports() -> Any:
    """Return the room of exports: by name, for it stands above this one and reads profiles."""
    return importlib.import_module("histome.exports")


def load_part(load: Callable[[Path], T], folder: Path) -> T:
    """Load what a stage's folder holds; raises OutputError, one line, where that fails."""
    try:
        return load(folder)
    except MemoryError:
        raise  # says nothing against the files
    except Exception as error:  # whatever a library says of bytes that it cannot use
        reason = " ".join(str(error).split()) if folder.is_dir() else "it was removed"
        raise OutputError(f"{folder}: cannot be loaded ({reason}); profile the slide again") from error


def read_run(folder: Path) -> dict[str, Any]:
    """Return run.json of a profile's folder; empty where it is missing, damaged or not histome's."""
    return _holding(_RUN_HOLDS, read_json(folder / RUN_NAME))


def read_stage(folder: Path) -> dict[str, Any]:
    """Return the record of a stage's folder; empty where it is missing, damaged or not histome's."""
    return _holding(_STAGE_HOLDS, read_record(folder))


def _holding(kinds: Mapping[str, type], content: dict[str, Any]) -> dict[str, Any]:
    return content if all(isinstance(content.get(name), kind) for name, kind in kinds.items()) else {}


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

    One metric by its name, with its unit, n and, where there is no value, the reason:

    >>> profile["ABSOLUTE_AREA_STROMA"].unit
    'um2'
    """
    profile = Profile(Path(folder))
    if not (profile.path / RUN_NAME).is_file():
        raise OutputError(
            f"{folder}: no profile here (no {RUN_NAME}); name a folder that histome profile wrote"
        )
    if not profile.run:
        raise OutputError(
            f"{folder}: {RUN_NAME} is damaged or was not written by histome; profile the slide again "
            "(stages that are whole are kept)"
        )
    return profile
