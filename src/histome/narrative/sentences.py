"""What a narrative is: sentences, each with the numbers that it rests on, and how it came to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from histome.errors import OutputError


class Source(NamedTuple):
    """What a sentence rests on.

    `name` is a metric's name, the path of a value in the facts (`raw_data.count_Dead`) or of an entry in a
    model's card; `value` is unrounded, as stored; `text` is how the sentence prints it, empty where it does
    not.
    """

    name: str
    value: float | str | None
    unit: str = ""
    text: str = ""


class Sentence(NamedTuple):
    """One sentence; `topic` groups sentences into paragraphs ("composition", "immune", "uncertain" ...)."""

    text: str
    sources: tuple[Source, ...]
    topic: str = ""


class Dropped(NamedTuple):
    """A sentence that is not shown, or a claim that made a whole text be refused, and why."""

    text: str
    reason: str


_TALLY = ("supported", "contradicted", "not_checkable")


@dataclass(frozen=True)
class Narrative:
    """Sentences about one slide or patch.

    `asked` is the writer that was asked for, `writer` the one whose sentences these are. Of the sentences
    that `asked` wrote, `supported`, `contradicted` and `not_checkable` are as many as the verifier calls so.
    `claims` were read in them, a sentence that cannot be read counting as one; `unsupported` of them are not
    supported. `dropped` says which sentences went and why; `note` tells in a line where the grounded text
    stands in for another writer's; else it is empty.
    """

    sentences: tuple[Sentence, ...]
    asked: str = "grounded"
    writer: str = "grounded"
    claims: int = 0
    unsupported: int = 0
    supported: int = 0
    contradicted: int = 0
    not_checkable: int = 0
    dropped: tuple[Dropped, ...] = ()
    note: str = ""

    @property
    def text(self) -> str:
        """The sentences as one paragraph."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def hallucination_rate(self) -> float | None:
        """Sentences of the asked writer that are not supported / all of them; None where it wrote none."""
        checked = self.supported + self.contradicted + self.not_checkable
        return 1 - self.supported / checked if checked else None

    def to_json(self) -> dict[str, Any]:
        """Return the narrative as plain Python, ready for a JSON file."""
        return {
            "text": self.text,
            "asked": self.asked,
            "writer": self.writer,
            "claims": self.claims,
            "unsupported": self.unsupported,
            **{name: getattr(self, name) for name in _TALLY},
            "hallucination_rate": self.hallucination_rate,
            "note": self.note,
            "sentences": [
                {"text": s.text, "topic": s.topic, "sources": [source._asdict() for source in s.sources]}
                for s in self.sentences
            ],
            "dropped": [dropped._asdict() for dropped in self.dropped],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Narrative":
        """Return the narrative that `to_json` gave; raises OutputError for anything else."""
        try:
            sentences = tuple(
                Sentence(s["text"], tuple(Source(**source) for source in s["sources"]), s["topic"])
                for s in content["sentences"]
            )
            kept = {
                name: content[name] for name in ("asked", "writer", "claims", "unsupported", "note", *_TALLY)
            }
            return cls(sentences, dropped=tuple(Dropped(**d) for d in content["dropped"]), **kept)
        except (KeyError, TypeError) as error:
            raise OutputError(
                f"not a narrative that histome wrote ({error}); profile the slide again"
            ) from error


def listed(words: Sequence[str], last: str = "and") -> str:
    """Return words as a list of a sentence: a, b and c."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
