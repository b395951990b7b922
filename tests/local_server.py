"""A server on this machine that can break off, ignore ranges and serve the wrong file."""

import hashlib
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sicmir import paths
from sicmir.data import FileEntry

CONTENT = os.urandom(300_000)
NAME = "set/file.bin"


class Server:
    """What the server serves and how it misbehaves; ``requests`` are (path, Range) pairs."""

    def __init__(self):
        self.files = {"/file.bin": CONTENT}
        self.ranges = True
        self.sends_to = {}
        self.break_after = []
        self.requests = []


@pytest.fixture
def server():
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            state.requests.append((self.path, asked))
            if self.path in state.sends_to:
                self.send_response(302)
                self.send_header("Location", state.sends_to[self.path])
                self.end_headers()
                return
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(asked[6:-1]) if asked and state.ranges else 0
            if start and start >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if state.break_after:
                body = body[: state.break_after.pop(0)]
                self.close_connection = True
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SICMIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SICMIR_MIRROR", raising=False)
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def entry(url, content=CONTENT, **changes):
    """An entry whose address may be local, which the schema does not allow."""
    good = FileEntry(
        name=NAME, url="https://data.invalid", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)
    )
    return good.model_copy(update={"url": url} | changes)


def part():
    return paths.cache() / "files" / "set" / "file.bin.part"
