"""A hub on this machine that answers as Hugging Face's does: an index, and files behind redirects."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    damage: str = ""  # a file of which one bit is wrong on the way
    sha: str = REVISION
    redirect: str = ""  # where large files are; empty: on the hub itself


@contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    hub = Hub(files={path.name: path.read_bytes() for path in folder.iterdir()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            path = unquote(self.path)
            if path.startswith("/api/models/acme/tiny/revision/"):
                body = {"sha": hub.sha, "siblings": [{"rfilename": name} for name in hub.files]}
                self.answer(200, json.dumps(body).encode())
            elif path.startswith(f"/acme/tiny/resolve/{REVISION}/"):
                name = path.rpartition("/")[2]
                content = hub.files[name]
                if name.endswith(".safetensors"):
                    digest = hashlib.sha256(content).hexdigest()
                    headers = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"'}
                    self.answer(302, b"", Location=f"{hub.redirect or hub.url}/cdn/{name}", **headers)
                else:
                    self.answer(200, content)
            elif path.startswith("/cdn/"):
                name = path.rpartition("/")[2]
                content = bytearray(hub.files[name])
                if name == hub.damage:
                    content[-1] ^= 1
                self.answer(200, bytes(content))
            else:
                self.answer(404, b"")

        def answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
