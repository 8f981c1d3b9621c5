"""What other servers are known to get wrong, and the tests that keep this one from it.

TRAPS names, for each trap, the tests that hold it: those of this file, of its neighbours, and of the server's units.
"""

import concurrent.futures
import contextlib
import itertools
import json
import re
import select

import pytest

from conftest import ROOT
from test_raw_http import connect, post, request_bytes
from test_tools import TOOLS, WEATHER

TRAPS = {
    "max_completion_tokens is ignored, and a text that was cut says `stop`": [
        "test_both_token_limits_end_with_length",
        "TEST(Server, EndsAtTheEndOfTextAndHonoursBothNamesOfTheTokenLimit)"],
    "presence_penalty becomes another penalty": ["test_penalties_are_what_their_formulas_say"],
    "logit_bias and n are accepted and not used": [
        "test_logit_bias_forces_a_token", "test_several_choices_differ_and_are_numbered"],
    "seed, stream_options and echo are accepted and not used": [
        "test_the_same_seed_gives_the_same_text", "test_a_streamed_chat_says_the_same_as_a_whole_one",
        "test_the_text_begins_with_the_prompt"],
    "parallel_tool_calls is accepted and not used": ["test_parallel_calls"],
    "json_object is refused": ["test_an_answer_cut_by_max_tokens_is_a_beginning"],
    "a parameter is taken and dropped": [
        "TEST(OpenAiParams, RefusesKnownParametersUnlessTheyAskForNothing)",
        "test_unknown_parameters_are_named_in_a_header", "test_strict_servers_refuse_unknown_parameters"],
    "the key guards some routes and not others": [
        "TEST(ApiKeys, EveryRouteWantsOneButHealthAndTheIndex)", "TEST(ApiKeys, AKeyMayOnlyWhatItsScopesSay)",
        "TEST(ApiKeys, ARequestIsRefusedBeforeItsBodyIsRead)"],
    "an error is a flat object or a string": [
        "test_every_error_is_an_object", "test_errors_have_both_shapes",
        "TEST(OpenAiFormat, MakesErrorsThatSdksUnderstand)"],
    "status 200, and then an error event": [
        "test_a_stream_that_can_not_be_has_no_status_200",
        "test_what_cannot_be_honoured_is_refused_before_the_stream",
        "TEST(Server, SendsErrorsBeforeTheStatusOfAStream)"],
    "a schema whose compilation never ends blocks the server": [
        "test_a_schema_that_would_take_for_ever_is_refused", "test_hostile_grammars_and_templates_hold_up_nobody",
        "TEST(Grammar, CompilingIsBounded)",
        "TEST(EngineGrammar, one_that_becomes_too_costly_ends_its_choice_with_an_error)"],
    "/health says 200 of a dead engine or of damaged weights": [
        "TEST(ServerLoad, HealthTellsWhenTheEngineHangs)", "TEST(ServerLoad, HealthDoesNotTakeIdlingForHanging)",
        "test_damaged_weights_are_found_and_nothing_is_answered_from_them",
        "test_while_a_stream_finishes_after_sigterm_new_requests_get_503"],
    "clients index choices[0] of a chunk that only has usage": [
        "test_streams_have_no_usage_unless_asked", "test_every_chunk_has_usage"],
    "parameters that work alone do not work together": ["test_features_go_together"],
    "logprobs are refused beside functions in a stream": ["test_logprobs_of_streamed_calls"],
    "an error names another limit than the one that was met": [
        "test_an_error_names_the_true_limit", "test_each_limit_is_named_by_its_own_name",
        "TEST(RateLimits, WhatCanNeverFitIsToldSo)"],
    "bodies of more than a megabyte are not logged": ["test_large_bodies_are_watched_and_logged"],
    "the guardrails of answers are off in streams": [
        "test_large_bodies_are_watched_and_logged", "test_an_answer_is_cut_before_a_keyword",
        "TEST(ServerSafety, ABlockedAnswerEndsBeforeTheFindAndStopsTheEngine)",
        "TEST(ServerSafety, AMaskedAnswerGoesOn)"],
}

HELLO = [{"role": "user", "content": "Say hello to the world."}]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["age"],
          "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150}}}


