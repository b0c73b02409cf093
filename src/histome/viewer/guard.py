"""Who may ask: this machine's own browser, with the token, for this address; and what a page may load."""

import hmac
from collections.abc import Iterable, MutableMapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A lasso round a million cells is 20 MB of rows.
MOST_BYTES = 32_000_000
# Styles and scripts are files of the package, pictures its own or made in the page; nothing from elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets an ASGI application see only requests for its own address that begin with the token.

    A page of another site that the same browser shows has neither: its requests name another origin, and one
    whose name was bound to 127.0.0.1 meanwhile (DNS rebinding) names another host.

    Parameters
    ----------
    token : str
        First part of every path.
    hosts : iterable of str
        What the header Host may say.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        self._app, self._token, self._hosts = app, token.encode(), frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            status, reason = self._refusal(scope)
            app = JSONResponse({"error": reason}, status) if reason else self._app
            await app(self._within(scope), receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str]:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "") not in self._hosts:
            return 421, "this server answers to 127.0.0.1 only"
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in self._hosts:
            return 403, "not from another page"
        token = scope["path"].split("/")[1] if scope["path"].count("/") > 1 else ""
        if not hmac.compare_digest(token.encode(), self._token):
            return 403, "open the whole address that histome view printed: its token is missing or old"
        return self._refused_body(scope, headers)

    def _refused_body(self, scope: Scope, headers: MutableMapping[str, str]) -> tuple[int, str]:
        if scope["method"] in ("GET", "HEAD"):
            return 200, ""
        if headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return 415, "send JSON"
        length = headers.get("content-length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            return 413, f"send at most {MOST_BYTES:,} bytes, and say how many"
        return 200, ""

    def _within(self, scope: Scope) -> Scope:
        path = "/" + scope["path"].split("/", 2)[-1]
        return {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}


def _with_headers(send: Send) -> Send:
    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            given: list[Any] = list(message.get("headers", ()))
            own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
            message = {**message, "headers": [*given, *own]}
        await send(message)

    return answer
