"""Who has the hub's `loopback_key`: HTTP requests from this machine that bring no key of their own.

For development, off by default. HAProxy stands between, so every peer is on loopback; settings
refuse the key unless all that listens is too. What is left are the browser and proxies of this
machine, through which others speak: a page of another site (`Origin`, `Sec-Fetch-Site`), a name of
theirs that leads here (`Host`), whoever a proxy forwards. They get nothing.
"""

from __future__ import annotations

import ipaddress

from plaza_serving.doors.exchange import Scope

_OTHERS = (b"origin", b"sec-fetch-site", b"referer", b"forwarded", b"via", b"x-forwarded-for",
           b"x-real-ip")  # fmt: skip
"""Headers of pages and of proxies; programs send none of them."""


def is_local(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """Whether a program of this machine asks, by an address of this machine."""
    peer = scope.get("client")
    if peer is None or not _loopback(peer[0]):
        return False
    host = headers.get(b"host", b"").decode("latin-1")
    return _loopback(_name_of(host)) and not any(name in headers for name in _OTHERS)


def _name_of(host: str) -> str:
    """`Host` without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
