"""An ASGI application on a real socket, for as long as a test needs it."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import uvicorn


@contextmanager
def serving(app):
    """Serve `app` on a free loopback port in a thread; yields the address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none"
    )
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, args=([socket],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        socket.close()
