"""What S3 and Google's storage answer to those who read: folders as buckets, for s3fs and gcsfs."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_OBJECT, _MEDIA = "/storage/v1/b/", "/download/storage/v1/b/"


class _Cloud(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    sent: list[int]

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer()

    def _answer(self, *, head: bool = False) -> None:
        path = unquote(urlsplit(self.path).path)
        file = self._file(path)
        if not file.is_file():
            self._send(404, b"" if head else b"<Error><Code>NoSuchKey</Code></Error>")
        elif path.startswith(_OBJECT):
            self._send(200, json.dumps(self._about(file)).encode(), kind="application/json")
        else:
            self._send_bytes(file, head=head)

    def _file(self, path: str) -> Path:
        for begin in (_MEDIA, _OBJECT):
            if path.startswith(begin):
                bucket, _, name = path.removeprefix(begin).partition("/o/")
                return self.folder / bucket / name
        return self.folder / path.lstrip("/")

    def _about(self, file: Path) -> dict[str, str]:
        data = file.read_bytes()
        bucket, *names = file.relative_to(self.folder).parts
        etag = hashlib.md5(data).hexdigest()
        return {
            "name": "/".join(names),
            "bucket": bucket,
            "size": str(len(data)),
            "etag": etag,
            "md5Hash": etag,
        }

    def _send_bytes(self, file: Path, *, head: bool) -> None:
        data, code, more = file.read_bytes(), 200, {}
        if span := self.headers.get("Range"):
            first, _, last = span.removeprefix("bytes=").partition("-")
            end = min(int(last or len(data)), len(data) - 1)
            more = {"Content-Range": f"bytes {first}-{end}/{len(data)}"}
            data, code = data[int(first) : end + 1], 206
        changed = formatdate(file.stat().st_mtime, usegmt=True)
        more |= {"ETag": f'"{self._about(file)["md5Hash"]}"', "Last-Modified": changed}
        self._send(code, data, more, kind="application/octet-stream", head=head)
        self.sent.append(0 if head else len(data))

    def _send(
        self,
        code: int,
        data: bytes,
        more: dict[str, str] | None = None,
        *,
        kind: str = "application/xml",
        head: bool = False,
    ) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def cloud_of(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Serve the folders within a folder as buckets; yields the address and the bytes of each object sent."""
    sent: list[int] = []
    handler = type("Cloud", (_Cloud,), {"folder": folder, "sent": sent})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()
