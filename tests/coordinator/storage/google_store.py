"""Speaks Google Storage's XML API as far as obstore and signed URLs use it: objects in memory, one or more buckets."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import time
from email.utils import formatdate
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests.coordinator.storage.loopback import Loopback, Quiet

EMAIL = "tests@example.iam"


class GoogleStore(Loopback):
    """``buckets`` maps names to objects: their bytes and when they were written."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, tuple[bytes, float]]] = {}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        store = self

        class Handler(_Handler):
            google = store

        super().__init__(Handler)

    def credentials(self, path: Path, port: int) -> Path:
        """A service account's key file, whose holder is sent to this port."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {"private_key": pem.decode(), "private_key_id": "1", "client_email": EMAIL}
        path.write_text(json.dumps({**account, "gcs_base_url": f"http://127.0.0.1:{port}", "type": "service_account"}))
        return path


class _Handler(Quiet):
    google: GoogleStore

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        where = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(where.query, keep_blank_values=True).items()}
        if (refusal := self._refusal(where.path, query)) is not None:
            self._answer(403, _error(refusal))
            return
        bucket_name, _, key = unquote(where.path).lstrip("/").partition("/")
        bucket = self.google.buckets.get(bucket_name)
        if bucket is None:
            self._answer(404, _error("NoSuchBucket"))
        elif not key:
            self._answer(200, _listing(bucket, query))
        elif self.command == "PUT":
            bucket[key] = (body, time.time())
            self._answer(200, b"", etag=hashlib.md5(body).hexdigest())
        elif key not in bucket:
            self._answer(404, _error("NoSuchKey"))
        elif self.command == "DELETE":
            del bucket[key]
            self._answer(204, b"")
        else:
            self._give(*bucket[key])

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 - as their base calls them

    def _give(self, data: bytes, written_s: float) -> None:
        whole, status, more = len(data), 200, {}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
            first, last = int(found[1]), min(int(found[2] or whole), whole - 1)
            data, status, more = data[first : last + 1], 206, {"content-range": f"bytes {first}-{last}/{whole}"}
        self._answer(status, data, written_s, hashlib.md5(data).hexdigest(), **more)

    def _answer(self, status: int, body: bytes, written_s: float = 0.0, etag: str = "", **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(written_s, usegmt=True))
        self.send_header("ETag", f'"{etag}"')
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refusal(self, path: str, query: dict[str, str]) -> str | None:
        if "X-Goog-Signature" in query:
            return self._signed_wrongly(path, query)
        return None if self.headers.get("authorization", "").startswith("Bearer ey") else "AccessDenied"

    def _signed_wrongly(self, path: str, query: dict[str, str]) -> str | None:
        signed_at = datetime.datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%S%z")
        if datetime.datetime.now(datetime.UTC) > signed_at + datetime.timedelta(seconds=int(query["X-Goog-Expires"])):
            return "ExpiredToken"
        rest = "&".join(p for p in urlsplit(self.path).query.split("&") if not p.startswith("X-Goog-Signature="))
        # obstore signs for Google's own host, whatever the endpoint is.
        request = f"{self.command}\n{path}\n{rest}\nhost:storage.googleapis.com\n\nhost\nUNSIGNED-PAYLOAD"
        scope = query["X-Goog-Credential"].partition("/")[2]
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"GOOG4-RSA-SHA256\n{query['X-Goog-Date']}\n{scope}\n{digest}"
        try:
            signature = bytes.fromhex(query["X-Goog-Signature"])
            self.google.key.public_key().verify(signature, text.encode(), padding.PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return "SignatureDoesNotMatch"
        return None


def _error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()


def _listing(bucket: dict[str, tuple[bytes, float]], query: dict[str, str]) -> bytes:
    prefix = query.get("prefix", "")
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>x</ETag>"
        f"<LastModified>{_iso(written_s)}</LastModified></Contents>"
        for key, (data, written_s) in sorted(bucket.items())
        if key.startswith(prefix)
    )
    whole = f"<ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
    return f"<?xml version='1.0'?>{whole}".encode()


def _iso(time_s: float) -> str:
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).isoformat()
