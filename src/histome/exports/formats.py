"""The formats of `histome export`, and one way to write any of them: whole or not at all."""

import importlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from histome.errors import OutputError, UsageError
from histome.store.disk import remove_folder, writing
from histome.store.profile import Profile, load_profile

FOLDER = "exports"


class Export(NamedTuple):
    """A format: what writes it (module and function here), its default name, what it is for, in words.

    `endings` are those that a file of it may have; empty for a folder.
    """

    module: str
    function: str
    name: str
    about: str
    endings: tuple[str, ...] = ()

    @property
    def write(self) -> Callable[[Profile, Path], None]:
        """The function `write(profile, path)`; its libraries are loaded now."""
        return getattr(importlib.import_module(f"histome.exports.{self.module}"), self.function)


EXPORTS: Mapping[str, Export] = {
    "qupath": Export(
        *("qupath", "write_qupath", "qupath.zip", "QuPath: cells, tissue, quality"),
        endings=(".zip", ".geojson", ".json", ".gz"),
    ),
    "atlas": Export("atlas", "write_atlas", "atlas", "the twelve files of the published readouts"),
    "anndata": Export("scverse", "write_anndata", "cells.h5ad", "scanpy, squidpy", (".h5ad",)),
    "spatialdata": Export("scverse", "write_spatialdata", "spatialdata.zarr", "squidpy, napari-spatialdata"),
    "ome-zarr": Export("ome_zarr", "write_ome_zarr", "tissue.ome.zarr", "tissue probabilities, OME-NGFF 0.5"),
    "csv": Export("frames", "write_csv", "csv", "R, Excel: every table, with units"),
    "xlsx": Export(
        "workbook", "write_workbook", "core.xlsx", "Excel: thirty numbers with intervals", (".xlsx",)
    ),
    "geoparquet": Export("frames", "write_geoparquet", "geoparquet", "geopandas, QGIS, DuckDB"),
    "graph": Export(
        "graph", "write_graph", "graph", "networkx, igraph, torch-geometric: who lies beside whom"
    ),
}


def export_profile(profile: Profile | str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write a profile for another program and return where: a file, or a folder of files.

    Parameters
    ----------
    profile : Profile, str or Path
        Or its folder.
    to : str
        A name out of `EXPORTS`.
    out : str, Path or None
        File or folder to write. A file that is there is replaced, a folder is not. None: under a fixed name
        in the profile's folder `exports`, where an older one is replaced.

    Raises
    ------
    UsageError
        No such format, a file whose ending is none of it, or a library of an extra that is not installed.
    OutputError
        Parts that are missing or damaged, a folder that is there, a disk that takes nothing.
    """
    if to not in EXPORTS:
        raise UsageError(f"no format {to!r}; choose from {', '.join(EXPORTS)}")
    endings = EXPORTS[to].endings
    if out is not None and endings and Path(out).suffix.lower() not in endings:
        raise UsageError(f"{out}: name a file that ends in {', '.join(endings)}")
    opened = profile if isinstance(profile, Profile) else load_profile(profile)
    path = Path(out) if out is not None else opened.path / FOLDER / EXPORTS[to].name
    with writing(path):
        if out is not None and path.is_dir():
            raise OutputError(f"{path}: is a folder that is there already; name one that is not")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=path.parent) as partial:
            made = Path(partial) / path.name
            EXPORTS[to].write(opened, made)
            if path.is_dir() and not path.is_symlink():
                remove_folder(path)
            made.replace(path)
    return path
