"""The record of what could not be decoded."""

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histome.slide.tiles import Box


def broken_tiles_line(count: int, share: float | None) -> str:
    """Say how many tiles could not be read and, where known, what share of the tissue (0-1) lies in them."""
    of_tissue = "" if share is None else f", with {100 * share:.2g} % of the tissue"
    tiles = "1 broken tile" if count == 1 else f"{count:,} broken tiles"
    return f"{tiles} could not be read{of_tissue}: counted as no tissue"


class BrokenTiles:
    """Tiles that could not be decoded: read as white, never silently. Safe to share between threads."""

    def __init__(self) -> None:
        """Start with nothing broken."""
        self._reasons: dict[tuple[int, Box], str] = {}
        self._lock = threading.Lock()

    def add(self, level: int, box: "Box", reason: str) -> None:
        """Record a tile of a level by its box in level-0 px; the same tile counts once."""
        with self._lock:
            self._reasons.setdefault((level, box), reason)

    def __len__(self) -> int:
        """Return the number of broken tiles met so far, over all levels."""
        return len(self._reasons)

    def since(self, count: int) -> "list[tuple[int, Box, str]]":
        """Return level, box and reason of each but the first `count`, in the order of their meeting."""
        with self._lock:
            return [(*key, reason) for key, reason in list(self._reasons.items())[count:]]

    @property
    def boxes(self) -> "tuple[Box, ...]":
        """Their boxes in level-0 px, in order of level, y, x."""
        with self._lock:
            found = sorted(self._reasons, key=lambda key: (key[0], key[1].y0, key[1].x0))
        return tuple(box for _, box in found)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The different reasons given, sorted."""
        with self._lock:
            return tuple(sorted(set(self._reasons.values())))
