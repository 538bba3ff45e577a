"""Waiting for a condition that nobody announces: looked at again until it holds."""

import asyncio


async def until(holds, within_s=5.0):
    """Raises TimeoutError when it never holds."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.001)
