"""An answer is a matter of its request and seed: nothing that the server does besides changes a bit of it."""

import concurrent.futures
import json
import re
import subprocess
import urllib.request

import pytest

from companions import companions
from conftest import BINARY
from test_raw_http import open_post, post
from test_structured_output import SCHEMA
from test_tools import TOOLS, WEATHER
from test_traps import HELLO, in_pieces

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
STORY = " ".join(f"The {i}th boat of the harbour left for the island with {i} sacks." for i in range(24))

# What each dialect and each way of choosing tokens makes of a request. With logprobs, where the form has them.
REQUESTS = {
    "greedy": (COMPLETIONS, {"prompt": "Once upon a time", "temperature": 0, "max_tokens": 24, "logprobs": 5,
                             "return_token_ids": True}),
    "sampled": (CHAT, {"messages": HELLO, "seed": 1, "temperature": 0.9, "top_p": 0.95, "max_tokens": 24,
                       "logprobs": True, "top_logprobs": 3, "return_token_ids": True}),
    "penalties": (COMPLETIONS, {"prompt": "One two one two one", "seed": 2, "repetition_penalty": 1.1, "top_k": 40,
                                "frequency_penalty": 0.5, "logit_bias": {"40": 2}, "max_tokens": 24, "logprobs": 2}),
    "choices": (COMPLETIONS, {"prompt": ["A", "The rain"], "n": 3, "seed": 3, "max_tokens": 16, "logprobs": 1,
                              "ignore_eos": True}),
    "found": (COMPLETIONS, {"prompt": STORY, "seed": 10, "max_tokens": 24, "logprobs": 2}),  # in the cache, later
    "long": (COMPLETIONS, {"prompt": STORY, "seed": 4, "max_tokens": 24, "logprobs": 2, "prompt_logprobs": 1,
                           "return_routed_experts": True}),
    "stream": (CHAT, {"messages": HELLO, "seed": 5, "max_tokens": 24, "logprobs": True, "stream": True}),
    "grammar": (CHAT, {"messages": HELLO, "seed": 6, "max_tokens": 24, "guided_json": SCHEMA, "logprobs": True}),
    "tools": (CHAT, {"messages": WEATHER, "tools": TOOLS, "seed": 7, "max_tokens": 60, "logprobs": True}),
    "responses": ("/v1/responses", {"input": "Who are you?", "seed": 8, "max_output_tokens": 24,
                                    "include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    "anthropic": ("/v1/messages", {"messages": HELLO, "temperature": 0, "max_tokens": 24}),
    "databricks": ("/serving-endpoints/completions", {"prompt": "Who are you?", "seed": 9, "max_tokens": 24,
                                                      "logprobs": 1}),
}
# A plain loop of doubles needs seconds for a hundred tokens.
FEW = ["greedy", "sampled", "grammar"]
# Different from one answer to the next by their nature, or because they tell what was not computed.
NOT_COMPARED = {"id", "call_id", "created", "created_at", "completed_at", "cached_tokens"}


def without_ids(value):
    if isinstance(value, dict):
        return {key: without_ids(item) for key, item in value.items() if key not in NOT_COMPARED}
    return [without_ids(item) for item in value] if isinstance(value, list) else value


def answer_to(server, name):
    path, body = REQUESTS[name]
    status, _, data = post(server, body, path)
    assert status == 200, (name, data)
    return in_pieces(data) if body.get("stream") else without_ids(json.loads(data))


def answers(server, names=tuple(REQUESTS), at_once=False):
    with concurrent.futures.ThreadPoolExecutor(len(names) if at_once else 1) as pool:
        return dict(zip(names, pool.map(lambda name: answer_to(server, name), names)))


def preemptions(server):
    with urllib.request.urlopen(server.url + "/metrics") as answer:
        return float(re.search(r"^vllm:num_preemptions_total\{.*\} (\S+)$", answer.read().decode(), re.MULTILINE)[1])


@pytest.fixture(scope="module")
def alone(server):
    """Each answer of a server that does nothing else."""
    return answers(server)


def companion(i):
    """One of many requests that have nothing in common with those that are compared."""
    body = {"seed": i, "max_tokens": 10 + i % 20, "ignore_eos": True, "temperature": i % 3 / 2}
    if i % 4 == 0:
        return CHAT, {**body, "messages": [{"role": "user", "content": STORY[i: i * 40]}]}
    if i % 4 == 1:
        return COMPLETIONS, {**body, "prompt": STORY[: i * 20 + 1], "logprobs": 20, "stream": True}
    if i % 4 == 2:
        return COMPLETIONS, {**body, "prompt": [100 + i] * (i + 1), "n": 1 + i % 3}
    return CHAT, {**body, "messages": HELLO, "guided_regex": "[a-z]{1,200}"}


def test_many_companions_change_no_bit(start_server, alone):
    crowded = start_server("--max-num-seqs", "96")
    with companions(crowded, 64, companion):
        assert answers(crowded, at_once=True) == alone


def test_a_repeated_request_gets_the_same_bits(server, alone):
    assert answers(server) == alone
    assert answers(server, at_once=True) == alone
    path, body = REQUESTS["found"]
    again = json.loads(post(server, body, path)[2])
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] >= 64
    assert without_ids(again) == alone["found"]


@pytest.mark.parametrize("flags", [
    ["--max-num-batched-tokens", "1"], ["--max-num-batched-tokens", "37"], ["--max-num-seqs", "3"],
    ["--threads", "1"], ["--threads", "3"],
], ids=" ".join)
def test_flags_of_speed_change_no_bit(start_server, alone, flags):
    assert answers(start_server(*flags), at_once=True) == alone


def test_preemption_changes_no_bit(server, start_server, alone):
    """More important requests that need all of a small cache put others out, which go on later. The two choices of the
    urgent one begin together and do not fit beside each other: they put each other out, should all else be over."""
    small = start_server("--max-model-len", "512", "--kv-cache-tokens", "512")
    patient = {"prompt": "Once upon a time", "seed": 1, "max_tokens": 200, "ignore_eos": True, "logprobs": 1,
               "stream": True}
    urgent = {**patient, "prompt": "The rain", "seed": 2, "max_tokens": 400, "priority": -1, "n": 2}
    names = tuple(name for name in REQUESTS if REQUESTS[name][1].get("prompt") != STORY)  # no room in this context

    def stream(body, server=small):
        return in_pieces(post(server, body)[2])

    with concurrent.futures.ThreadPoolExecutor(4) as pool, open_post(small, patient) as response:
        begin = response.readline()  # it runs, and holds what the others will need
        others = pool.submit(answers, small, names, at_once=True)
        urgent_stream = pool.submit(stream, urgent)
        streams = [in_pieces(begin + response.read()), urgent_stream.result()]
        others = others.result()
    assert preemptions(small) > 0
    assert streams == [stream(body, server) for body in [patient, urgent]]
    assert others == {name: alone[name] for name in names}


def best_isa():
    return subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


ISAS = ["scalar", "avx2", "avx512", "amx"]


@pytest.mark.parametrize("isa", ISAS[: ISAS.index(best_isa())])
def test_a_forced_instruction_set_changes_no_bit(start_server, alone, isa):
    names = FEW if isa == "scalar" else REQUESTS
    assert answers(start_server("--isa", isa), tuple(names)) == {name: alone[name] for name in names}
