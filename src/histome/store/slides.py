"""The slide that a profile was made of, found again: a profile does not say where it lies."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from histome.errors import HistomeError
from histome.slide import Slide, open_slide
from histome.store.profile import Profile


def find_slide(profile: Profile, places: Sequence[Path]) -> tuple[Slide | None, str]:
    """Return the opened slide that a profile was made of, or None and why there is none.

    `places` are slides or folders; what has the name but is not the very slide that was measured is none.
    """
    facts = profile.run["slide"]
    reason = f"{facts['file']} was not found"
    for path in _candidates(str(facts["file"]), places):
        try:
            mpp = facts["mpp"]
            given = mpp["x"] if mpp["x"] == mpp["y"] else None
            slide = open_slide(path, mpp=given, allow_estimated_mpp=True)
        except HistomeError as error:
            reason = str(error)
            continue
        if slide.fingerprint() == facts["fingerprint"]:
            return slide, ""
        slide.close()
        reason = f"{facts['file']} is another slide than the one that was measured, or was changed"
    return None, reason


def profile_places(folder: Path) -> tuple[Path, Path]:
    """Return where the slides of a folder of profiles are looked for unasked: in it, and in the one above."""
    return folder, folder.resolve().parent


def _candidates(name: str, places: Sequence[Path]) -> Iterator[Path]:
    if name in ("", ".", "..") or Path(name).name != name:
        return
    for place in places:
        path = place / name if place.is_dir() else place
        if path.name == name and path.is_file():
            yield path
