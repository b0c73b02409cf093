"""An OpenAI-compatible endpoint: one question, one answer, within a time and a size."""

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import (
    BadStatusLine,
    HTTPConnection,
    HTTPException,
    HTTPSConnection,
    IncompleteRead,
    InvalidURL,
    RemoteDisconnected,
    UnknownProtocol,
)
from queue import Empty, SimpleQueue
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from histome.narrative.writers.language_models import CutText, WriterError, messages

API_KEY = "HISTOME_API_KEY"
_MOST_BYTES, _PIECE_BYTES = 1_000_000, 65_536
_SHOWN = 200  # characters of what an endpoint says of an error
_SECRET = re.compile(r"key|bearer|passw|secret|credential|authori[sz]ation|\bsk-|[?&]\w+=|://[^\s/]*@", re.I)
_MASK = "[masked]"  # no mark of emphasis, which a text is freed of
_KEY_PART = 6  # characters of the key in a row that nothing told may hold
_UNREACHED: dict[type[BaseException], str] = {  # the first that fits
    socket.gaierror: "the name of the host is not known",
    ssl.SSLCertVerificationError: "the certificate is not accepted",
    ssl.SSLError: "it does not speak TLS as an https address does",
    ConnectionRefusedError: "connection refused",
}


def ask_endpoint(
    turns: Sequence[str], endpoint: str, model: str, *, timeout_s: float = 60.0, max_tokens: int = 600
) -> str:
    """Return what an OpenAI-compatible endpoint writes.

    The key, if any, is read from the environment variable HISTOME_API_KEY and is neither logged nor sent on
    by a redirect; in what a server answers it is masked. What a server says of an error is told in one line,
    unless it speaks of keys or passwords. A text that ended at `max_tokens` is a `CutText`.

    Parameters
    ----------
    turns : sequence of str
        The prompt; then, in turn, what the model wrote and what it is answered.
    endpoint : str
        Base address such as http://localhost:8000/v1; `/chat/completions` is added.
    timeout_s : float, s
        From the first byte sent to the last one read.

    Raises
    ------
    WriterError
        No whole answer in time, an error, an answer of over a megabyte or a strange one.
    """
    body = {"model": model, "messages": messages(turns), "temperature": 0, "max_tokens": max_tokens}
    headers = {"Content-Type": "application/json"}
    if key := _key():
        if not key.isascii() or not key.isprintable():
            raise WriterError(f"the key in {API_KEY} holds characters that no header can carry")
        headers["Authorization"] = f"Bearer {key}"
    try:
        request = Request(f"{endpoint.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        request.full_url.encode("ascii")
        urlsplit(request.full_url).netloc.encode("idna")
    except ValueError:
        raise WriterError("the endpoint's address is not valid") from None
    try:
        reply = _Call(request, timeout_s, model).answer()
    except (HTTPException, OSError, ValueError) as error:
        raise WriterError(_why(error, timeout_s)) from None
    try:
        choice = json.loads(reply.decode("utf-8"))["choices"][0]
        text = _masked(_text(choice["message"]["content"])).strip()
        return CutText(text) if choice.get("finish_reason") == "length" else text
    except (ValueError, LookupError, TypeError, RecursionError):
        raise WriterError("the endpoint's answer is not that of an OpenAI-compatible server") from None


def _text(content: Any) -> str:
    """Return the text of a message, which may come as a list of parts; empty where there is none."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
    return "".join(_text(part.get("text")) for part in parts)


def _key() -> str:
    return os.environ.get(API_KEY, "").strip()


def _masked(text: str) -> str:
    """Return a text of a server's with the key masked, also one escaped as JSON or addresses do.

    A key of few characters ("none") is masked where it is a word of its own.
    """
    codes = [(re.escape(sign), f"{ord(sign):02x}") for sign in _key()]
    if not codes:
        return text
    key = "".join(rf"(?:\\u00{code}|%{code}|\\?{sign})" for sign, code in codes)
    if len(codes) < _KEY_PART:
        key = rf"(?<!\w){key}(?!\w)"
    return re.sub(key, _MASK, text, flags=re.I)


def _why(error: Exception, timeout_s: float) -> str:
    """Return why there is no answer that can be read, in words of ours."""
    match error:
        case InvalidURL():
            return "the endpoint's address is not valid"
        case URLError() if not isinstance(error.reason, TimeoutError):
            name = type(error.reason).__name__
            words = (words for kind, words in _UNREACHED.items() if isinstance(error.reason, kind))
            return f"the endpoint cannot be reached: {next(words, name)}"
        case RemoteDisconnected():
            return "the endpoint closed the connection without an answer"
        case TimeoutError() | URLError():
            return _late(timeout_s)
        case OSError():
            return f"the connection to the endpoint broke ({type(error).__name__})"
        case IncompleteRead():
            told = "its end is missing, or a piece of it has no length"
        case BadStatusLine() | UnknownProtocol():
            told = "it does not begin as HTTP does"
        case HTTPException():
            told = str(error)  # http.client's own words: how many headers, how long a line
        case _:
            told = type(error).__name__
    return f"the endpoint answered, but not in HTTP that can be read: {told}"


def _refusal(error: HTTPError, model: str) -> str:
    """Return what an answer that is an error says: its number, for which model, the reason, what to do."""
    reason = ""
    with error, suppress(Exception):  # whatever is wrong with its reason, the number is told
        reason = _reason(json.loads(_read(error)))
    told = "; ".join(filter(None, [reason, _advice(error.code)]))
    return f"the endpoint answered {error.code} for the model {model!r}" + (f": {told}" if told else "")


def _advice(code: int) -> str:
    """Return what an error's number means to who set the endpoint; empty where it says nothing more."""
    match code:
        case 301 | 302 | 303 | 307 | 308:
            return "redirects are not followed, give the final address"
        case 401 | 403 if _key():
            return f"it refuses access with the key of {API_KEY}"
        case 401 | 403:
            return f"it refuses access, and {API_KEY} is not set"
        case 429:
            return "it limits requests, try again later"
    return ""


def _reason(document: Any) -> str:
    """Return the first line of an error's message; empty where there is none, or it may hold a secret."""
    for name in ("error", "detail", "message"):  # the first may hold the last
        if isinstance(document, dict):
            document = document.get(name, document)
    if not isinstance(document, str) or not document.strip():
        return ""
    line = _masked(document.strip().splitlines()[0])
    line = "".join(sign if sign.isprintable() else " " for sign in line)
    key = _key().casefold()
    parts = {key[k : k + _KEY_PART] for k in range(max(1, len(key) - _KEY_PART + 1))} - {""}
    if _SECRET.search(line) or any(part in line.casefold() for part in parts):
        return ""
    return " ".join(line.split())[:_SHOWN].rstrip(" .")


def _late(timeout_s: float) -> str:
    return f"the endpoint gave no whole answer in {timeout_s:g} s"


class _Call:
    """A request in a thread of its own: the timeout of a socket is for each read: a drip outlasts it."""

    def __init__(self, request: Request, timeout_s: float, model: str) -> None:
        self.request, self.timeout_s, self.model = request, timeout_s, model
        self.connections: list[HTTPConnection] = []
        self.outcome: SimpleQueue[bytes | Exception] = SimpleQueue()

    def answer(self) -> bytes:
        """Return the bytes of the answer; raises what the request raises, WriterError after the time."""
        threading.Thread(target=self._ask, daemon=True).start()
        try:
            outcome = self.outcome.get(timeout=self.timeout_s)
        except Empty:
            self._hang_up()
            raise WriterError(_late(self.timeout_s)) from None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _ask(self) -> None:
        try:
            opener = build_opener(_NoRedirect(), _Plain(self.connections), _Secure(self.connections))
            with opener.open(self.request, timeout=self.timeout_s) as reply:
                self.outcome.put(_read(reply))
        except HTTPError as error:
            self.outcome.put(WriterError(_refusal(error, self.model)))
        except Exception as error:  # whatever it is, the thread that asked has to know
            self.outcome.put(error)

    def _hang_up(self) -> None:
        """End the reads of the thread that waits."""
        for connection in self.connections:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)


