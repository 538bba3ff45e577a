# /// script
# dependencies = ["huggingface_hub==2.4.0", "numpy>=2"]
# [tool.plaza]
# lock = "huggingface-hub"
# ///
"""InferenceClient at the address of one model, which speaks as text-embeddings-inference."""

import json

import huggingface_hub
import numpy as np
import telling

BASE = f"{telling.URL}/tei"
client = huggingface_hub.InferenceClient(token=telling.KEY)
EMBEDDER = f"{BASE}/sentence-embedder"

with telling.call("feature_extraction, one text"):
    vector = np.asarray(client.feature_extraction("a red lorry", model=EMBEDDER))
    assert abs(np.linalg.norm(vector) - 1) < 1e-5, vector.shape
with telling.call("feature_extraction, several texts, normalize false, truncate"):
    texts = ["a red lorry", "late again " * 500]
    vectors = np.asarray(
        client.feature_extraction(texts, model=EMBEDDER, normalize=False, truncate=True)
    )
    assert vectors.shape[-2:-1] == (2,), vectors.shape
with telling.call("sentence_similarity"):
    scores = client.sentence_similarity(
        "a red lorry", ["a red lorry", "late again"], model=f"{EMBEDDER}/similarity"
    )
    assert abs(scores[0] - 1) < 1e-5 > scores[1] - 0.9, scores
with telling.call("text_classification: the best label"):
    # It takes the first of a list of lists; for one text that server gives one list, so do we.
    best = client.text_classification("my card was stolen", model=f"{BASE}/banking-intents")
    assert best.label == "lost_or_stolen_card", best
    assert 0 < best.score <= 1, best
with telling.call("error: unknown model"):
    try:
        client.feature_extraction("a", model=f"{BASE}/absent")
    except huggingface_hub.errors.HfHubHTTPError as error:
        assert error.response.status_code == 404
        assert json.loads(error.response.text)["error_type"] == "Validation"
    else:
        raise AssertionError("404 was expected")
telling.end()
