"""Where compiled functions are kept between runs.

numba keeps them beside the source, or in the user's cache where the package is read-only. Where neither can
be written (a container with a read-only image and no home) it refuses to import: then they live as long as
the process.
"""

import os
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def keep_compiled_somewhere(package: Path) -> None:
    """Name a private temporary folder to numba when neither the package nor the user's cache can be written.

    To be called before numba is imported; a folder that the user named is left alone.
    """
    if VARIABLE in os.environ or _writable(package) or _writable(_user_cache()):
        return
    import atexit
    import shutil
    import tempfile

    # Fresh and private: cached code is run, so a folder that others could have made is never trusted.
    folder = tempfile.mkdtemp(prefix="histome-compiled-")
    os.environ[VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))


def _writable(folder: Path) -> bool:
    """Whether the folder can be written, or made in the nearest one that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)
