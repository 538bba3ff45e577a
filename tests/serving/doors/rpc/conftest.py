"""The gRPC door of the small hub on a port of its own, and who asks it."""

import grpc
import grpc.aio
import pytest
import tritonclient.grpc.aio as triton

from plaza_core.settings import Settings
from plaza_serving.doors.rpc.door import GrpcDoor
from plaza_serving.doors.rpc.server import listen


@pytest.fixture
async def listener(hub, repository):
    settings = Settings(max_body_mb=1, max_answer_mb=2, default_deadline_ms=2000)
    listener = await listen(GrpcDoor(hub, settings, repository=repository), settings, 0)
    yield listener
    await listener.close()


@pytest.fixture
async def client(listener):
    async with triton.InferenceServerClient(f"127.0.0.1:{listener.port}") as client:
        yield client


@pytest.fixture
async def channel(listener):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        yield channel
