"""Ids and experts of tokens, and the text of what stopped them, as vLLM's clients ask for them."""

import base64
import concurrent.futures
import io
import json
import pathlib
import re

import numpy as np
import openai
import pytest

from conftest import MODEL, token_id
from test_raw_http import post
from test_tokenizer_routes import call

CONFIG = json.loads((pathlib.Path(MODEL) / "config.json").read_text())
N_EXPERTS, TOP_K = CONFIG["ffn_config"]["moe_num_experts"], CONFIG["ffn_config"]["moe_top_k"]
HELLO = [{"role": "user", "content": "Say hello to the world."}]
DETAILS = {"return_token_ids": True, "return_routed_experts": True}
CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
REQUESTS = [
    (CHAT, {"messages": HELLO}),
    (CHAT, {"messages": HELLO, "n": 3, "temperature": 1.5, "max_tokens": 20}),
    (CHAT, {"messages": HELLO, "stop": ["world", "!"], "logprobs": True}),
    (CHAT, {"messages": HELLO, "guided_choice": ["yes", "naïve 𝕏"]}),
    (COMPLETION, {"prompt": "Once upon a time", "max_tokens": 1}),
    (COMPLETION, {"prompt": ["One two", "naïve 𝕏 " * 200], "n": 2, "max_tokens": 12, "echo": True, "logprobs": 1}),
    ("/serving-endpoints/chat/completions", {"messages": HELLO, "max_tokens": 6}),
    ("/serving-endpoints/completions", {"prompt": "Once", "max_tokens": 6, "n": 2}),
]


def ask(server, path, **fields):
    status, _, data = post(server, {"seed": 7, **DETAILS, **fields}, path)
    assert status == 200, data
    return json.loads(data)


def stream(server, path, **fields):
    """The chunks."""
    status, _, data = post(server, {"seed": 7, **DETAILS, **fields, "stream": True}, path)
    assert status == 200, data
    *events, done = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(event) for event in events]


def array(text):
    return np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)


def details(answer):
    """Of each choice: ids of the prompt, ids and experts."""
    return [(choice.get("prompt_token_ids", answer.get("prompt_token_ids")), choice["token_ids"],
             array(choice["routed_experts"])) for choice in answer["choices"]]


def text_of(choice):
    return choice["text"] if "text" in choice else choice["message"]["content"]


