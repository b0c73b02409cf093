"""A profile as a picture: its class maps and cells, in mm, with a legend."""

from typing import TYPE_CHECKING, Any

import numpy as np

from histome.cells.table import class_codes, counted_cells
from histome.classes import CELL_CLASSES
from histome.colors import CELL_COLORS, MAP_COLORS, rgb
from histome.errors import UsageError
from histome.exports.extra import needed
from histome.exports.place import class_name, place_of
from histome.names import shown
from histome.slide import ClassMap
from histome.store.profile import Profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAPS = ("tissue", "quality", "zones")
_MOST_PX = 2000
_ALPHA = 0.6


def plot_profile(
    profile: Profile, layers: tuple[str, ...] = ("tissue", "cells"), *, axes: "Axes | None" = None
) -> "Axes":
    """Draw layers one over the other, "tissue", "quality", "zones" and "cells", and return matplotlib's axes.

    x and y are mm from the slide's upper left corner, y down.
    """
    unknown = [name for name in layers if name not in (*_MAPS, "cells")]
    if unknown:
        raise UsageError(f"no layer {unknown[0]!r}; choose from {', '.join((*_MAPS, 'cells'))}")
    pyplot: Any = needed("matplotlib.pyplot", "exports")
    place = place_of(profile)
    panel = axes if axes is not None else pyplot.subplots(figsize=(9, 7), layout="constrained")[1]
    for name in layers:
        _draw_cells(panel, profile) if name == "cells" else _draw_map(panel, _map(profile, name))
    width, height = (side * mpp / 1000 for side, mpp in zip(place.size_px, place.mpp, strict=True))
    panel.set(xlim=(0, width), ylim=(height, 0), xlabel="mm", ylabel="mm", aspect="equal")
    panel.set_title(shown(place.slide)[:80].replace("$", r"\$"))
    panel.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, markerscale=4)
    return panel


def _map(profile: Profile, name: str) -> ClassMap:
    if name == "quality":
        return profile.quality.map
    return profile.tissue.map if name == "tissue" else profile.tissue.zones


def _draw_map(axes: Any, drawn: ClassMap) -> None:
    step = max(1, -(-max(drawn.array.shape) // _MOST_PX))
    codes = drawn.array[::step, ::step]
    colors = np.zeros((256, 4), np.uint8)
    for code, name in enumerate(drawn.classes, start=1):
        if name != "NO_TISSUE":
            colors[code] = (*rgb(MAP_COLORS[name]), round(255 * _ALPHA))
            if (codes == code).any():
                axes.plot([], [], "s", color=MAP_COLORS[name], alpha=_ALPHA, ms=2, label=class_name(name))
    height, width = (side * step * drawn.mpp / 1000 for side in codes.shape)
    axes.imshow(colors[codes], extent=(0, width, height, 0), interpolation="nearest")


def _draw_cells(axes: Any, profile: Profile) -> None:
    cells = counted_cells(profile.cells)
    codes = class_codes(cells)
    x, y = (cells[name].to_numpy() / 1000 for name in ("x_um", "y_um"))
    size = float(np.clip(20_000 / max(len(codes), 1), 0.1, 6))
    for code, name in enumerate(CELL_CLASSES):
        mine = codes == code
        if mine.any():
            label = f"{class_name(name)} ({mine.sum():,})"
            axes.scatter(x[mine], y[mine], s=size, color=CELL_COLORS[name], lw=0, label=label)
