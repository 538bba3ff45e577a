"""The asynchronous HTTP client of Triton, unmodified, and the end of what it leaves behind.

Where an answer's body tells it nothing (load, unload, ready) it leaves the body unread. Answer and
connection then hold each other until the garbage collector comes, which finalises them in any order
and so may warn of an unclosed connection in somebody else's test. Here it comes at once.
"""

import gc
import warnings
from contextlib import asynccontextmanager

import tritonclient.http.aio as triton


@asynccontextmanager
async def stock_client(address):
    """A client of `address` (host:port), closed in the end."""
    async with triton.InferenceServerClient(address) as client:
        yield client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
