"""What does it say? Text that says nothing the numbers do not.

`Facts` are what a text may rest on, `write` makes a `Narrative` of them, `verify` checks any text by them.
"""

from typing import TYPE_CHECKING

from histome.faces import opened

if TYPE_CHECKING:
    from histome.narrative.facts import Facts, ModelNotes
    from histome.narrative.sentences import Narrative, Sentence, Source
    from histome.narrative.verifier import Checked, Claim, Tally, Verdict, verify
    from histome.narrative.writers.table import WRITERS
    from histome.narrative.writers.verified import write

__all__ = [
    "WRITERS",
    "Checked",
    "Claim",
    "Facts",
    "ModelNotes",
    "Narrative",
    "Sentence",
    "Source",
    "Tally",
    "Verdict",
    "verify",
    "write",
]
__getattr__ = opened(__name__, __file__)
