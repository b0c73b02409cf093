"""A profile on disk: the files of each stage, the runner that writes them, the profile that reads them."""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.store.files import Files
    from histome.store.graph import Stage
    from histome.store.lock import FolderLock
    from histome.store.profile import Profile, load_profile
    from histome.store.runner import Progress, Run

__all__ = ["Files", "FolderLock", "Profile", "Progress", "Run", "Stage", "load_profile"]
__getattr__ = opened(__name__, __file__)
