"""Pictures to and from the object store, by the presigned URLs that the media service gives.

A URL holds a signature: none is logged or put into an error.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx2

from resources.gateway.outcomes import CallError, RequestFailedError, RequestRejectedError, TransientError
from resources.pictures import bytes_of_file
from resources.redaction import kept_line

STORED = frozenset({200, 201, 204})
CHUNK_BYTES = 65_536
_WAITED_OUT = frozenset({408, 425, 429})
"""Client errors that another attempt may cure."""

logging.getLogger("httpx2").setLevel(logging.WARNING)  # at INFO it logs each URL


class UrlExpiredError(RequestRejectedError):
    """The store refused a presigned URL (403): it has expired, or is not signed as the store wants it."""


async def put(http: httpx2.AsyncClient, url: str, path: Path, content_type: str) -> None:
    """Store the file under the URL. Raises ``UrlExpiredError`` for a 403, else the ``CallError`` of the failure."""
    try:
        async with await anyio.open_file(path, "rb") as file:
            headers = {"Content-Type": content_type, "Content-Length": str(bytes_of_file(path))}
            with _client_errors():
                answer = await http.put(url, content=_chunks(file), headers=headers)
    except OSError as error:
        raise RequestFailedError(f"{path} cannot be read ({error.strerror}): the picture is made again.") from error
    if answer.status_code not in STORED:
        raise _refused(answer.status_code, answer.text)


async def get(http: httpx2.AsyncClient, url: str, most_bytes: int) -> bytes:
    """The bytes under the URL. Raises the ``CallError`` of the failure; one with more than ``most_bytes`` is rejected."""
    with _client_errors():
        async with http.stream("GET", url) as answer:
            if answer.status_code != httpx2.codes.OK:
                words = b"".join([chunk async for chunk in _first(answer, CHUNK_BYTES)])
                raise _refused(answer.status_code, words.decode(errors="replace"))
            data = b"".join([chunk async for chunk in _first(answer, most_bytes)])
    if len(data) > most_bytes:
        raise RequestRejectedError(f"The object store has more than {most_bytes:,} bytes for this picture.")
    return data


async def _chunks(file: anyio.AsyncFile[bytes]) -> AsyncIterator[bytes]:
    while chunk := await file.read(CHUNK_BYTES):
        yield chunk


async def _first(answer: httpx2.Response, limit: int) -> AsyncIterator[bytes]:
    received = 0
    async for chunk in answer.aiter_bytes():
        yield chunk
        received += len(chunk)
        if received > limit:
            return


@contextmanager
def _client_errors() -> Iterator[None]:
    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise RequestFailedError(f"no request can be made of the media service's URL ({type(error).__name__})") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
        raise TransientError(f"the object store cannot be reached ({type(error).__name__}: {error})") from error
    except httpx2.RequestError as error:
        raise TransientError(f"the object store broke off ({type(error).__name__}: {error})", in_doubt=True) from error


def _refused(status: int, words: str) -> CallError:
    message = f"the object store answered {status}: {kept_line(words, 300) or '(nothing)'}"
    if status == httpx2.codes.FORBIDDEN:
        return UrlExpiredError(message)
    if status in _WAITED_OUT or status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return TransientError(message, in_doubt=True)
    return RequestRejectedError(message)
