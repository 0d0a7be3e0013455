"""This machine's own addresses, which no proxy may stand before.

Here: which addresses they are, and telling every HTTP and gRPC client of this process and its children. Addresses outside are
reached as the environment says (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
"""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import urlsplit

_NAMES = ("localhost", "127.0.0.1", "::1")


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine by a loopback name or address."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or host.endswith(".localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def spare_loopback() -> None:
    """Add the loopback addresses to NO_PROXY, which requests, urllib, httpx and gRPC (Dagster's code servers) obey."""
    for variable in ("NO_PROXY", "no_proxy"):
        listed = [entry.strip() for entry in os.environ.get(variable, "").split(",") if entry.strip()]
        if "*" not in listed:
            os.environ[variable] = ",".join(dict.fromkeys((*listed, *_NAMES)))
