"""What an importer gives: a network that keeps one of our contracts, and what its card says."""

from dataclasses import dataclass, field

from torch import nn

from histome.models.card import Basins, PixelVotes, Thresholds
from histome.models.importers.classes import ForeignClasses
from histome.models.tasks import Task


@dataclass(frozen=True)
class Imported:
    """A network of others in our form.

    Attributes
    ----------
    module : nn.Module
        uint8 (1, window, window, 3) -> the outputs of the task.
    outputs : tuple of str
        Their names, in its order.
    mpp, window_px, halo_px, stride, n_rays, thresholds, votes, basins
        As in a card.
    classes : ForeignClasses
        Its classes and what they count as.
    citation : str
        Whom to name.
    """

    module: nn.Module
    task: Task
    outputs: tuple[str, ...]
    mpp: float
    window_px: int
    halo_px: int
    classes: ForeignClasses
    citation: str
    stride: int = 1
    n_rays: int = 32
    thresholds: Thresholds = field(default_factory=Thresholds)
    votes: PixelVotes | None = None
    basins: Basins | None = None
