"""/dbrx/v1/stats and /dbrx/v1/requests: what people and pages see of the server."""

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from waiting import read_until, wait_until

ASK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "enum": ["Paris"]}}, "required": ["city"]}}}


def get(server, path, key=None, **headers):
    """As who started the server, unless there is a key."""
    if key := key or server.token:
        headers["Authorization"] = f"Bearer {key}"
    with urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers), timeout=300) as answer:
        return json.load(answer)


def post(server, path, body, **headers):
    headers["Content-Type"] = "application/json"
    with urllib.request.urlopen(urllib.request.Request(server.url + path, body, headers), timeout=300) as answer:
        return json.load(answer)


def refusal(server, path, **options):
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(server, path, **options)
    return refused.value.code, json.load(refused.value)["error"]


def ask(server, key="none", **options):
    client = server.client().with_options(api_key=key)
    model = client.models.list().data[0].id
    return client.chat.completions.create(model=model, messages=ASK, **{"max_tokens": 5, "temperature": 0, **options})


@pytest.fixture(scope="module")
def watched(request):
    from conftest import Server
    server = Server()
    request.addfinalizer(server.stop)
    return server


def test_stats_count_what_the_client_counted(start_server):
    watched = start_server()  # what others did would leave the last minute while we look
    before = get(watched, "/dbrx/v1/stats")
    answers = [ask(watched, max_tokens=n) for n in (3, 6, 9)]
    begin = time.time()
    after = get(watched, "/dbrx/v1/stats")
    end = time.time()

    def more(*path):
        def value(of):
            for name in path:
                of = of[name]
            return of
        return value(after) - value(before)

    completion = sum(answer.usage.completion_tokens for answer in answers)
    assert more("engine", "generated_tokens") == completion
    assert more("engine", "prompt_tokens") == sum(answer.usage.prompt_tokens for answer in answers)
    assert more("last_minute", "inter_token_seconds", "count") == completion - 3
    assert more("last_minute", "time_to_first_token_seconds", "count") == 3
    assert more("last_minute", "request_seconds", "count") == 3
    assert after["engine"]["running"] == after["engine"]["waiting"] == 0
    assert after["cache"]["free_blocks"] == after["cache"]["blocks"] and after["cache"]["usage"] == 0
    first, token, whole = (after["last_minute"][name]["p50"] for name in
                           ("time_to_first_token_seconds", "inter_token_seconds", "request_seconds"))
    # Quantiles are rounded alike: on a busy machine the first token may be all that takes time.
    assert 0 < token <= whole and 0 < first <= whole
    minute = after["last_minute"]
    assert 0 < minute["busy"] <= 1 and minute["rows_per_step"] >= 1 and minute["generated_tokens_per_second"] > 0
    (key,) = after["keys"]
    assert key["key"] is None and key["completion_tokens"] == completion
    layers = after["experts"]["tokens"]
    assert len(layers) == len(after["experts"]["balance"]) and len({sum(layer) for layer in layers}) == 1
    assert begin - 0.01 <= after["at"] <= end + 0.01


def test_stats_come_as_a_stream(watched):
    begin = time.monotonic()
    with urllib.request.urlopen(watched.url + "/dbrx/v1/stats?stream=true&interval_ms=100", timeout=300) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        events = []
        while len(events) < 5:
            line = stream.readline().decode()
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
    assert time.monotonic() - begin > 0.35  # four intervals
    assert [event["at"] for event in events] == sorted({event["at"] for event in events})


def open_stream(server, path):
    """A stream of stats, once the server has seen that earlier ones were left."""
    def opened():
        try:
            return urllib.request.urlopen(server.url + path, timeout=300)
        except urllib.error.HTTPError as error:
            assert error.code == 429
            return None

    return wait_until(opened)


def test_there_are_only_so_many_streams_of_stats(watched):
    path = "/dbrx/v1/stats?stream=true&interval_ms=10000"
    with contextlib.ExitStack() as streams:
        for _ in range(64):
            streams.enter_context(open_stream(watched, path))
        code, error = refusal(watched, path)
        assert code == 429 and error["param"] == "stream"
        assert get(watched, "/dbrx/v1/stats")["at"]
    open_stream(watched, path).close()


