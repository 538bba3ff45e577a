# /// script
# dependencies = ["litellm==1.106.2"]
# [tool.plaza]
# lock = "litellm"
# ///
"""LiteLLM: rerank as text-embeddings-inference words it, and embeddings as OpenAI does."""

import os

import telling

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices

import litellm

TEXTS = ["late again", "a red lorry", "a lorry that is red"]
mine = {"api_key": telling.KEY}

with telling.call("rerank, huggingface: top to bottom, with texts"):
    ranked = litellm.rerank(
        model="huggingface/sentence-embedder", query="a red lorry", documents=TEXTS,
        return_documents=True, api_base=f"{telling.URL}/tei/sentence-embedder", **mine,
    )  # fmt: skip
    found = [(one["document"]["text"], one["relevance_score"]) for one in ranked.results]
    assert found[0][0] == TEXTS[1]
    assert sorted(text for text, _ in found) == sorted(TEXTS)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
with telling.call("embedding, openai, several texts"):
    answer = litellm.embedding(
        model="openai/sentence-embedder", input=TEXTS, api_base=f"{telling.URL}/v1", **mine
    )
    assert [one["index"] for one in answer.data] == [0, 1, 2]
    assert answer.usage.prompt_tokens > 0
with telling.call("error as NotFoundError"):
    try:
        litellm.embedding(
            model="openai/absent", input=TEXTS, api_base=f"{telling.URL}/v1", max_retries=0, **mine
        )
    except litellm.NotFoundError:
        pass
    else:
        raise AssertionError("NotFoundError was expected")
telling.end()
