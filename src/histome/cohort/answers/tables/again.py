"""Several slides of a patient as one: their maps and cells laid side by side, measured again as one slide."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from histome.config import Config
from histome.errors import DataError
from histome.metrics import measure
from histome.slide import ClassMap
from histome.store.profile import Profile
from histome.tissue import Tissue
from histome.tissue.zones import zone_rule

# Farther than any metric looks: twice the margins of 500 um, and the tiles of 1,000 um.
_GAP_UM = 2000.0
# Of what the pixels of one slide say; other slides beside it do not change it.
OF_ONE_SLIDE = ("qc-areas", "scan")


def measured_together(profiles: Sequence[Profile], *, workers: int | None = None) -> pa.Table:
    """Return the metrics table of slides measured as one, see `measure`; nulls in `OF_ONE_SLIDE`.

    Raises DataError where their maps have different resolutions or classes.
    """
    maps = [profile.tissue.map for profile in profiles]
    alike = {(each.mpp, each.classes) for each in maps}
    if len(alike) > 1:
        names = ", ".join(profile.path.name for profile in profiles)
        raise DataError(f"{names}: their maps have different resolutions; pool them by their numbers")
    config = _config(profiles[0])
    whole, shifts_um = _side_by_side(maps)
    cells = [_shifted(profile.cells, shift) for profile, shift in zip(profiles, shifts_um, strict=True)]
    together = pa.concat_tables(cells, promote_options="permissive")
    tissue = Tissue.of(whole, rule=zone_rule(config.tissue), workers=workers or 1)
    return measure(tissue, together, config=config.metrics, workers=workers)


def _config(profile: Profile) -> Config:
    """Return what a profile was measured with; edits are in its cells already."""
    kept = profile.run.get("config") or {}
    groups = {name: kept[name] for name in ("tissue", "metrics") if isinstance(kept.get(name), dict)}
    groups["metrics"] = {**groups.get("metrics", {}), "edits": None}
    return Config.model_validate_json(json.dumps(groups))


def _side_by_side(maps: Sequence[ClassMap]) -> tuple[ClassMap, list[float]]:
    """Return one map of several, a gap of no tissue between them, and where each begins, um.

    A last column or row of which the slide covers a part counts whole here.
    """
    mpp = maps[0].mpp
    gap = round(_GAP_UM / mpp)
    starts = np.cumsum([0, *(each.array.shape[1] + gap for each in maps[:-1])])
    height = max(each.array.shape[0] for each in maps)
    array = np.zeros((height, int(starts[-1]) + maps[-1].array.shape[1]), np.uint8)
    for each, start in zip(maps, starts.tolist(), strict=True):
        rows, columns = each.array.shape
        array[:rows, start : start + columns] = each.array
    return ClassMap(array, mpp, maps[0].classes), [float(start) * mpp for start in starts]


def _shifted(cells: pa.Table, by_um: float) -> pa.Table:
    """Return cells moved to the right; outlines and what was read off their own slide stay behind."""
    left = ("bbox", "geometry", "slide", "cell_id", "x", "y")
    table = cells.drop_columns([name for name in left if name in cells.column_names])
    place = table.schema.get_field_index("x_um")
    moved = pa.array(table["x_um"].to_numpy() + by_um)
    texts = table.set_column(place, "x_um", moved)
    for number, field in enumerate(texts.schema):
        if pa.types.is_dictionary(field.type):
            column = texts[field.name].cast(pa.string())
            texts = texts.set_column(
                number, pa.field(field.name, pa.string(), metadata=field.metadata), column
            )
    return texts