def test_a_stream_of_stats_ends_with_the_server(start_server):
    server = start_server("--shutdown-timeout", "3600")  # is not waited for
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /dbrx/v1/stats?stream=true&interval_ms=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        read_until(client, b"data: ")
        server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize("path, param", [
    ("/dbrx/v1/stats?stream=yes", "stream"), ("/dbrx/v1/stats?interval_ms=1", "interval_ms"),
    ("/dbrx/v1/stats?window=5", "window"), ("/dbrx/v1/requests?limit=0", "limit"),
    ("/dbrx/v1/requests?before=x", "before"), ("/metrics?x=%zz", "x")])
def test_a_query_that_is_not_understood_is_refused(watched, path, param):
    code, error = refusal(watched, path)
    assert code == 400 and error["param"] == param


def test_a_request_can_be_opened_again_from_its_record(watched):
    answer = ask(watched, seed=5)
    (record,) = get(watched, f"/dbrx/v1/requests?search={answer.id}")["data"]
    assert record["id"] == answer.id and record["status"] == 200 and record["error"] is None
    assert record["input"] == ASK
    (choice,) = record["choices"]
    assert choice["answer"] == answer.choices[0].message.content
    assert choice["finish_reason"] == answer.choices[0].finish_reason
    assert record["usage"]["completion_tokens"] == answer.usage.completion_tokens == choice["completion_tokens"]
    assert record["params"]["max_tokens"] == 5 and record["params"]["seed"] == 5
    assert record["route"] == "/v1/chat/completions" and record["dialect"] == "openai"
    assert 0 < choice["time_to_first_token_seconds"] <= record["seconds"]
    again = server_answer(watched, record)
    assert again == choice["answer"]


def server_answer(server, record):
    client = server.client()
    answer = client.chat.completions.create(model=record["model"], messages=record["input"],
                                            **{name: record["params"][name] for name in ("max_tokens", "temperature")})
    return answer.choices[0].message.content


def test_streams_calls_and_refusals_are_recorded_too(watched):
    stream = ask(watched, stream=True, max_tokens=8)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    called = ask(watched, tools=[TOOL], tool_choice="required", max_tokens=60).choices[0].message.tool_calls[0]
    with pytest.raises(Exception):
        ask(watched, n=0)
    refused, with_call, streamed = get(watched, "/dbrx/v1/requests?limit=3")["data"]
    assert streamed["choices"][0]["answer"] == text and streamed["params"]["stream"] is True
    assert with_call["choices"][0]["tool_calls"] == [
        {"id": called.id, "name": "get_weather", "arguments": called.function.arguments}]
    assert refused["status"] == 400 and refused["error_code"] == "invalid_value" and refused["choices"] == []
    assert "n" in refused["error"]


def test_a_client_that_leaves_is_recorded_as_such(watched):
    with socket.create_connection(("127.0.0.1", watched.port)) as client:
        body = json.dumps({"messages": ASK, "max_tokens": 1000, "n": 64, "ignore_eos": True, "logprobs": True,
                           "stream": True}).encode()
        client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       b"X-Request-Id: leaves\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        read_until(client, b'"logprob":')  # of a token that was generated
    found = wait_until(lambda: get(watched, "/dbrx/v1/requests?search=leaves")["data"])
    assert found[0]["status"] == 499 and found[0]["choices"][0]["finish_reason"] == "cancelled"
    assert found[0]["request_id"] == "leaves" and found[0]["usage"]["completion_tokens"] > 0


def test_pages_go_from_the_newest_to_the_oldest(watched):
    ids = [ask(watched, max_tokens=1).id for _ in range(4)][::-1]
    first = get(watched, "/dbrx/v1/requests?limit=2")
    assert [record["id"] for record in first["data"]] == ids[:2] and first["has_more"] is True
    second = get(watched, f"/dbrx/v1/requests?limit=2&after={first['data'][1]['cursor']}")
    assert [record["id"] for record in second["data"]] == ids[2:]