def test_each_trap_has_its_tests():
    files = [*ROOT.glob("python/clients/test_*.py"), *ROOT.glob("src/*/*_test.cc")]
    text = "\n".join(file.read_text() for file in files)
    there = set(re.findall(r"^def (test_\w+)\(", text, re.M)) | set(re.findall(r"^TEST\(\w+, \w+\)", text, re.M))
    named = set(itertools.chain.from_iterable(TRAPS.values()))
    assert named <= there, named - there


@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
def test_penalties_are_what_their_formulas_say(client, model, name):
    """The likeliest token after the penalty is among the 20 likeliest before it, as fewer than 20 are penalized."""
    request = dict(model=model, prompt="One two one two one two one", max_tokens=15, temperature=0, logprobs=20,
                   extra_body={"ignore_eos": True, "skip_special_tokens": False})
    penalty = 1.5
    logprobs = client.completions.create(**request, **{name: penalty}).choices[0].logprobs
    count = {}
    for token, top in zip(logprobs.tokens, logprobs.top_logprobs):
        def after_penalty(item):
            n = count.get(item[0], 0)
            return item[1] - penalty * (n if name == "frequency_penalty" else min(n, 1))
        assert token == max(top.items(), key=after_penalty)[0]
        count[token] = count.get(token, 0) + 1
    assert logprobs.tokens != client.completions.create(**request).choices[0].logprobs.tokens


@pytest.mark.parametrize("path, body, status", [
    ("/v1/chat/completions", {"messages": HELLO, "temperature": "hot"}, 400),
    ("/v1/chat/completions", {"messages": HELLO, "model": "other"}, 404),
    ("/v1/completions", {"prompt": "x", "tools": [1]}, 400),
    ("/v1/completions", b"{", 400),
    ("/v1/nothing", {}, 404),
    ("/health", {}, 405),
    ("/tokenize", {}, 400),
    ("/serving-endpoints/other/invocations", {"messages": HELLO}, 404),
    ("/v1/messages", {"messages": HELLO}, 400),
    ("/v1/messages", {"messages": HELLO, "max_tokens": 1, "model": "other"}, 404),
])
@pytest.mark.parametrize("stream", [False, True])
def test_every_error_is_an_object(server, path, body, status, stream):
    if isinstance(body, dict) and stream:
        body = {**body, "stream": True}
    got, headers, data = post(server, body, path)
    assert got == status and headers["Content-Type"].startswith("application/json")
    answer = json.loads(data)
    assert isinstance(answer["error"]["message"], str) and isinstance(answer["error"]["type"], str)
    assert {"param", "code"} <= set(answer["error"])
    assert answer["type"] == "error" and answer["error_code"] and answer["message"] == answer["error"]["message"]


