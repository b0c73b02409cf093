"""The one who looks: opens each file named on stdin as `histome info` and a report do, and says what came.

Run by `watch.Watched`, which bounds its time and memory from outside. One JSON object a line on stdout.
"""

import json
import sys
import warnings
from pathlib import Path

from histome.cli.info import _facts  # pyright: ignore[reportPrivateUsage]
from histome.errors import HistomeError
from histome.slide import open_slide
from histome.slide.reader import Slide


def look(path: Path) -> tuple[str, str]:
    """Return the outcome and what there is to say of it."""
    try:
        with warnings.catch_warnings(record=True) as said, open_slide(path, mpp=0.5) as slide:
            see(slide)
            broken = len(slide.broken)
    except HistomeError as error:
        text = str(error)
        return ("refused", text) if "\n" not in text and path.name in text else ("traceback", repr(text))
    except Exception as error:
        return "traceback", repr(error)[:300]
    if said:
        return "traceback", f"a warning: {said[0].message}"
    return ("broken tiles", str(broken)) if broken else ("read", "")


def see(slide: Slide) -> None:
    """Read all that is printed, an overview, the corners in full resolution and the middle of each level."""
    if not all(value for _, value in _facts(slide)[:5]):
        raise ValueError("a fact is missing")
    slide.thumbnail(256)
    width, height = slide.size_px
    for x, y in ((-5, -5), (width - 40, height - 40)):
        slide.read(x, y, size=(64, 64))
    for level in slide.reader.levels:
        slide.read(width / 2, height / 2, size=(50, 40), mpp=slide.mpp.x * level.downsample)


def serve() -> None:
    """Answer one line for each line until stdin ends."""
    print(json.dumps(["ready", ""]), flush=True)
    for line in sys.stdin:
        print(json.dumps(look(Path(json.loads(line)))), flush=True)


if __name__ == "__main__":
    serve()
