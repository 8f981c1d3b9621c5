"""The routes of Databricks model serving: raw, through OpenAI's SDK and through Databricks' own."""

import json
import urllib.error
import urllib.request

import databricks.sdk
import openai
import pytest
from databricks.sdk.service.serving import ChatMessage, ChatMessageRole

HELLO = [{"role": "user", "content": "Say hello to the world."}]


@pytest.fixture(scope="module")
def endpoints(server):
    return openai.OpenAI(base_url=server.url + "/serving-endpoints", api_key="dapi-any", max_retries=0)


def call(server, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        server.url + path, data, {"Content-Type": "application/json", "Authorization": "Bearer dapi-any"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer), answer.headers


def refusal(server, path, body):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(server, path, body)
    return refused.value.code, json.load(refused.value)


def test_invocations_of_a_chat(server, model, client):
    body = {"messages": HELLO, "max_tokens": 8, "temperature": 0, "client_request_id": "x"}
    answer, headers = call(server, f"/serving-endpoints/{model}/invocations", body)
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl_")
    assert headers["served-model-name"] == model
    same = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8, temperature=0)
    assert answer["choices"][0]["message"]["content"] == same.choices[0].message.content


def test_prompts_are_messages_unless_raw(server, model, client):
    path = f"/serving-endpoints/{model}/invocations"
    body = {"prompt": "Say hello to the world.", "max_tokens": 8, "temperature": 0}
    wrapped, _ = call(server, path, body)
    chat = client.chat.completions.create(model=model, messages=HELLO, max_tokens=8, temperature=0)
    assert wrapped["object"] == "text_completion"
    assert wrapped["choices"][0]["text"] == chat.choices[0].message.content
    raw, _ = call(server, path, {**body, "use_raw_prompt": True})
    plain = client.completions.create(model=model, prompt=body["prompt"], max_tokens=8, temperature=0)
    assert raw["choices"][0]["text"] == plain.choices[0].text


def test_the_openai_sdk_on_serving_endpoints(endpoints, model):
    answer = endpoints.chat.completions.create(model=model, messages=HELLO, max_tokens=5)
    assert answer.usage.completion_tokens <= 5
    text = endpoints.completions.create(model=model, prompt="Once", max_tokens=3)
    assert text.object == "text_completion"


def test_every_chunk_has_usage(endpoints, model):
    chunks = list(endpoints.chat.completions.create(model=model, messages=HELLO, max_tokens=6, stream=True))
    assert all(chunk.usage is not None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)  # nothing for those who index choices[0]
    counts = [chunk.usage.completion_tokens for chunk in chunks]
    assert counts == sorted(counts) and counts[0] == 0
    assert len({chunk.usage.prompt_tokens for chunk in chunks}) == 1 and chunks[0].usage.prompt_tokens > 0


@pytest.mark.parametrize("path, body, status, code", [
    ("/serving-endpoints/other/invocations", {"messages": HELLO}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("/serving-endpoints/chat/completions", {"messages": HELLO, "n": 6}, 400, "BAD_REQUEST"),
    ("/serving-endpoints/chat/completions", {"messages": []}, 400, "BAD_REQUEST"),
    ("/serving-endpoints/chat/completions", {"messages": HELLO, "extra_params": {"a": "b"}}, 400, "BAD_REQUEST"),
    ("/serving-endpoints/completions", {"prompt": "x", "error_behavior": "retry"}, 400, "BAD_REQUEST"),
])
def test_errors_have_both_shapes(server, path, body, status, code):
    got, error = refusal(server, path, body)
    assert got == status
    assert error["error_code"] == code
    assert error["message"] == error["error"]["message"]


def test_a_long_prompt_is_an_error_or_truncated(server, client, model):
    path = f"/serving-endpoints/{model}/invocations"
    context = client.models.retrieve(model).max_model_len
    body = {"prompt": "word " * (2 * context), "use_raw_prompt": True, "max_tokens": 4}
    assert refusal(server, path, body)[0] == 400
    answer, _ = call(server, path, {**body, "error_behavior": "truncate"})
    assert answer["usage"]["prompt_tokens"] == context - 4
    answer, _ = call(server, path, {**body, "truncate_prompt_tokens": 10})
    assert answer["usage"]["prompt_tokens"] == 10


def test_the_endpoint_is_listed(server, model):
    listed, _ = call(server, "/api/2.0/serving-endpoints")
    one, _ = call(server, f"/api/2.0/serving-endpoints/{model}")
    assert one in listed["endpoints"]
    assert one["state"]["ready"] == "READY" and one["task"] == "llm/v1/chat"
    with pytest.raises(urllib.error.HTTPError):
        call(server, "/api/2.0/serving-endpoints/other")


def test_databricks_own_sdk(server, model):
    workspace = databricks.sdk.WorkspaceClient(host=server.url, token="dapi-any")
    answer = workspace.serving_endpoints.query(
        name=model, messages=[ChatMessage(role=ChatMessageRole.USER, content="Hello")], max_tokens=5)
    assert answer.choices[0].message.content is not None
    assert model in [endpoint.name for endpoint in workspace.serving_endpoints.list()]