def _read(reply: Any) -> bytes:
    """Return the bytes of a reply, read in small pieces: a chunk of length -1 has no end."""
    text = bytearray()
    while piece := reply.read1(_PIECE_BYTES):
        text += piece
        if len(text) > _MOST_BYTES:
            raise WriterError(f"the endpoint's answer is larger than {_MOST_BYTES} bytes")
    if reply.length:  # what the Content-Length promised and read1 does not miss
        raise WriterError(f"the endpoint's answer was cut off: {reply.length} bytes of it are missing")
    return bytes(text)


def _kept(made: Callable[..., HTTPConnection], opened: list[HTTPConnection]) -> Callable[..., HTTPConnection]:
    """Return a way to make connections that keeps those that it made."""

    def connect(*args: Any, **options: Any) -> HTTPConnection:
        opened.append(made(*args, **options))
        return opened[-1]

    return connect


class _Plain(HTTPHandler):
    """Keeps the connections that it opens."""

    def __init__(self, opened: list[HTTPConnection]) -> None:
        super().__init__()
        self.opened = opened

    def http_open(self, req: Request) -> Any:
        """Open and keep the connection."""
        return self.do_open(_kept(HTTPConnection, self.opened), req)  # type: ignore[arg-type]


class _Secure(HTTPSHandler):
    """Keeps the connections that it opens."""

    def __init__(self, opened: list[HTTPConnection]) -> None:
        super().__init__()
        self.opened = opened

    def https_open(self, req: Request) -> Any:
        """Open and keep the connection."""
        return self.do_open(_kept(HTTPSConnection, self.opened), req)  # type: ignore[arg-type]


class _NoRedirect(HTTPRedirectHandler):
    """A redirect is an error, its address unread: it would carry the key to another host."""

    def http_error_302(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any) -> None:
        """Follow none."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302
