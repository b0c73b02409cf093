"""JSON files of other programs, gzipped or not."""

import gzip
import json
from pathlib import Path
from typing import Any

from histome.errors import HistomeError

_MAX_BYTES = 8 * 2**30


def load_json(path: Path) -> Any:
    """Load a JSON file, gzipped or not; raises HistomeError when it cannot be read, is huge, or too deep."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise HistomeError(f"{path} is larger than {_MAX_BYTES >> 30} GiB: convert it to Parquet.")
        with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise HistomeError(f"{path} unpacks to more than {_MAX_BYTES >> 30} GiB.")
        return json.loads(data)
    except (OSError, EOFError) as error:
        raise HistomeError(f"{path}: cannot be read ({error}).") from error
    except (ValueError, RecursionError) as error:
        raise HistomeError(f"{path}: not valid JSON ({error}).") from error
