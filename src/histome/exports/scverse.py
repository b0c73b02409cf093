"""AnnData and SpatialData: cells for scanpy, squidpy and napari-spatialdata."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from histome.colors import CELL_COLORS, TISSUE_COLORS
from histome.exports.extra import needed
from histome.exports.frames import to_geopandas
from histome.exports.place import Place, place_of
from histome.store.profile import Profile

if TYPE_CHECKING:
    import pandas
    from anndata import AnnData  # pyright: ignore[reportMissingImports]
    from spatialdata import SpatialData  # pyright: ignore[reportMissingImports]

REGION = "cells"
_OBS = ("cell_id", "x", "y", "class", "confidence", "abstained", "tissue", "counted", "zone")
_PLACE = ("x_um", "y_um")


def to_anndata(profile: Profile) -> "AnnData":
    """Return the cells as AnnData.

    X holds the numbers of shape, stain, probabilities and surroundings, float32; var says their units and
    descriptions; obs holds what a cell is (class, tissue, zone, confidence) and its place in px;
    obsm["spatial"] is x, y in um, obsm["spatial_px"] in level-0 px; uns["histome"] the slide and the affine
    from px to um. Null is NaN.
    """
    anndata: Any = needed("anndata", "scverse")
    cells, place = profile.cells, place_of(profile)
    given = [field for field in cells.schema if _is_feature(field)]
    columns = [cells[field.name].cast(pa.float32()).to_numpy() for field in given]
    numbers = np.stack(columns, axis=1) if columns else np.empty((len(cells), 0), np.float32)
    obs = _annotations(cells, place)
    made = anndata.AnnData(X=np.ascontiguousarray(numbers), obs=obs, var=_about(given))
    made.obsm["spatial"] = np.stack([cells[name].to_numpy() for name in ("x_um", "y_um")], axis=1)
    made.obsm["spatial_px"] = np.stack([cells[name].to_numpy() for name in ("x", "y")], axis=1)
    made.uns["histome"] = _numpy(place)
    for name, colors in (("class", CELL_COLORS), ("tissue", TISSUE_COLORS)):
        made.uns[f"{name}_colors"] = np.array([colors[each] for each in obs[name].cat.categories], object)
    return made


def _is_feature(field: pa.Field) -> bool:
    number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
    return number and field.name not in (*_OBS, *_PLACE)


def _about(fields: list[pa.Field]) -> "pandas.DataFrame":
    import pandas

    names = [field.name for field in fields]
    told = [field.metadata or {} for field in fields]
    columns = {
        key: [each.get(key.encode(), b"").decode() for each in told] for key in ("unit", "description")
    }
    return pandas.DataFrame(columns, index=pandas.Index(names), dtype=object)


def _annotations(cells: pa.Table, place: Place) -> "pandas.DataFrame":
    """Return what each cell is; categories are those that occur, in our order."""
    import pandas

    frame = cells.select([name for name in _OBS if name in cells.column_names]).to_pandas()
    for name in ("class", "tissue", "zone"):
        frame[name] = frame[name].astype("category").cat.remove_unused_categories()
    frame["region"] = pandas.Categorical([REGION] * len(frame), categories=[REGION])
    frame["slide"] = pandas.Categorical([place.slide] * len(frame), categories=[place.slide])
    frame.index = pandas.Index(frame["cell_id"].astype(str).to_numpy(), dtype=object)
    return frame


def _numpy(place: Place) -> dict[str, Any]:
    """Return what an .h5ad can hold of the place."""
    return {
        name: np.array(value) if isinstance(value, list) else value for name, value in place.told().items()
    }


def to_spatialdata(profile: Profile) -> "SpatialData":
    """Return cells and regions as SpatialData.

    shapes["cells"], shapes["tissue"] and shapes["quality"] are outlines in level-0 px; each transforms to the
    coordinate system "um" by the slide's mpp and to "global" (px) by the identity. tables["table"] is
    `to_anndata`'s, of the shapes of the cells. Empty layers are left out.
    """
    spatialdata: Any = needed("spatialdata", "scverse")
    models: Any = needed("spatialdata.models", "scverse")
    transforms: Any = needed("spatialdata.transformations", "scverse")
    place, table = place_of(profile), to_anndata(profile)
    to_um = transforms.Scale(list(place.mpp), axes=("x", "y"))
    shapes = {}
    for name in (REGION, "tissue", "quality"):
        frame = to_geopandas(profile, name)
        if name == REGION:
            frame = frame[["cell_id", "geometry"]].set_index("cell_id", drop=True)
        elif len(frame):
            frame = frame[["region_id", "class", "area_um2", "geometry"]].set_index("region_id", drop=True)
        if len(frame):
            frame.attrs.clear()
            shapes[name] = models.ShapesModel.parse(
                frame, transformations={"global": transforms.Identity(), "um": to_um}
            )
    if REGION not in shapes:
        return spatialdata.SpatialData(shapes=shapes, attrs={"histome": place.told()})
    table = models.TableModel.parse(table, region=REGION, region_key="region", instance_key="cell_id")
    return spatialdata.SpatialData(shapes=shapes, tables={"table": table}, attrs={"histome": place.told()})


def write_anndata(profile: Profile, path: Path) -> None:
    """Write `to_anndata` as .h5ad."""
    to_anndata(profile).write_h5ad(path, compression="gzip")


def write_spatialdata(profile: Profile, path: Path) -> None:
    """Write `to_spatialdata` as a SpatialData Zarr folder."""
    to_spatialdata(profile).write(path)
