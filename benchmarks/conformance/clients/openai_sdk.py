# /// script
# dependencies = ["openai==3.54.0"]
# [tool.plaza]
# lock = "openai"
# ///
"""The openai SDK: models and embeddings, in both encodings, and its classes of errors."""

import asyncio
import math

import openai
import telling

MODEL = "sentence-embedder"
client = openai.OpenAI(base_url=f"{telling.URL}/v1", api_key=telling.KEY, max_retries=0)


def length(vector):
    return math.sqrt(sum(value * value for value in vector))


with telling.call("models.list, models.retrieve"):
    assert MODEL in {model.id for model in client.models.list()}
    assert client.models.retrieve(MODEL).object == "model"
with telling.call("embeddings.create, base64 as the SDK asks by itself"):
    first = client.embeddings.create(model=MODEL, input="a red lorry")
    assert abs(length(first.data[0].embedding) - 1) < 1e-5
    assert first.usage.prompt_tokens == first.usage.total_tokens > 0
with telling.call("embeddings.create, float, several texts"):
    several = client.embeddings.create(
        model=MODEL, input=["a red lorry", "late again"], encoding_format="float"
    )
    assert [one.index for one in several.data] == [0, 1]
    pairs = zip(several.data[0].embedding, first.data[0].embedding, strict=True)
    assert max(abs(a - b) for a, b in pairs) < 1e-6
    other = client.embeddings.create(model=MODEL, input="late again")
    assert several.usage.prompt_tokens == first.usage.prompt_tokens + other.usage.prompt_tokens
with telling.call("embeddings.create with the model's own dimensions"):
    size = len(first.data[0].embedding)
    again = client.embeddings.create(model=MODEL, input="a", dimensions=size)
    assert len(again.data[0].embedding) == size
with telling.call("AsyncOpenAI: embeddings.create, 50 at once"):

    async def many():
        async with openai.AsyncOpenAI(
            base_url=f"{telling.URL}/v1", api_key=telling.KEY, max_retries=0
        ) as hub:
            asked = (hub.embeddings.create(model=MODEL, input=f"text {n}") for n in range(50))
            return await asyncio.gather(*asked)

    assert len({tuple(one.data[0].embedding) for one in asyncio.run(many())}) == 50
for name, kind, code, ask in (
    ("NotFoundError", openai.NotFoundError, "model_not_found",
     lambda: client.embeddings.create(model="absent", input="a")),
    ("UnprocessableEntityError", openai.UnprocessableEntityError, "invalid_input",
     lambda: client.embeddings.create(model=MODEL, input=[[1, 2]])),
    ("AuthenticationError", openai.AuthenticationError, "unauthenticated",
     lambda: client.with_options(api_key="plz_wrong").models.list()),
):  # fmt: skip
    with telling.call(f"error as {name}"):
        try:
            ask()
        except kind as error:
            assert (error.code, bool(error.type)) == (code, True), error.body
        else:
            raise AssertionError(f"{name} was expected")
telling.end()
