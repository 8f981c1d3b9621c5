"""The server behind MLflow's deployments client, as a Databricks workspace with one endpoint."""

import mlflow.deployments
import pytest
from requests.exceptions import HTTPError

HELLO = [{"role": "user", "content": "Say hello to the world."}]


@pytest.fixture
def deployments(server, monkeypatch):
    monkeypatch.setenv("DATABRICKS_HOST", server.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-any")
    return mlflow.deployments.get_deploy_client("databricks")


def test_a_chat(deployments, client, model):
    inputs = {"messages": HELLO, "max_tokens": 8, "temperature": 0}
    answer = deployments.predict(endpoint=model, inputs=inputs)
    same = client.chat.completions.create(model=model, **inputs)
    assert answer["choices"][0]["message"]["content"] == same.choices[0].message.content
    assert answer["usage"]["completion_tokens"] == same.usage.completion_tokens


def test_a_streamed_chat(deployments, model):
    inputs = {"messages": HELLO, "max_tokens": 12, "temperature": 0}
    whole = deployments.predict(endpoint=model, inputs=inputs)
    chunks = list(deployments.predict_stream(endpoint=model, inputs=inputs))
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_a_completion(deployments, client, model):
    inputs = {"prompt": ["Once upon a time", "One"], "max_tokens": 6, "temperature": 0}
    answer = deployments.predict(endpoint=model, inputs={**inputs, "use_raw_prompt": True})
    same = client.completions.create(model=model, **inputs)
    assert answer["object"] == "text_completion"
    assert [c["text"] for c in answer["choices"]] == [c.text for c in same.choices]


def test_endpoints(deployments, model):
    assert model in [endpoint["name"] for endpoint in deployments.list_endpoints()]
    assert deployments.get_endpoint(model)["state"]["ready"] == "READY"


@pytest.mark.parametrize("endpoint, inputs, status, word", [
    (None, {"messages": HELLO, "temperature": "hot"}, 400, "temperature"),
    (None, {"messages": []}, 400, "messages"),
    ("other", {"messages": HELLO}, 404, "other"),
])
def test_errors_say_what_is_wrong(deployments, model, endpoint, inputs, status, word):
    with pytest.raises(HTTPError) as refused:
        deployments.predict(endpoint=endpoint or model, inputs=inputs)
    assert refused.value.response.status_code == status
    assert word in str(refused.value)