def test_pages_of_requests_with_the_same_id_come_to_an_end(watched):
    for _ in range(4):
        with pytest.raises(urllib.error.HTTPError):  # refused before it has an id of the server's
            post(watched, "/v1/completions", b"no JSON", **{"X-Request-Id": "same-id-4711"})
    path, cursors = "/dbrx/v1/requests?limit=1&search=same-id-4711", []
    page = get(watched, path)
    while page["has_more"] and len(cursors) < 9:
        cursors.append(page["data"][0]["cursor"])
        page = get(watched, f"{path}&after={cursors[-1]}")
    assert len(cursors) == 3 and cursors == sorted(set(cursors), reverse=True)


def test_without_keys_requests_are_shown_to_who_started_the_server(watched):
    assert len(watched.token) == 48
    for name in ("localhost", "127.0.0.1:8000", "evil.example"):  # whatever the name, and wherever a page comes from
        code, error = refusal(watched, "/dbrx/v1/requests", key="none", Host=name)
        assert code == 403 and "#token=" in error["message"], name
        assert get(watched, "/dbrx/v1/requests", Host=name)["object"] == "list", name


@pytest.mark.parametrize("field", ["Forwarded", "Via", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Host"])
def test_without_keys_requests_are_not_shown_through_a_proxy(watched, field):
    """nginx and Apache ask as 127.0.0.1, by that name."""
    code, error = refusal(watched, "/dbrx/v1/requests", Host="127.0.0.1:8000", **{field: "203.0.113.9"})
    assert code == 403 and field.lower() in error["message"].lower() and "--admin-api-key" in error["message"]


def test_texts_or_all_can_be_left_out(start_server):
    without_texts = start_server("--no-record-texts")
    answer = ask(without_texts)
    (record,) = get(without_texts, "/dbrx/v1/requests")["data"]
    assert record["input"] is None and record["choices"][0]["answer"] is None
    assert record["usage"]["completion_tokens"] == answer.usage.completion_tokens
    ask(without_texts, stop=["Mrs Smith"])
    with pytest.raises(urllib.error.HTTPError):
        post(without_texts, "/v1/chat/completions", json.dumps({"messages": "Mr Smith is ill"}).encode())
    refused = get(without_texts, "/dbrx/v1/requests")
    assert refused["data"][0]["error"] == "invalid_value: messages" and "Smith" not in json.dumps(refused)
    nothing = start_server("--no-record-requests")
    ask(nothing)
    code, error = refusal(nothing, "/dbrx/v1/requests")
    assert code == 404 and "--no-record-requests" in error["message"]


def test_each_key_sees_its_own_usage_and_admins_all(start_server):
    server = start_server("--api-key", "first", "--api-key", "second", "--admin-api-key", "boss")
    used = {key: ask(server, key=key, max_tokens=n).usage.completion_tokens for key, n in (("first", 3), ("second", 6))}
    assert {usage["key"]: usage["completion_tokens"] for usage in get(server, "/dbrx/v1/stats", key="boss")["keys"]} == {
        "key-1": used["first"], "key-2": used["second"]}
    (own,) = get(server, "/dbrx/v1/stats", key="second")["keys"]
    assert own["key"] == "key-2" and own["completion_tokens"] == used["second"] and own["requests"] == 1
    assert refusal(server, "/dbrx/v1/requests", key="first")[0] == 403
    assert refusal(server, "/dbrx/v1/requests")[0] == 401
    assert {record["key"] for record in get(server, "/dbrx/v1/requests", key="boss")["data"]} == {"key-1", "key-2"}


def test_an_address_that_others_reach_shows_no_requests_without_keys(start_server):
    server = start_server("--host", "0.0.0.0", "--no-keys")
    ask(server)
    assert refusal(server, "/dbrx/v1/requests", key="none")[0] == 403
