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
    sizes: dict[str, int] = field(default_factory=dict)  # what the index says of a file; else its real size
    damage: str = ""  # a file of which one bit is wrong on the way
    closed: list[str] = field(default_factory=list)  # repositories that ask for a sign-in
    sha: str = REVISION
    redirect: str = ""  # where large files are; empty: on the hub itself


@contextmanager
def running_hub(folder: Path) -> Iterator[Hub]:
    hub = Hub(files={path.name: path.read_bytes() for path in folder.iterdir()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            path = unquote(self.path)
            if any(name in path for name in hub.closed):
                self.answer(401, b"")
            elif path.startswith("/api/models/acme/tiny/revision/"):
                sizes = {name: len(content) for name, content in hub.files.items()} | hub.sizes
                body = {"sha": hub.sha, "siblings": [{"rfilename": name, "size": sizes[name]} for name in sizes]}
                self.answer(200, json.dumps(body).encode())
            elif path.startswith(f"/acme/tiny/resolve/{REVISION}/"):
                name = path.partition(f"/{REVISION}/")[2]
                content = hub.files[name]
                if name.endswith((".safetensors", ".gguf")):
                    digest = hashlib.sha256(content).hexdigest()
                    headers = {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{digest}"'}
                    self.answer(302, b"", Location=f"{hub.redirect or hub.url}/cdn/{name}", **headers)
                else:
                    self.answer(200, content)
            elif path.startswith("/cdn/"):
                name = path.removeprefix("/cdn/")
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
