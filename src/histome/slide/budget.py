"""The one budget of memory: what a file claims is held against it before anything is allocated."""

from pathlib import Path

from histome.errors import SlideError

# What an image that is held in memory may take, its decoder's own buffers included.
MEMORY_BYTES = 2_000_000_000
# What decoding one tile may take: as many are decoded at once as there are threads.
TILE_BYTES = 200_000_000
# Beyond what any may have, a file may ask for memory in proportion to its size: slides decode to
# 3 to 200 times theirs, blank ones to 1,000 times.
_FLOOR_BYTES = 64_000_000
_PER_FILE_BYTE = 500


def allowance(path: Path, limit: int = MEMORY_BYTES) -> int:
    """Return the bytes of memory that a file may ask for."""
    return min(limit, _FLOOR_BYTES + _PER_FILE_BYTE * path.stat().st_size)


def check_memory(path: Path, size_px: tuple[int, int], needed: int) -> None:
    """Raise SlideError where an image to be held in memory needs more bytes than its file may ask for."""
    allowed = allowance(path)
    if needed > allowed:
        width, height = size_px
        raise SlideError(
            f"{path.name} claims {width} x {height} px in one piece, {megabytes(needed)} of memory "
            f"(limit for this file {megabytes(allowed)}); convert it to a tiled pyramidal TIFF."
        )


def megabytes(count: int) -> str:
    """Return a number of bytes in MB or GB, in words."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB"
