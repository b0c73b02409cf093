"""Where a profile's coordinates lie: what every export says of its slide, and of px and um."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from histome.errors import OutputError
from histome.store.profile import Profile


class Place(NamedTuple):
    """The slide that coordinates refer to.

    Attributes
    ----------
    slide, file, fingerprint : str
        Its id, its file's name, the sha256 of what it holds.
    size_px : (int, int), px
        Width and height of level 0.
    mpp : (float, float), um/px
        Of level 0, x and y.
    """

    slide: str
    file: str
    fingerprint: str
    size_px: tuple[int, int]
    mpp: tuple[float, float]

    @property
    def px_to_um(self) -> list[list[float]]:
        """The affine from level-0 px to um: rows of the 3 x 3 matrix for (x, y, 1)."""
        x, y = self.mpp
        return [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]]

    def told(self) -> dict[str, Any]:
        """Return what an export says of it, in types of JSON."""
        return {
            **{name: getattr(self, name) for name in ("slide", "file", "fingerprint")},
            "size_px": list(self.size_px),
            "mpp": list(self.mpp),
            "px_to_um": self.px_to_um,
            "research_use_only": "For research use only. Not for use in diagnostic procedures.",
        }


def place_of(profile: Profile) -> Place:
    """Return where a profile lies; raises OutputError where its run.json does not say."""
    slide = profile.run.get("slide", {})
    try:
        width, height = map(int, slide["size_px"])
        mpp = float(slide["mpp"]["x"]), float(slide["mpp"]["y"])
        return Place(str(slide["id"]), str(slide["file"]), str(slide["fingerprint"]), (width, height), mpp)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{profile.path}: run.json does not say the slide's size; profile it again"
        ) from error


def class_name(name: str) -> str:
    """Return a class as people and the published readouts write it: `carcinoma_cell` is "Carcinoma cell"."""
    return name.replace("_", " ").capitalize()


def write_place(place: Place, path: Path) -> None:
    """Write what an export says of its place as JSON."""
    path.write_text(json.dumps(place.told(), indent=1) + "\n", encoding="utf-8")
