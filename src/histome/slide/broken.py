"""The record of what could not be decoded."""

import threading

from histome.slide.tiles import Box


class BrokenTiles:
    """Tiles that could not be decoded: read as white, never silently. Safe to share between threads."""

    def __init__(self) -> None:
        """Start with nothing broken."""
        self._reasons: dict[tuple[int, Box], str] = {}
        self._lock = threading.Lock()

    def add(self, level: int, box: Box, reason: str) -> None:
        """Record a tile of a level by its box in level-0 px; the same tile counts once."""
        with self._lock:
            self._reasons.setdefault((level, box), reason)

    def __len__(self) -> int:
        """Return the number of broken tiles met so far, over all levels."""
        return len(self._reasons)

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Their boxes in level-0 px, in order of level, y, x."""
        with self._lock:
            found = sorted(self._reasons, key=lambda key: (key[0], key[1].y0, key[1].x0))
        return tuple(box for _, box in found)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The different reasons given, sorted."""
        with self._lock:
            return tuple(sorted(set(self._reasons.values())))
