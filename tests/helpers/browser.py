"""Headless Chromium over the DevTools protocol: enough of it to use a page as a person does."""

import base64
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pytest

# No graphics card: WebGL in software. No sandbox: as root there is none.
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)


def find_chromium() -> str:
    """Return a Chromium's path; skips the test where there is none, or nothing to drive it with."""
    pytest.importorskip("websocket", reason="websocket-client drives the browser")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


class Browser:
    """One page of a Chromium of its own: `with Browser() as page: page.open(address)`."""

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        import websocket

        self._home = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        size = f"--window-size={width},{height}"
        folder = f"--user-data-dir={self._home.name}"
        self._process = subprocess.Popen(
            [find_chromium(), *_FLAGS, size, folder, "about:blank"], stderr=subprocess.PIPE, text=True
        )
        port = self._port()
        pages = self._pages(port)
        self._socket = websocket.create_connection(pages[0], timeout=240, suppress_origin=True)
        self._numbers = itertools.count(1)
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def _port(self) -> int:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
                return int(found[1])
        pytest.skip("Chromium does not start here")

    def _pages(self, port: int) -> list[str]:
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            return [each["webSocketDebuggerUrl"] for each in json.load(answer) if each["type"] == "page"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=20)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._home.cleanup()

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the protocol and return the result; what the page complains of meanwhile goes to `errors`."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv())
            self._listen(told)
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return told["result"]

    def _listen(self, told: dict[str, Any]) -> None:
        if told.get("method") == "Runtime.exceptionThrown":
            details = told["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
            self.errors.append(told["params"]["entry"]["text"])

    def open(self, address: str) -> None:
        """Go to an address."""
        self.send("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is, or what its promise gives."""
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"].get("description", script))
        return result["result"].get("value")

    def until(self, script: str, *, seconds: float = 60.0) -> Any:
        """Wait until an expression is true and return it; fails with what the page complained of."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"{script} is not true after {seconds:g} s; page: {self.errors}"
            time.sleep(0.1)
        return value

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event: mousePressed, mouseMoved, mouseReleased, mouseWheel."""
        button = {"button": "left"} if kind != "mouseWheel" else {}
        pressed = {"buttons": 1, "clickCount": 1} if kind in ("mousePressed", "mouseReleased") else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **{**button, **pressed, **more})

    def click(self, x: float, y: float) -> None:
        """Click at a place of the page."""
        self.mouse("mouseMoved", x, y, button="none")
        self.mouse("mousePressed", x, y)
        self.mouse("mouseReleased", x, y)

    def click_until(self, x: float, y: float, script: str) -> None:
        """Click until an expression is true: on a busy machine a press lasts too long to be a click."""
        for _ in range(5):
            self.click(x, y)
            with contextlib.suppress(AssertionError):
                self.until(script, seconds=10.0)
                return
        self.until(script)

    def drag(self, places: list[tuple[float, float]]) -> None:
        """Press at the first place, move over the others, let go."""
        self.mouse("mouseMoved", *places[0], button="none")
        self.mouse("mousePressed", *places[0])
        for place in places[1:]:
            self.mouse("mouseMoved", *place, buttons=1)
        self.mouse("mouseReleased", *places[-1])

    def picture(self, path: Path) -> None:
        """Write what the page shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
