"""A server with keys, as each dialect's own client meets it."""

import subprocess

import anthropic
import openai
import pytest
from openai import OpenAI

from dbrx_server import BINARY, MODEL

KEY = "sk-right_key.1"
ASK = [{"role": "user", "content": "Who are you?"}]
GREEDY = {"temperature": 0}  # so that the answer does not end by chance before its fifth token


@pytest.fixture
def locked(start_server):
    return start_server("--api-key", "another", "--api-key", KEY)


def openai_client(server, path, key):
    return OpenAI(base_url=server.url + path, api_key=key, max_retries=0)


@pytest.mark.parametrize("path", ["/v1", "/serving-endpoints"])
def test_openai_and_databricks_clients_send_bearer_keys(locked, path):
    model = openai_client(locked, "/v1", KEY).models.list().data[0].id
    answer = openai_client(locked, path, KEY).chat.completions.create(
        model=model, messages=ASK, max_tokens=5, extra_body=GREEDY)
    assert answer.usage.completion_tokens == 5
    with pytest.raises(openai.AuthenticationError) as refused:
        openai_client(locked, path, "wrong").chat.completions.create(model=model, messages=ASK, max_tokens=5)
    assert refused.value.status_code == 401 and refused.value.code == "invalid_api_key"
    assert "x-api-key" in refused.value.message and "wrong" not in refused.value.message


def test_anthropics_client_sends_x_api_key(locked):
    model = openai_client(locked, "/v1", KEY).models.list().data[0].id

    def ask(**key):
        client = anthropic.Anthropic(base_url=locked.url, max_retries=0, **key)
        return client.messages.create(model=model, messages=ASK, max_tokens=5, extra_body=GREEDY)

    assert ask(api_key=KEY).usage.output_tokens == 5
    assert ask(auth_token=KEY).usage.output_tokens == 5
    with pytest.raises(anthropic.AuthenticationError) as refused:
        ask(api_key="wrong")
    assert refused.value.body["error"]["type"] == "authentication_error"


def test_the_key_may_come_from_the_environment_and_a_bad_one_is_refused_at_once():
    refused = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", "0"], env={"DBRX_API_KEY": "two words"},
                             capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "API key" in refused.stderr and len(refused.stderr.splitlines()) == 1
