"""The server behind litellm, by three of its providers: hosted vLLM, OpenAI and Databricks."""

import json
import os

# litellm would otherwise fetch its table of prices from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402
import pytest  # noqa: E402

from conftest import model_name  # noqa: E402

HELLO = [{"role": "user", "content": "Say hello to the world."}]
PROVIDERS = {"hosted_vllm": "/v1", "openai": "/v1", "databricks": "/serving-endpoints"}


@pytest.fixture(params=PROVIDERS)
def options(server_of_bf16, request):
    """Of every call."""
    return {"model": f"{request.param}/{model_name(server_of_bf16)}", "api_base": server_of_bf16.url + PROVIDERS[request.param],
            "api_key": "any", "num_retries": 0, "timeout": 300}


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_a_chat_whole_and_streamed(options):
    request = {**options, "messages": HELLO, "max_tokens": 12, "temperature": 0}
    whole = litellm.completion(**request)
    assert whole.choices[0].message.content and whole.choices[0].finish_reason in ("stop", "length")
    assert 1 <= whole.usage.completion_tokens <= 12
    chunks = list(litellm.completion(**request, stream=True, stream_options={"include_usage": True}))
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert text_of(litellm.completion(**request, stream=True)) == whole.choices[0].message.content


def test_a_schema(options):
    schema = {"type": "object", "additionalProperties": False, "required": ["age"],
              "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}}}
    answer = litellm.completion(**options, messages=HELLO, response_format={
        "type": "json_schema", "json_schema": {"name": "p", "schema": schema, "strict": True}})
    assert 0 <= json.loads(answer.choices[0].message.content)["age"] <= 150


def test_errors_have_their_classes(options):
    with pytest.raises(litellm.BadRequestError) as refused:
        litellm.completion(**options, messages=HELLO, n=1000)
    assert "n: expected an integer from 1 to" in str(refused.value)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**options, "model": options["model"] + "-not"}, messages=HELLO)


def test_a_text_completion(options):
    request = {**options, "prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
    whole = litellm.text_completion(**request)
    streamed = litellm.text_completion(**request, stream=True)
    assert "".join(chunk.choices[0].text or "" for chunk in streamed) == whole.choices[0].text
