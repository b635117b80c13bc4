"""A hub on the loopback interface: the two routes that fetching uses, and a count of what was asked for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Repository:
    """Files by name, and the commit of each revision."""

    files: dict[str, bytes]
    revisions: dict[str, str]


@dataclass
class FakeHub:
    """``requests``: method and path of everything that was asked."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def information(self, name: str, revision: str) -> dict[str, object] | None:
        """Return what the hub says of a repository at a revision."""
        repository = self.repositories.get(name)
        commit = self.commit(name, revision)
        if repository is None or commit is None:
            return None
        siblings = [{"rfilename": each, "size": len(content)} for each, content in repository.files.items()]
        return {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": [], "private": False}

    def commit(self, name: str, revision: str) -> str | None:
        """Return the commit that a revision (or a commit) names."""
        repository = self.repositories.get(name)
        if repository is None:
            return None
        commits = repository.revisions
        return commits.get(revision) or (revision if revision in commits.values() else None)


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve ``hub`` on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

        def do_HEAD(self) -> None:
            self.reply(body=False)

        def do_GET(self) -> None:
            self.reply(body=True)

        def reply(self, *, body: bool) -> None:
            path = self.path.partition("?")[0]
            hub.requests.append(f"{self.command} {path}")
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"] and len(parts) >= 6 and parts[4] == "revision":
                found = hub.information("/".join(parts[2:4]), "/".join(parts[5:]))
                self.send(None if found is None else json.dumps(found).encode(), {"Content-Type": "application/json"})
            elif len(parts) >= 5 and parts[2] == "resolve":
                self.send_file("/".join(parts[:2]), parts[3], "/".join(parts[4:]), body=body)
            else:
                self.send(None, {})

        def send_file(self, name: str, revision: str, file: str, *, body: bool) -> None:
            repository, commit = hub.repositories.get(name), hub.commit(name, revision)
            content = None if repository is None or commit is None else repository.files.get(file)
            if content is None:
                self.send(None, {})
                return
            headers = {"X-Repo-Commit": commit or "", "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
            self.send(content, headers, body=body)

        def send(self, content: bytes | None, headers: dict[str, str], *, body: bool = True) -> None:
            self.send_response(404 if content is None else 200)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if body and content:
                self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
