"""A page read as a browser would: tags, numbers, visible words."""

import re
from html.parser import HTMLParser

from histome.config import ReportConfig

CONFIG = ReportConfig(thumbnail_px=400, field_um=150.0)
HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)<'
VOID = {"meta", "img", "input", "link", "br", "hr", "wbr"}


class Page(HTMLParser):
    """Collects tags, the numbers on the page, the visible text, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def words(self) -> str:
        return " ".join(re.split(r"[ \n]+", " ".join(self.text)))
