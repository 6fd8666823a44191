"""The three kinds of storage, each real as far as it can be here, with a proxy that fails before those in a network."""

from __future__ import annotations

import hashlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.coordinator.storage.faulty_proxy import FaultyProxy
from tests.coordinator.storage.google_store import GoogleStore

_START_S = 30.0


@dataclass
class Place:
    """Where a storage is: its URL, the environment that leads there, and the proxy on the way (none for a folder)."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)
    proxy: FaultyProxy | None = None


@contextmanager
def moto() -> Iterator[int]:
    """A server of moto's; its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def s3(port: int, name: str) -> Iterator[Place]:
    bucket = bucket_name(name)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("PUT", f"/{bucket}")
    assert connection.getresponse().status == 200
    connection.close()
    proxy = FaultyProxy(port)
    try:
        yield Place(
            url=f"s3://{bucket}/tuning/here",
            environment={
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "AKIATEST",
                "AWS_SECRET_ACCESS_KEY": "sekret-of-the-test",
                "AWS_REGION": "us-east-1",
            },
            proxy=proxy,
        )
    finally:
        proxy.close()


@contextmanager
def google(store: GoogleStore, name: str, folder: Path) -> Iterator[Place]:
    bucket = bucket_name(name)
    store.buckets[bucket] = {}
    proxy = FaultyProxy(store.port)
    try:
        account = store.credentials(folder / "account.json", proxy.port)
        environment = {"GOOGLE_SERVICE_ACCOUNT": str(account)}
        yield Place(url=f"gs://{bucket}/tuning/here", environment=environment, proxy=proxy)
    finally:
        proxy.close()


def bucket_name(name: str) -> str:
    return f"b-{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
