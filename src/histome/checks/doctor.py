"""Is this installation right? Python, libraries, models and processors are looked at."""

import importlib
import platform
from collections.abc import Callable
from typing import NamedTuple

from histome.config import RuntimeConfig
from histome.errors import HistomeError
from histome.threads import available_cpus

# Imported by the checks under the name that they are installed by.
_LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "cv2": "opencv-python-headless",
    "shapely": "shapely",
    "pyarrow": "pyarrow",
    "tifffile": "tifffile",
    "imagecodecs": "imagecodecs",
    "openslide": "openslide-python",
    "zarr": "zarr",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "numba": "numba",
}


class Finding(NamedTuple):
    """One thing looked at: whether it is as it should be, and what was seen."""

    name: str
    fine: bool
    text: str


def examine() -> list[Finding]:
    """Look at Python, the libraries, the models and the processors; nothing is written, no network asked."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("Python", platform.python_version),
        *((package, lambda name=name: _library(name)) for name, package in _LIBRARIES.items()),
        ("OpenSlide", _openslide),
        ("CPUs allowed", lambda: str(available_cpus())),
        ("inference", _inference),
        *((f"model {name}", lambda name=name: _model(name)) for name in ("tissue", "nuclei")),
    ]
    return [_check(name, look) for name, look in checks]


def _check(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (ImportError, OSError, AttributeError, RuntimeError, HistomeError) as error:
        return Finding(name, False, " ".join(f"{type(error).__name__}: {error}".split()))


def _library(module: str) -> str:
    from importlib.metadata import version

    from histome.models.runtime import import_openvino

    import_openvino() if module == "openvino" else importlib.import_module(module)
    return version(_LIBRARIES[module])


def _openslide() -> str:
    import openslide

    return openslide.__library_version__


def _inference() -> str:
    """Say which processor and number format the networks would run in."""
    from histome.models.runtime import import_openvino

    core = import_openvino().Core()
    able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return f"OpenVINO on {core.get_property('CPU', 'FULL_DEVICE_NAME')} ({', '.join(able)})"


def _model(name: str) -> str:
    from histome.models.registry import arithmetic, find_model
    from histome.models.runtime import read_weights

    card = find_model(name)
    size, running = len(read_weights(card)) / 1e6, " ".join(arithmetic(card, RuntimeConfig()).values())
    return f"{card.description} ({size:.1f} MB, sha256 as in its card; runs here by {running})"
