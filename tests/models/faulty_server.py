"""A real chat server on loopback whose faults are scripted per request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Response:
    """``hang``: seconds before it is sent; ``cut``: promise more bytes than are sent; ``reset``: close unanswered.

    ``drip``: seconds before each byte of the body.
    """

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    cut: bool = False
    reset: bool = False
    drip: float = 0.0


def completion(text: str | None, finish: str = "stop", **message: Any) -> Response:
    """Return a well-formed chat completion."""
    content = {
        "choices": [{"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    return Response(body=json.dumps(content))


Script = Callable[[dict[str, Any], int], Response]


class FaultyServer:
    """``script(body, count)`` decides each response; ``count`` is how often this very body was sent before."""

    def __init__(self, script: Script) -> None:
        self.requests: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        lock = threading.Lock()
        seen: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    key = json.dumps(body, sort_keys=True)
                    count = seen.get(key, 0)
                    seen[key] = count + 1
                    outer.requests.append(body)
                    outer.authorizations.append(self.headers.get("Authorization"))
                self._send(script(body, count))

            def _send(self, response: Response) -> None:
                if response.reset:
                    self.close_connection = True
                    self.connection.close()
                    return
                if response.hang:
                    time.sleep(response.hang)
                data = response.body.encode()
                try:
                    self.send_response(response.status)
                    for name, value in response.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data) + (100 if response.cut else 0)))
                    self.end_headers()
                    for piece in (
                        [data] if not response.drip else [data[place : place + 1] for place in range(len(data))]
                    ):
                        time.sleep(response.drip)
                        self.wfile.write(piece)
                    if response.cut:
                        self.close_connection = True
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def base_url(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> FaultyServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
