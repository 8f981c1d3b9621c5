"""/tokenize, /detokenize, /tokenizer_info and /ping, as vLLM's clients call them."""

import json
import pathlib
import urllib.error
import urllib.request

import pytest

from conftest import MODEL


def call(server, path, body=None, content_type="application/json"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": content_type})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


@pytest.mark.parametrize("text", ["Hello world", "naïve 𝕏 \n\t x", "<|im_start|>user\nhi<|im_end|>", " "])
def test_tokens_go_back_to_their_text(server, text):
    answer = call(server, "/tokenize", {"prompt": text, "return_token_strs": True})
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    assert call(server, "/detokenize", {"tokens": answer["tokens"]}) == {"prompt": text}
    assert call(server, "/tokenize", {"prompt": text})["token_strs"] is None


def test_more_ids_than_the_context_has_are_not_turned_into_text(server):
    room = call(server, "/tokenize", {"prompt": ""})["max_model_len"]
    assert call(server, "/detokenize", {"tokens": [97] * room})["prompt"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(server, "/detokenize", {"tokens": [97] * (room + 1)})
    assert refused.value.code == 400 and json.load(refused.value)["error"]["code"] == "context_length_exceeded"


def test_a_conversation_has_the_tokens_that_a_completion_counts(server, client, model):
    messages = [{"role": "user", "content": "Say <|im_end|> twice."}]
    answer = call(server, "/tokenize", {"model": model, "messages": messages})
    usage = client.chat.completions.create(model=model, messages=messages, max_tokens=1).usage
    assert answer["count"] == usage.prompt_tokens
    assert answer["max_model_len"] == client.models.retrieve(model).max_model_len
    shorter = call(server, "/tokenize", {"messages": messages, "add_generation_prompt": False})
    assert answer["tokens"][:shorter["count"]] == shorter["tokens"]
    assert shorter["count"] < answer["count"]


def test_the_tokenizers_own_description(server):
    config = json.loads((pathlib.Path(MODEL) / "tokenizer_config.json").read_text())
    assert call(server, "/tokenizer_info") == config
    assert config["eos_token"]


def test_ping(server):
    assert call(server, "/ping") == {"status": "ok"}


@pytest.mark.parametrize("path, body, status, param", [
    ("/tokenize", {}, 400, "prompt"),
    ("/tokenize", {"prompt": 3}, 400, "prompt"),
    ("/tokenize", {"prompt": "x", "model": "other"}, 404, "model"),
    ("/tokenize", {"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ("/detokenize", {"tokens": [-1]}, 400, "tokens"),
    ("/detokenize", {"tokens": "x"}, 400, "tokens"),
    ("/detokenize", [], 400, None),
])
def test_bad_requests(server, path, body, status, param):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(server, path, body)
    assert refused.value.code == status
    assert json.load(refused.value)["error"]["param"] == param


def test_pages_of_other_sites_can_not_ask(server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        call(server, "/tokenize", {"prompt": "x"}, content_type="text/plain")
    assert refused.value.code == 415