def same(one, other):
    return all(a[:2] == b[:2] and np.array_equal(a[2], b[2]) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("path, fields", REQUESTS)
def test_ids_are_those_of_the_text(server, path, fields):
    answer = ask(server, path, **fields)
    n_ids = 0
    for choice, (prompt, ids, _) in zip(answer["choices"], details(answer), strict=True):
        text = call(server, "/detokenize", {"tokens": ids})["prompt"]
        said = text_of(choice)
        if "echo" in fields:
            begin = fields["prompt"][choice["index"] // fields["n"]]
            assert said.startswith(begin) and call(server, "/detokenize", {"tokens": prompt})["prompt"] == begin
            said = said[len(begin):]
        if choice["stop_reason"]:
            assert text.startswith(said + choice["stop_reason"])
        else:
            assert re.sub(r"<\|\w+\|>", "", text).rstrip("\ufffd") == said.rstrip("\ufffd")
        n_ids += len(ids)
    assert n_ids == answer["usage"]["completion_tokens"]
    if "messages" in fields:
        assert answer["prompt_token_ids"] == call(server, "/tokenize", {"messages": HELLO})["tokens"]


@pytest.mark.parametrize("path, fields", REQUESTS)
def test_experts_of_every_token_that_was_computed(server, path, fields):
    for prompt, ids, experts in details(ask(server, path, **fields)):
        assert experts.shape == (len(prompt) + len(ids) - 1, CONFIG["n_layers"], TOP_K)
        assert experts.dtype == np.uint8 and experts.max() < N_EXPERTS
        assert (np.diff(experts.astype(int)) > 0).all()  # none twice; ascending
        # They are of this text: as a prompt it has the same ones.
        again = ask(server, COMPLETION, prompt=prompt + ids[:-1], max_tokens=1)
        assert np.array_equal(array(again["choices"][0]["routed_experts"]), experts)


@pytest.mark.parametrize("path, fields", REQUESTS)
def test_a_stream_in_pieces_is_the_whole(server, path, fields):
    answer = ask(server, path, **fields)
    prompts, ids, experts, texts, n_chunks = {}, {}, {}, {}, {}
    for at, chunk in enumerate(stream(server, path, **fields)):
        choice = chunk["choices"][0]
        i = choice["index"]
        assert "token_ids" not in choice or choice["token_ids"]
        ids.setdefault(i, []).extend(choice.get("token_ids", []))
        if "routed_experts" in choice:
            experts.setdefault(i, []).append(array(choice["routed_experts"]))
        texts[i] = texts.get(i, "") + (choice.get("text") or choice.get("delta", {}).get("content") or "")
        if "prompt_token_ids" in chunk:
            assert at == 0
            prompts = dict.fromkeys(range(fields.get("n", 1)), chunk["prompt_token_ids"])
        if "prompt_token_ids" in choice:
            assert i not in n_chunks
            prompts[i] = choice["prompt_token_ids"]
        n_chunks[i] = n_chunks.get(i, 0) + 1
    assert same(details(answer), [(prompts[i], ids[i], np.concatenate(experts[i])) for i in sorted(ids)])
    for i, choice in enumerate(answer["choices"]):
        assert texts[i] == text_of(choice)


def test_company_changes_nothing(server):
    """The same request again, and among others in one batch; its prompt is computed in several pieces."""
    fields = dict(prompt=["word " * 700, "One"], n=2, max_tokens=30, temperature=1)
    alone = details(ask(server, COMPLETION, **fields))
    assert not np.array_equal(alone[0][2], alone[1][2])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        others = [pool.submit(ask, server, CHAT, messages=HELLO, max_tokens=100, seed=i, n=3, temperature=2)
                  for i in range(4)]
        again = [pool.submit(ask, server, COMPLETION, **fields) for _ in range(3)]
        for answer in again:
            assert same(details(answer.result()), alone)
        for answer in others:
            answer.result()


def test_openais_client_reads_them(client, model):
    answer = client.chat.completions.create(model=model, messages=HELLO, max_tokens=5, extra_body=DETAILS)
    assert len(answer.choices[0].token_ids) == answer.usage.completion_tokens
    assert len(answer.prompt_token_ids) == answer.usage.prompt_tokens
    first, *others = client.completions.create(
        model=model, prompt="One", max_tokens=5, stream=True, extra_body={**DETAILS, "ignore_eos": True})
    assert first.choices[0].prompt_token_ids and not hasattr(others[0].choices[0], "prompt_token_ids")
    assert sum(len(getattr(chunk.choices[0], "token_ids", [])) for chunk in [first, *others]) == 5


@pytest.mark.parametrize("path, fields", [
    (CHAT, {"messages": HELLO, "logprobs": True, "top_logprobs": 2, "ignore_eos": True, "max_tokens": 12}),
    (COMPLETION, {"prompt": "naïve 𝕏", "logprobs": 2, "max_tokens": 12}),
])
def test_logprobs_name_tokens_by_their_ids(server, path, fields):
    def names(answer):
        logprobs = answer["choices"][0]["logprobs"]
        if path == CHAT:
            return [(token["token"], token["logprob"], [top["token"] for top in token["top_logprobs"]])
                    for token in logprobs["content"]]
        return list(zip(logprobs["tokens"], logprobs["token_logprobs"], map(list, logprobs["top_logprobs"])))

    answer = ask(server, path, return_tokens_as_token_ids=True, **fields)
    named = names(answer)
    assert [name for name, _, _ in named] == [f"token_id:{i}" for i in answer["choices"][0]["token_ids"]]
    assert all(top.startswith("token_id:") for _, _, tops in named for top in tops)
    assert [logprob for _, logprob, _ in named] == [logprob for _, logprob, _ in names(ask(server, path, **fields))]


@pytest.mark.parametrize("whole", [True, False])
def test_the_text_ends_with_what_stopped_it(client, model, whole):
    def text(include, **fields):
        extra = {"include_stop_str_in_output": include, **fields.pop("extra_body", {})}
        answer = client.completions.create(model=model, prompt="Once upon a time", temperature=0, max_tokens=40,
                                           stream=not whole, extra_body=extra, **fields)
        choices = [chunk.choices[0] for chunk in ([answer] if whole else answer)]
        assert choices[-1].finish_reason == "stop"
        return "".join(choice.text for choice in choices)

    free = client.completions.create(
        model=model, prompt="Once upon a time", temperature=0, max_tokens=40, extra_body={"ignore_eos": True})
    stop = free.choices[0].text[9:14]
    assert len(stop) == 5
    fields = {"stop": [stop], "extra_body": {"ignore_eos": True}}
    cut = text(False, **fields)
    assert stop not in cut and text(True, **fields) == cut + stop
    ended = dict(logit_bias={str(token_id("<|im_end|>")): 100})
    assert text(False, **ended) == text(True, **ended) == ""
    shown = {"extra_body": {"skip_special_tokens": False}, **ended}
    assert (text(False, **shown), text(True, **shown)) == ("", "<|im_end|>")


@pytest.mark.parametrize("fields, param", [
    ({"return_token_ids": True, "enable_safety_filter": True}, "return_token_ids"),
    ({"return_routed_experts": True, "enable_safety_filter": True}, "return_routed_experts"),
    ({"return_tokens_as_token_ids": True}, "return_tokens_as_token_ids"),
    ({"include_stop_str_in_output": True, "guided_regex": "a+"}, "include_stop_str_in_output"),
    ({"include_stop_str_in_output": True, "tools": [{"type": "function", "function": {"name": "f"}}]},
     "include_stop_str_in_output"),
])
def test_what_cannot_be_honoured_is_refused(client, model, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=model, messages=HELLO, extra_body=fields)
    assert refused.value.param == param
