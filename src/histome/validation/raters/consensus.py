"""What most raters said of each item."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histome.validation.raters.alpha import counts_of
from histome.validation.raters.votes import MISSING, UNSURE, Votes

# Why an item has no consensus.
REASONS = ("", "tie", "mostly unsure", "too few votes")


@dataclass(frozen=True, eq=False)
class Consensus:
    """The label of each item that most votes name.

    Attributes
    ----------
    codes : (n,) int16
        Place in the labels of the votes; `MISSING` where there is no consensus.
    reason : (n,) uint8
        Place in `REASONS`: "" where there is a consensus.
    votes : (n,) int64
        Number of votes, the unsure ones included.
    """

    codes: NDArray[np.int16]
    reason: NDArray[np.uint8]
    votes: NDArray[np.int64]

    def excluded(self) -> dict[str, int]:
        """How many items have no consensus, for each reason."""
        return {name: int((self.reason == k).sum()) for k, name in enumerate(REASONS) if k}


def consensus_of(
    votes: Votes, condition: str, *, leave_out: str | None = None, at_least: int = 1
) -> Consensus:
    """Return the label with the most votes; ties, `unsure` with the most votes and too few votes have none.

    Parameters
    ----------
    leave_out : str or None
        A rater who does not vote: who is scored against the others' consensus.
    at_least : int
        Votes that an item needs, the unsure ones included.
    """
    codes = votes.codes[condition]
    if leave_out is not None:
        codes = np.delete(codes, votes.raters.index(leave_out), axis=1)
    counts = np.column_stack([counts_of(codes, len(votes.labels)), (codes == UNSURE).sum(1)])
    number, most = counts.sum(1), counts.max(1)
    winner = counts.argmax(1)
    reason = np.where(winner == len(votes.labels), 2, 0)
    reason[(counts == most[:, None]).sum(1) > 1] = 1
    reason[number < max(at_least, 1)] = 3
    found = np.where(reason == 0, winner, MISSING).astype(np.int16)
    return Consensus(found, reason.astype(np.uint8), number)
