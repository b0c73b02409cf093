"""The server: on this machine's own address, behind a token, until it is told to end."""

import secrets
import socket
import threading

import uvicorn

from histome.errors import OutputError
from histome.viewer.api import viewer_app
from histome.viewer.guard import Guard
from histome.viewer.shelf import Shelf

HOST = "127.0.0.1"


class Server:
    """A viewer of a shelf that runs in a thread of its own: `with Server(shelf) as server: server.address`.

    Parameters
    ----------
    port : int
        0 for one that is free.

    Raises
    ------
    OutputError
        The port is taken.
    """

    def __init__(self, shelf: Shelf, *, port: int = 0) -> None:
        self._socket = _listen(port)
        port, token = self._socket.getsockname()[1], secrets.token_urlsafe(24)
        self.address = f"http://{HOST}:{port}/{token}/"
        guarded = Guard(viewer_app(shelf), token, hosts=(f"{HOST}:{port}", f"localhost:{port}"))
        config = uvicorn.Config(
            guarded, log_level="error", access_log=False, server_header=False, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    def wait(self) -> None:
        """Wait until the server ends, or a signal does."""
        while self._thread.is_alive():
            self._thread.join(timeout=0.5)  # a join without end keeps signals waiting on some systems


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # a browser that is faster than the server waits
    except OSError as error:
        listening.close()
        raise OutputError(
            f"port {port} cannot be used ({error.strerror}); give another with --port"
        ) from error
    return listening
