"""The dialect of text-embeddings-inference, on the families for embedding and classifying."""

import pytest

from plaza_core.errors import ModelFailed, Overloaded
from plaza_models.tasks import ClassifyTask, EmbedTask

SIMILAR = {"inputs": {"source_sentence": "abc", "sentences": ["ab", "xyz"]}}
RANK = {"query": "abc", "texts": ["ab", "xyz", "a"]}


@pytest.mark.parametrize("path", ["/embed", "/tei/embedder/embed", "/tei/embedder"])
async def test_embed_answers_a_list_of_vectors(client, hub, path):
    answer = await client.post(path, {"inputs": "abc"})
    assert answer.json() == [[0, 0, 0, 1]]
    assert hub.calls[0].model == "embedder"
    assert hub.calls[0].task == EmbedTask(("abc",))
    assert answer.headers["x-plaza-charge"] == "14"
    assert answer.headers["x-compute-tokens"] == "1"
    assert answer.headers["x-compute-characters"] == "3"


@pytest.mark.parametrize(
    ("more", "task"),
    [({"normalize": False}, EmbedTask(("a", "b"), normalise=False)),
     ({"truncate": True}, EmbedTask(("a", "b"), cut="end")),
     ({"truncate": True, "truncation_direction": "Left"}, EmbedTask(("a", "b"), cut="beginning")),
     ({"truncate": False, "truncation_direction": "Left"}, EmbedTask(("a", "b"))),
     ({"truncate": None, "normalize": None, "prompt_name": None, "new": 1}, EmbedTask(("a", "b"))),
     ({"dimensions": 4}, EmbedTask(("a", "b")))],
)  # fmt: skip
async def test_how_to_embed(client, hub, more, task):
    answer = await client.post("/embed", {"inputs": ["a", "b"], **more})
    assert (answer.status, hub.calls[0].task) == (200, task)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "inputs"), ({"inputs": []}, "inputs"), ({"inputs": [[1, 2]]}, "inputs"),
     ({"inputs": "a", "prompt_name": "query"}, "prompt_name"),
     ({"inputs": "a", "normalize": 1}, "normalize"),
     ({"inputs": "a", "dimensions": 2}, "dimensions"),
     ({"inputs": "a", "truncation_direction": "up"}, "truncation_direction")],
)  # fmt: skip
async def test_what_cannot_be_embedded(client, hub, body, field):
    answer = await client.post("/embed", body)
    assert answer.problem() == (422, "invalid_input", field)
    assert answer.json()["error_type"] == "Validation"
    assert hub.calls == []


async def test_similarity_is_the_cosine_with_the_source(client, hub):
    for path in ("/similarity", "/tei/embedder/similarity", "/tei/embedder"):
        assert (await client.post(path, SIMILAR)).json() == [0.0, 1.0]
    assert hub.calls[0].task == EmbedTask(("abc", "ab", "xyz"))


async def test_rerank_orders_by_the_cosine_with_the_query(client):
    for path in ("/rerank", "/tei/embedder/rerank", "/tei/embedder"):
        ranks = (await client.post(path, RANK)).json()
        assert ranks == [
            {"index": 1, "score": 1.0},
            {"index": 0, "score": 0.0},
            {"index": 2, "score": 0.0},
        ]
    told = await client.post("/rerank", {**RANK, "return_text": True, "raw_scores": True})
    assert told.json()[0] == {"index": 1, "score": 1.0, "text": "xyz"}


@pytest.mark.parametrize("texts", [None, [], "abc", [1], ["a"] * 2048])
async def test_texts_to_rank_are_a_list(client, hub, texts):
    answer = await client.post("/rerank", {"query": "a", "texts": texts})
    assert answer.status in {413, 422}
    assert answer.problem()[2] == "texts"
    assert hub.calls == []


async def test_predict_answers_a_text_with_its_labels_and_a_batch_with_a_list_of_them(client, hub):
    labels = [{"label": "complaint", "score": 0.75}, {"label": "praise", "score": 0.25}]
    for path in ("/predict", "/tei/classifier/predict", "/tei/classifier"):
        assert (await client.post(path, {"inputs": "late"})).json() == labels
        assert (await client.post(path, {"inputs": ["late"]})).json() == labels
        assert (await client.post(path, {"inputs": [["late"], ["good"]]})).json() == [labels] * 2
    raw = await client.post("/predict", {"inputs": "late", "raw_scores": True, "truncate": True})
    assert [one["score"] for one in raw.json()] == [4.0, -2.0]
    assert hub.calls[-1].task == ClassifyTask(("late",), 1 << 20, raw=True, cut="end")


@pytest.mark.parametrize("inputs", [None, [], 5, ["a", "b"], [["a", "b"]], [["a"], "b"], [[]]])
async def test_predict_reads_one_text_at_a_time(client, hub, inputs):
    answer = await client.post("/predict", {"inputs": inputs})
    assert answer.problem() == (422, "invalid_input", "inputs")
    assert hub.calls == []


async def test_without_a_name_the_only_model_of_the_family_is_meant(client, hub):
    hub.add("other", {"family": "text.embed", **hub._models["embedder"][0]}, lambda task: None)
    answer = await client.post("/embed", {"inputs": "a"})
    assert answer.problem() == (422, "invalid_input", "model")
    assert "embedder, other" in answer.json()["error"]
    assert (await client.post("/embed", {"inputs": "a", "model": "embedder"})).status == 200
    assert (await client.post("/tei/embedder/embed", {"inputs": "a"})).status == 200


async def test_a_model_of_another_family(client):
    answer = await client.post("/tei/echo/embed", {"inputs": "a"})
    assert answer.problem() == (422, "invalid_input", "model")
    assert (await client.post("/tei/none/embed", {"inputs": "a"})).problem()[0] == 404


@pytest.mark.parametrize(
    ("raised", "status", "kind"),
    [(ModelFailed("no"), 424, "Backend"), (Overloaded("full"), 429, "Overloaded")],
)
async def test_errors_have_their_type(client, hub, raised, status, kind):
    hub.fail = raised
    answer = await client.post("/embed", {"inputs": "a"})
    assert (answer.status, answer.json()["error_type"]) == (status, kind)


async def test_info_and_health(client, hub):
    info = (await client.get("/info")).json()
    assert info == (await client.get("/tei/embedder/info")).json()
    assert (info["model_id"], info["model_type"]) == ("embedder", {"embedding": {"pooling": "sum"}})
    kind = (await client.get("/tei/classifier/info")).json()["model_type"]
    assert kind["classifier"]["id2label"] == {"0": "complaint", "1": "praise"}
    assert (await client.get("/tei/echo/info")).problem() == (422, "invalid_input", "model")
    assert (await client.get("/health")).status == 200
    assert (await client.get("/tei/embedder/health")).status == 200
    hub.is_ready = False
    assert (await client.get("/health")).status == 503


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/tei/embedder/tokenize", 404), ("GET", "/embed", 405),
     ("GET", "/tei/embedder", 405)],
)  # fmt: skip
async def test_what_is_not_offered_is_told_in_its_words(client, method, path, status):
    answer = await client.send(method, path)
    assert (answer.status, answer.json()["error_type"]) == (status, "Validation")


async def test_who_has_no_key_is_not_told_that_the_backend_failed(door, new_client):
    answer = await new_client(door, key=None).post("/tei/embedder/embed", {"inputs": "a"})
    assert (answer.status, answer.json()["error_type"]) == (401, "Validation")
