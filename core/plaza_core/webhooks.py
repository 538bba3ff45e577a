"""Words of outgoing webhooks: events, targets allowed by operators, messages to be delivered."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import SplitResult, urlsplit

from plaza_core.errors import InvalidInput, TargetRefused
from plaza_core.ids import OrganisationId


class Event(StrEnum):
    """What a target may be told of."""

    BUDGET_50 = "budget.50"
    BUDGET_80 = "budget.80"
    BUDGET_100 = "budget.100"
    ROLLOUT_STOPPED = "rollout.stopped"
    TEST = "webhook.test"


BUDGET_EVENTS: Final = (Event.BUDGET_50, Event.BUDGET_80, Event.BUDGET_100)
EVENTS: Final = (*BUDGET_EVENTS, Event.ROLLOUT_STOPPED)
"""What may be chosen."""
PERCENTS: Final = (50, 80, 100)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_PATTERN = re.compile(
    rf"(?:(?P<any>\*\.)?(?P<name>{_NAME})|\[(?P<v6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{{1,5}}|\*))?"
)
_LONGEST_URL = 2000
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host that an operator allows: `hooks.example.org`, `*.example.org`, with `:PORT` or `:*`.

    Without a port 443 only. `*.` stands for one or more labels. With `private` the host may be an
    address inside; and plain http is allowed when that address is this machine's loopback.
    """

    text: str
    private: bool = False

    @staticmethod
    def parse(text: str, *, private: bool = False) -> HostPattern:
        """In lower case. Raises InvalidInput."""
        pattern = HostPattern(text.lower(), private)
        match = _PATTERN.fullmatch(pattern.text)
        if match is None or len(text) > 260:
            raise InvalidInput(
                "a pattern is a host name or address, with *. in front of a name or :PORT behind",
                input="pattern",
            )
        if match["v6"] is not None and not _is_address(match["v6"]):
            raise InvalidInput("this is no IPv6 address", input="pattern")
        if match["any"] and "." not in match["name"]:
            raise InvalidInput("a whole top-level domain is too much", input="pattern")
        return pattern

    def covers(self, target: Target) -> bool:
        match = _PATTERN.fullmatch(self.text)
        assert match is not None, "parsed before it was stored"
        port = match["port"] or str(_HTTPS)
        if port not in {"*", str(target.port)}:
            return False
        if match["v6"] is not None:
            return _is_address(target.host) and _same_address(match["v6"], target.host)
        if match["any"]:
            return target.host.endswith("." + match["name"])
        return target.host == match["name"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a message goes, taken apart once. `host` is in lower case, IPv6 without brackets."""

    url: str
    scheme: str
    host: str
    port: int

    @staticmethod
    def parse(url: str) -> Target:
        """Raises InvalidInput: not a plain http(s) URL, or one with a user, or a fragment."""
        parts = _split(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if parts.scheme not in {"https", "http"} or not host:
            raise InvalidInput("an https URL is wanted", input="url")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise InvalidInput("a URL without user, password and fragment is wanted", input="url")
        if not (_is_address(host) or re.fullmatch(_NAME, host)) or len(host) > 253:
            raise InvalidInput("this is no host name; write others in punycode", input="url")
        return Target(url, parts.scheme, host, port or (443 if parts.scheme == "https" else 80))


def _split(url: str) -> SplitResult:
    # Parsers disagree about what whitespace, controls and backslashes mean: none of them.
    if len(url) > _LONGEST_URL or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise InvalidInput(
            f"a URL is at most {_LONGEST_URL} printable ASCII characters", input="url"
        )
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidInput("this is no URL", input="url") from None


def allowed(target: Target, patterns: Iterable[HostPattern]) -> HostPattern:
    """The pattern that lets `target` be used; one that allows inside goes first.

    Raises TargetRefused.
    """
    found = [pattern for pattern in patterns if pattern.covers(target)]
    if not found:
        raise TargetRefused("no operator of this hub allows this host", input="url")
    best = max(found, key=lambda pattern: pattern.private)
    if target.scheme != "https" and not best.private:
        raise TargetRefused("only https goes outside", input="url")
    return best


def check_address(address: str, pattern: HostPattern, scheme: str) -> None:
    """Raise TargetRefused unless a connection to this IP address is allowed."""
    ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    if scheme != "https" and not ip.is_loopback:
        raise TargetRefused("plain http goes to this machine only", input="url")
    if not pattern.private and not _outside(ip):
        raise TargetRefused("the host leads to an address inside", input="url")


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_UNICAST6 = ipaddress.ip_network("2000::/3")


def _plain(ip: _Address) -> _Address:
    """An IPv4 address that is written as an IPv6 one, as itself."""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def _outside(ip: _Address) -> bool:
    """Global unicast, and no tunnel by which an IPv6 address means an IPv4 one."""
    if isinstance(ip, ipaddress.IPv6Address) and (
        ip not in _UNICAST6 or ip.sixtofour is not None or ip.teredo is not None
    ):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _same_address(one: str, other: str) -> bool:
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)


@dataclass(frozen=True, slots=True)
class Message:
    """One attempt to be made. `secrets` are `whsec_…`: the current one, and during a rotation the
    one before."""

    organisation: OrganisationId
    webhook: str
    position: int
    id: str
    url: str
    body: str
    secrets: tuple[str, ...]
    attempts: int
    """Made so far."""
    created_unix_us: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended. `gone`: the receiver says that it wants no more (410)."""

    delivered: bool
    error: str | None = None
    gone: bool = False
