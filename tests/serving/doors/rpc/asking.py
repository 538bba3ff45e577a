"""How the gRPC door is asked: tensors, plain messages, and what a refusal told."""

import grpc
import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc as sync
from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"
KEY = {"authorization": "Bearer consumer"}
ENGINEER = {"authorization": "Bearer engineer"}


def given(array, name="x", datatype="FP32"):
    tensor = sync.InferInput(name, array.shape, datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


X = np.arange(6, dtype=np.float32).reshape(2, 3)


def plain(model="echo", **more):
    """A request with typed contents, as clients without the library write it."""
    request = service_pb2.ModelInferRequest(model_name=model, id="mine", **more)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2, 3])
    tensor.contents.fp32_contents.extend(X.ravel().tolist())
    return request


def call(channel, method, answer="ModelInferResponse"):
    return channel.unary_unary(
        SERVICE + method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=getattr(service_pb2, answer).FromString,
    )


async def infer(channel, request, metadata=(("authorization", "Bearer consumer"),), **more):
    return await call(channel, "ModelInfer")(request, metadata=metadata, **more)


async def refused(awaitable):
    """(status, code, input, retry-after, request id) of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    trailing = dict(caught.value.trailing_metadata())
    return (
        caught.value.code().name,
        trailing["x-plaza-code"],
        trailing.get("x-plaza-input"),
        trailing.get("retry-after"),
        trailing["x-request-id"],
    )
