"""The processes of a run: the server, its relays, and a client per library and site."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import certifi

from .plan import Plan

_ROOT = Path(__file__).resolve().parent.parent


class Unfit(Exception):
    """A library could not do a job: it is not installed, failed, or took too long."""


class Process:
    """A Python program that is driven by its standard input and output."""

    def __init__(self, *arguments: str, environment: Optional[Mapping[str, str]] = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *arguments],
            cwd=_ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.first = json.loads(self._line())

    def ask(self, job: Mapping[str, Any], limit: float) -> Dict[str, Any]:
        """
        Have a job done, and return the result.

        Args:
            job: what to do.
            limit: seconds after which the process is taken to hang, and killed.

        Raises:
            Unfit: it hangs or failed.
        """
        timer = threading.Timer(limit, self._process.kill)
        timer.start()
        try:
            print(json.dumps(job), file=self._process.stdin, flush=True)
            result: Dict[str, Any] = json.loads(self._line())
            return result
        finally:
            timer.cancel()

    def _line(self) -> str:
        output, errors = self._process.stdout, self._process.stderr
        assert output is not None
        assert errors is not None
        line = output.readline()
        if not line:
            last = errors.read().strip().split("\n")[-1]
            raise Unfit(last or "hangs")
        return line

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def certify(folder: Path) -> Path:
    """
    Write a certificate for loopback, ``server.pem``, and return a bundle that trusts it.

    The bundle also has the usual authorities, so that loading it takes the usual time.
    """
    import trustme  # here, since writing the docs does not need it

    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    bundle = folder / "authorities.pem"
    bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
    return bundle


class Site:
    """The server, its relays and its clients. Its ``with`` block ends all of them."""

    def __init__(self, folder: Path) -> None:
        bundle = str(certify(folder))
        self._server = Process("benchmarks.server", str(folder / "server.pem"))
        self._environment = {"REQUESTS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}
        self._relays: Dict[Tuple[str, float], Process] = {}
        self._handshakes: Dict[str, float] = {}
        self._clients: Dict[Tuple[str, str], Process] = {}

    def url(self, scheme: str = "http", round_trip: float = 0.0) -> str:
        """Return the site's URL, as seen from a distance with this round trip in seconds."""
        port = self._server.first[scheme]
        if round_trip:
            key = (scheme, round_trip)
            if key not in self._relays:
                self._relays[key] = Process("benchmarks.relay", str(port), str(round_trip))
            port = self._relays[key].first
        url = f"{scheme}://127.0.0.1:{port}"
        self._handshakes[url] = round_trip
        return url

    def query(self, route: str) -> Any:
        """Return the server's ``log`` or ``counts``."""
        with urllib.request.urlopen(f"{self.url()}/{route}") as answer:
            return json.load(answer)

    def client(self, library: str, url: str, *, warm: bool = True) -> Process:
        """Return the process of a library; a warm one has had a short chat before."""
        key = (library, url)
        if key not in self._clients:
            handshake = str(self._handshakes[url])
            client = Process("benchmarks.client", *key, handshake, environment=self._environment)
            self._clients[key] = client
            if warm:
                client.ask({"job": "cpu", "plan": Plan()._asdict(), "limit": 30.0}, 60.0)
        return self._clients[key]

    def dismiss(self) -> None:
        """End all clients."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def forget(self, library: str, url: str) -> None:
        """End one client, if it runs."""
        client = self._clients.pop((library, url), None)
        if client is not None:
            client.close()

    def __enter__(self) -> Site:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self.dismiss()
        for process in [*self._relays.values(), self._server]:
            process.close()
