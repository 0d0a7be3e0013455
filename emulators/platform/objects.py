"""The object store: presigned URLs that are valid for one object, content type and size until they expire, and the bytes.

Like S3 it signs the request, does not know the media service, and answers errors in XML. Not here: the routes (app.py).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

BUCKET = "generia-media"


class ObjectError(Exception):
    """The store refuses. ``status`` is HTTP's, ``code`` is S3's."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> str:
        """The error as S3 writes it."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{self.code}</Code><Message>{self}</Message></Error>'


class ObjectStore:
    """Objects below a temporary folder; ``base_url`` is where callers reach the store."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._secret = secrets.token_bytes(32)
        self._folder = Path(tempfile.mkdtemp(prefix="generia-platform-"))
        self._types: dict[str, str] = {}

    def close(self) -> None:
        """Delete all objects."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def presign_put(self, name: str, content_type: str, size: int, seconds: float) -> tuple[str, int]:
        """A URL that accepts exactly this upload, and when it expires (Unix seconds)."""
        return self._presign("PUT", name, f"{content_type}|{size}", seconds)

    def presign_get(self, name: str, seconds: float) -> tuple[str, int]:
        """A URL that gives the object, and when it expires (Unix seconds)."""
        return self._presign("GET", name, "", seconds)

    def check(self, method: str, name: str, query: Mapping[str, str], bound: str = "") -> None:
        """Raise ``ObjectError`` (403) for a token that does not fit this request or has expired."""
        expires, token = query.get("X-Expires", ""), query.get("X-Signature", "")
        if not expires.isdecimal() or not hmac.compare_digest(token.encode(), self._token(method, name, bound, expires).encode()):
            raise ObjectError(403, "SignatureDoesNotMatch", "The request does not match the signature you provided.")
        if time.time() >= int(expires) / 1000:
            raise ObjectError(403, "AccessDenied", "Request has expired")

    def put(self, name: str, content_type: str, data: bytes) -> None:
        """Store the object; it replaces an earlier one."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self._types[name] = content_type

    def get(self, name: str) -> tuple[bytes, str]:
        """The object and its content type. Raises ``ObjectError`` (404)."""
        if name not in self._types:
            raise ObjectError(404, "NoSuchKey", "The specified key does not exist.")
        return self._path(name).read_bytes(), self._types[name]

    def size(self, name: str) -> int | None:
        """The object's size, None if there is no such object."""
        return self._path(name).stat().st_size if name in self._types else None

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()

    def _presign(self, method: str, name: str, bound: str, seconds: float) -> tuple[str, int]:
        expires = time.time() + seconds
        query = {"X-Expires": str(int(expires * 1000)), "X-Signature": self._token(method, name, bound, str(int(expires * 1000)))}
        return f"{self._base_url}/{BUCKET}/{name}?{urlencode(query)}", int(expires)

    def _token(self, method: str, name: str, bound: str, expires: str) -> str:
        return hmac.new(self._secret, f"{method}|{name}|{bound}|{expires}".encode(), "sha256").hexdigest()
