"""The little of the Docker Engine API that the benchmark helpers need, over a unix socket, with the standard library."""

import http.client
import json
import socket


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("engine", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """`host` is `unix:///path/of/docker.sock`. Every request has a connection of its own, as a bare client would do it."""

    def __init__(self, host):
        if not host.startswith("unix://"):
            raise SystemExit(f"{host}: only unix:// hosts are supported here")
        self.path = host.removeprefix("unix://")

    def _ask(self, method, target, body=None, headers=None):
        connection = _Unix(self.path)
        try:
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {target}: {answer.status}: {data[-300:].decode(errors='replace')}")
        return data

    def get(self, target):
        """The body of the answer, as bytes."""
        return self._ask("GET", target)

    def post(self, target, value):
        return self._ask("POST", target, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def load(self, archive, size):
        """Sends a docker-archive (a file of `size` bytes) and makes sure that the engine took it: it reports errors with status 200."""
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        answer = self._ask("POST", "/images/load?quiet=1", archive, headers)
        if b'"error"' in answer:
            raise RuntimeError(f"load: {answer[-300:].decode(errors='replace')}")
