"""One attempt to deliver a message, which can reach nothing that an operator did not allow.

    URL ─▶ allowed host? ─▶ resolve once ─▶ all addresses allowed? ─▶ connect to that one ─▶ POST

The name is resolved once and the connection goes to the address that was checked, so a name server
that changes its mind gains nothing. TLS still verifies the name. Redirects are not followed,
proxies of the environment not used, of an answer at most a kilobyte is read and none of it kept.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpx

from plaza_core.clock import Clock
from plaza_core.errors import InvalidInput, TargetRefused
from plaza_core.webhooks import Attempt, HostPattern, Message, Target, allowed, check_address
from plaza_serving.webhooks.signing import headers

TIMEOUT_S = 5.0
_MOST_READ = 1024

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> IP addresses, best first. Raises OSError."""


async def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says now."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


class Sender:
    def __init__(
        self,
        patterns: Callable[[], Awaitable[Iterable[HostPattern]]],
        clock: Clock,
        *,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`patterns` are asked for before each attempt: what is taken back has effect at once."""
        self._patterns = patterns
        self._clock = clock
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Attempt:
        """Never raises for what target or network do."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._attempt(message)
        except TimeoutError:
            return Attempt(delivered=False, error=f"no answer within {self._timeout_s:g} s")
        except (TargetRefused, InvalidInput) as error:
            return Attempt(delivered=False, error=f"refused here: {error.message}")
        except httpx.TransportError as error:
            return Attempt(delivered=False, error=f"no connection: {type(error).__name__}")
        except OSError:
            return Attempt(delivered=False, error="the name cannot be resolved")

    async def _attempt(self, message: Message) -> Attempt:
        target = Target.parse(message.url)
        pattern = allowed(target, await self._patterns())
        addresses = await self._resolve(target.host, target.port)
        for address in addresses:
            check_address(address, pattern, target.scheme)
        if not addresses:
            return Attempt(delivered=False, error="the name has no address")
        return await self._post(message, target, addresses[0])

    async def _post(self, message: Message, target: Target, address: str) -> Attempt:
        body = message.body.encode()
        now_s = self._clock.unix_us() // 1_000_000
        # HTTP and TLS speak of the name; only the socket goes to the address that was checked.
        where = httpx.URL(target.url).copy_with(host=address)
        sent = {
            **headers(message.secrets, message.id, now_s, body),
            "host": httpx.URL(target.url).netloc.decode(),
            "content-type": "application/json",
            "user-agent": "plaza-webhooks/1",
        }
        async with (
            httpx.AsyncClient(
                verify=self._tls, trust_env=False, follow_redirects=False, timeout=self._timeout_s
            ) as client,
            client.stream(
                "POST",
                where,
                content=body,
                headers=sent,
                extensions={"sni_hostname": target.host},
            ) as answer,
        ):
            await _read_a_little(answer)
            return _judge(answer.status_code)


async def _read_a_little(answer: httpx.Response) -> None:
    """So that a short answer ends in an orderly way; a long one is cut off."""
    seen = 0
    async for piece in answer.aiter_raw(_MOST_READ):
        seen += len(piece)
        if seen >= _MOST_READ:
            return


def _judge(status: int) -> Attempt:
    if 200 <= status < 300:
        return Attempt(delivered=True)
    if 300 <= status < 400:
        return Attempt(delivered=False, error=f"status {status}: redirects are not followed")
    return Attempt(delivered=False, error=f"status {status}", gone=status == 410)
