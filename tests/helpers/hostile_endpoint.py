"""A server on this machine that answers like a language model, or in every bad way that one may."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LOOP = "There are 1, " + "1, " * 40_000


def answer(text: object, **more: str) -> bytes:
    """The JSON of a chat completion with this text; `more` stands beside its message."""
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": text}, **more}]}).encode()


class Asked(BaseHTTPRequestHandler):
    """Answers a question: `act` writes the whole reply, headers included."""

    act: Callable[["Asked", int], None]
    asked: list[Any]

    def do_POST(self) -> None:
        """Keep what was asked, then answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, dict(self.headers), json.loads(body)))
        with suppress(OSError):  # the other side may have hung up, as it should
            type(self).act(self, len(self.asked) - 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(act: Callable[[Asked, int], None]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the address of a server that answers with `act`, and what it was asked."""
    asked: list[Any] = []
    handler = type("Handler", (Asked,), {"act": staticmethod(act), "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def replies(*bodies: str | bytes, status: int = 200, **headers: str) -> Callable[[Asked, int], None]:
    """Answer with each body in turn, the last one again and again; a str is a model's text."""

    def act(handler: Asked, turn: int) -> None:
        body = bodies[min(turn, len(bodies) - 1)]
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body if isinstance(body, bytes) else answer(body))

    return act


def dripped(head: Sequence[bytes], piece: bytes, seconds: float = 0.05) -> Callable[[Asked, int], None]:
    """Answer with a head, then a piece every now and then, for ever."""

    def act(handler: Asked, turn: int) -> None:
        for line in head:
            handler.wfile.write(line)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            handler.wfile.write(piece)
            handler.wfile.flush()
            time.sleep(seconds)

    return act


def _cut(handler: Asked) -> None:
    handler.wfile.write(_OK + b"Content-Length: 100\r\n\r\n{")


def _say(reply: bytes) -> Callable[[Asked, int], None]:
    return lambda handler, turn: handler.wfile.write(reply) and None


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE: dict[str, Callable[[Asked, int], None]] = {
    "slow headers": dripped([_OK], b"X-Slow: 1\r\n"),
    "slow body": dripped([_OK, b"Content-Length: 100000\r\n\r\n"], b" "),
    "500": replies("no", status=500),
    "slow 404": dripped([b"HTTP/1.1 404 Not Found\r\nContent-Length: 100000\r\n\r\n"], b" "),
    "5 MB of 404": replies(b'{"error": "' + b"no " * 1_700_000 + b'"}', status=404),
    "nested JSON of 404": replies(b"[" * 200_000, status=404),
    "401": replies("no", status=401),
    "429": replies("no", status=429),
    "redirect": replies("no", status=302, Location="http://127.0.0.1:1/v1"),
    "redirect to itself": replies("no", status=307, Location="/v1/chat/completions"),
    "nested JSON": replies(b"[" * 200_000 + b"]" * 200_000),
    "5 MB": replies("Inflammatory cells make up 69.6 %. " * 150_000),
    "500 kB": replies("Inflammatory cells make up 69.6 %. " * 15_000),
    "surrogates": replies(b'{"choices": [{"message": {"content": "\\ud83d It is \\udc00."}}]}'),
    "loop": replies(LOOP),
    "short loop": replies("There are 1, " + "1, " * 4000),
    "only thoughts": replies("<think>The patch is immune hot. " * 50),
    "cut before a sentence": replies(answer(None, finish_reason="length")),
    "HTML": replies(b"<html>"),
    "latin-1": replies("\u00e9".encode("latin-1")),
    "nothing": replies(""),
    "null": replies(b'{"choices": [{"message": {"content": null}}]}'),
    "a list": replies(b"[]"),
    "a number": replies(b'{"choices": [{"message": {"content": 7}}]}'),
    "cut off": lambda handler, turn: _cut(handler),
    "no HTTP": _say(b"hello\r\n\r\n"),
    "many headers": _say(_OK + b"X: a\r\n" * 1000 + b"\r\n"),
    "long header": _say(_OK + b"X: " + b"a" * 100_000 + b"\r\n\r\n"),
    "no chunk": _say(_CHUNKED + b"ZZZ\r\nabc\r\n"),
    "endless chunk": dripped([_CHUNKED, b"-1\r\n"], b" " * 65_536, seconds=0.0),
    "parts without a text": replies(answer([{"type": "image"}, 7, {"type": "text", "text": 7}])),
    "no address": replies("no", status=302, Location="http://["),
    "hung up": lambda handler, turn: None,
}