@pytest.mark.parametrize("body", [
    {"prompt": "word " * 100_000},
    {"prompt": [40] * 5000},
    {"prompt": "x", "max_tokens": 1_000_000},
    {"prompt": "x", "n": 0},
    {"prompt": [[10_000_000]]},
    {"prompt": ["x", ""]},
    {"prompt": "x", "structured_outputs": {"grammar": "start: nothing"}},
    {"prompt": "x", "structured_outputs": {"regex": "("}},
    {"prompt": "x", "guided_json": {"type": "thing"}},
    {"messages": [{"role": "user"}]},
    {"messages": [{"role": "user", "content": "word " * 100_000}]},
    {"messages": HELLO, "max_tokens": 1_000_000},
    {"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "thing"}}}},
], ids=lambda body: json.dumps(body)[:40])
def test_a_stream_that_can_not_be_has_no_status_200(server, body):
    path = "/v1/chat/completions" if "messages" in body else "/v1/completions"
    status, headers, data = post(server, {**body, "stream": True}, path)
    assert status == 400 and json.loads(data)["error"]["message"]
    assert "event-stream" not in headers["Content-Type"]


def in_pieces(data):
    """Text and logprobs of each choice of a stream."""
    texts, logprobs = {}, {}
    *events, done = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    for choice in itertools.chain.from_iterable(json.loads(event)["choices"] for event in events):
        i = choice["index"]
        texts[i] = texts.get(i, "") + (choice.get("text") or choice.get("delta", {}).get("content") or "")
        of_piece = choice.get("logprobs") or {}
        logprobs.setdefault(i, []).extend(of_piece.get("content") or of_piece.get("token_logprobs") or [])
    return texts, logprobs


@pytest.mark.parametrize("path, base, score", [
    ("/v1/chat/completions", {"messages": HELLO}, {"logprobs": True, "top_logprobs": 2}),
    ("/v1/completions", {"prompt": "Once upon a time"}, {"logprobs": 2}),
    ("/v1/completions", {"prompt": ["One", "Two"], "echo": True}, {"logprobs": 2}),
    ("/serving-endpoints/chat/completions", {"messages": HELLO}, {"logprobs": True, "top_logprobs": 2}),
], ids=["chat", "completion", "echo", "databricks"])
def test_features_go_together(server, path, base, score):
    """Every set of them is answered, and a stream has the text and the logprobs of the whole answer."""
    features = [score, {"n": 2}, {"guided_json": SCHEMA}, {"presence_penalty": 0.5, "logit_bias": {"40": 1}},
                {"stream_options": {"include_usage": True}}]
    for chosen in itertools.product([False, True], repeat=len(features)):
        body = {**base, "max_tokens": 12, "seed": 3}
        for feature in itertools.compress(features, chosen):
            body.update(feature)
        options = {"stream": True, **{k: body.pop(k) for k in ("stream_options",) if k in body}}
        status, _, data = post(server, body, path)
        assert status == 200, (body, data)
        choices = json.loads(data)["choices"]
        status, _, data = post(server, {**body, **options}, path)
        assert status == 200, (body, data)
        texts, logprobs = in_pieces(data)
        for choice in choices:
            whole = choice["logprobs"] or {}
            assert texts[choice["index"]] == choice.get("text", choice.get("message", {}).get("content")), body
            assert logprobs[choice["index"]] == whole.get("content", whole.get("token_logprobs", [])), body


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_logprobs_of_streamed_calls(server, choice):
    """They are of the text that the model wrote, calls included, and those of the whole answer."""
    body = {"messages": WEATHER, "tools": TOOLS, "tool_choice": choice, "logprobs": True, "top_logprobs": 2,
            "max_tokens": 60, "temperature": 0}
    whole = json.loads(post(server, body, "/v1/chat/completions")[2])["choices"][0]
    name, arguments = (whole["message"]["tool_calls"][0]["function"][key] for key in ("name", "arguments"))
    tokens = whole["logprobs"]["content"]
    written = bytes(itertools.chain.from_iterable(token["bytes"] for token in tokens)).decode()
    assert written.startswith("<tool_call>") and f'"{name}"' in written and arguments in written
    assert all(len(token["top_logprobs"]) == 2 for token in tokens)
    status, _, data = post(server, {**body, "stream": True}, "/v1/chat/completions")
    assert status == 200 and in_pieces(data)[1] == {0: tokens}


@pytest.mark.parametrize("stream", [False, True])
def test_large_bodies_are_watched_and_logged(start_server, stream):
    """The answer and the question of a request of more than a megabyte go through the filters, in streams too."""
    watched = start_server("--safety-pii", "mask")
    mail = "ann.lee@example.com"
    body = {"messages": [{"role": "user", "content": f"Who is {mail}?"}], "guided_choice": [f"Ask {mail}."],
            "max_tokens": 60, "stream": stream, "enable_safety_filter": True, "metadata": {"note": "x" * 1_500_000}}
    status, _, data = post(watched, body, "/v1/chat/completions", {"x-request-id": "large"}.items())
    assert status == 200 and mail.encode() not in data
    if stream:
        assert in_pieces(data)[0] == {0: "Ask [EMAIL]."}
    else:
        assert json.loads(data)["choices"][0]["message"]["content"] == "Ask [EMAIL]."
    assert data.count(b'"category":"email"') == 2  # of the question, of the answer
    watched.stop()
    assert any(line.rstrip().endswith(" large") and "chat/completions 200" in line for line in watched.log)


@pytest.mark.parametrize("path, body, words", [
    ("/v1/completions", {"prompt": ["x"] * 300}, ["256", "prompt"]),
    ("/v1/completions", {"prompt": ["x"] * 100, "n": 20}, ["1024", "choices"]),
    ("/v1/completions", {"prompt": "x", "n": 129}, ["128"]),
    ("/serving-endpoints/chat/completions", {"messages": HELLO, "n": 6}, ["5"]),
    ("/v1/completions", {"prompt": "x", "stop": ["y"] * 17}, ["16"]),
    ("/v1/completions", {"prompt": [40] * 3000}, ["3000", "context"]),
])
def test_an_error_names_the_true_limit(server, path, body, words):
    status, _, data = post(server, body, path)
    error = json.loads(data)["error"]
    assert status == 400 and error["type"] == "invalid_request_error"
    assert all(word in error["message"] for word in words), error["message"]
    assert not re.search(r"\brate\b|QPS", error["message"])


# What to ask for, and the statuses that it may get. Whether what is near the budget is refused or ends at a token that
# takes too long is a matter of the machine's speed.
HOSTILE = {
    "a schema that never ends": ({"guided_json": {"type": "integer", "multipleOf": 99999989}}, (400,)),
    "a schema of thousands of properties": ({"guided_json": {"type": "object", "properties": {
        f"p{i}": {"type": "string", "pattern": "^(x|y){3,70}$"} for i in range(3000)}}}, (400, 500)),
    "a schema of endless memory": ({"guided_json": {"type": "array", "maxItems": 10_000_000}}, (400,)),
    "a deep schema": ({"guided_json": json.loads('{"items":' * 50 + "{}" + "}" * 50), "max_tokens": 20}, (200,)),
    "an expression of very many states": ({"guided_regex": "((a{1,999}){1,999}){999}", "max_tokens": 300}, (500,)),
    "an expression that looks back": ({"guided_regex": "(a|b)*a(a|b){25}", "max_tokens": 100}, (200, 500)),
    "rules that begin with themselves": ({"guided_grammar": "start: list\nlist: item | list item\nitem: /[a-z]/",
                                          "max_tokens": 300}, (200, 500)),
    "rules that can be read in many ways": ({"guided_grammar": "start: e\ne: e e | /[a-z]/", "max_tokens": 120,
                                             "min_tokens": 120}, (200,)),
    "a template": ({"chat_template": "{% for i in range(10 ** 9) %}{% for j in range(10 ** 9) %}{% endfor %}"
                                     "{% endfor %}"}, (400,)),
}
N_ENDLESS = 6  # schemas that take a second each


def test_hostile_grammars_and_templates_hold_up_nobody(start_server):
    """Others get their answers, with grammars that are new, while what is asked for takes for ever, to compile or to
    follow."""
    server = start_server("--api-key", "flood", "--api-key", "polite")
    flood = {"Authorization": "Bearer flood"}
    numbers = itertools.count()

    def ask(name):
        status = 503  # where the machine is too busy to find out what it costs
        while status == 503:
            status, _, data = post(server, {"messages": HELLO, **HOSTILE[name][0]}, "/v1/chat/completions", flood)
        return status, data

    def be_polite():
        fresh = {"prompt": "x", "guided_json": {"enum": [f"never asked for before: {next(numbers)}"]}}
        for path, body in [("/v1/completions", fresh), ("/v1/chat/completions", {"messages": HELLO})]:
            status, _, data = post(server, body, path, {"Authorization": "Bearer polite"})
            assert status == 200, data

    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(len(HOSTILE)) as pool:
        asked = pool.map(ask, HOSTILE)  # sends them now
        endless = [stack.enter_context(connect(server)) for _ in range(N_ENDLESS)]
        for i, connection in enumerate(endless):
            body = {"prompt": "x", "guided_json": {"type": "integer", "multipleOf": 99999971 - 2 * i}}
            connection.sendall(request_bytes(body, headers=flood))
        for _ in range(5):
            be_polite()
        answered, _, _ = select.select(endless, [], [], 0)
        assert len(answered) < N_ENDLESS / 2
        for connection in endless:
            connection.close()  # nobody waits for them any more
        answers = dict(zip(HOSTILE, asked))
    for name, (status, data) in answers.items():
        assert status in HOSTILE[name][1], (name, status, data)
