"""Spans of requests, as a collector gets them."""

import http.server
import json
import re
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

from dbrx_server import BINARY, MODEL
from waiting import wait_for_log, wait_until

ASK = [{"role": "user", "content": "Who are you?"}]
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Takes spans as OpenTelemetry's collector does: POST /v1/traces."""

    def __init__(self):
        self.requests = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        return [span for _, _, body in self.requests for resource in body["resourceSpans"]
                for scope in resource["scopeSpans"] for span in scope["spans"]]

    def wait_for(self, n):
        wait_until(lambda: len(self.spans()) >= n)
        return self.spans()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    running = Collector()
    yield running
    running.stop()


def attributes(span):
    """By name; OTLP writes each value with its type."""
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_a_request_is_a_span_with_the_parts_of_its_life(start_server, collector):
    server = start_server("--otlp-traces-endpoint", collector.url)
    client = server.client()
    model = client.models.list().data[0].id
    before = time.time_ns()
    answer = client.chat.completions.create(
        model=model, messages=ASK, max_tokens=7, temperature=0.5, stop=["NEVER"], seed=3,
        extra_headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    spans = {span["name"]: span for span in collector.wait_for(4)}
    assert set(spans) == {f"chat {model}", "queue", "prefill", "decode"}
    path, content_type, body = collector.requests[0]
    assert (path, content_type) == ("/v1/traces", "application/json")
    resource = body["resourceSpans"][0]["resource"]["attributes"]
    assert {"key": "service.name", "value": {"stringValue": "dbrx"}} in resource
    whole = spans[f"chat {model}"]
    assert (whole["traceId"], whole["parentSpanId"], whole["kind"]) == (TRACE, SPAN, 2)
    told = attributes(whole)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == model
    assert told["gen_ai.response.id"] == answer.id
    assert int(told["gen_ai.request.max_tokens"]) == 7 and told["gen_ai.request.temperature"] == 0.5
    assert int(told["gen_ai.request.seed"]) == 3
    assert "NEVER" not in json.dumps(spans)
    assert told["gen_ai.response.finish_reasons"] == {"values": [{"stringValue": answer.choices[0].finish_reason}]}
    assert int(told["gen_ai.usage.input_tokens"]) == answer.usage.prompt_tokens
    assert int(told["gen_ai.usage.output_tokens"]) == answer.usage.completion_tokens
    assert int(told["http.response.status_code"]) == 200
    begin, end = int(whole["startTimeUnixNano"]), int(whole["endTimeUnixNano"])
    assert before < begin < end < time.time_ns()
    last = begin
    for part in ("queue", "prefill", "decode"):
        assert spans[part]["parentSpanId"] == whole["spanId"] and spans[part]["traceId"] == TRACE
        assert last <= int(spans[part]["startTimeUnixNano"]) <= int(spans[part]["endTimeUnixNano"]) <= end
        last = int(spans[part]["endTimeUnixNano"])
    assert "Who are you" not in json.dumps(body)


def test_what_its_caller_does_not_record_is_not_sent_and_refusals_are(start_server, collector):
    server = start_server("--otlp-traces-endpoint", collector.url)
    client = server.client()
    model = client.models.list().data[0].id
    client.chat.completions.create(model=model, messages=ASK, max_tokens=2,
                                   extra_headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
    with pytest.raises(Exception):
        client.chat.completions.create(model=model, messages=ASK, n=0)
    (refused,) = collector.wait_for(1)
    assert attributes(refused)["error.type"] == "invalid_value"
    assert int(attributes(refused)["http.response.status_code"]) == 400
    assert "status" not in refused and refused["traceId"] != TRACE
    server.terminate()
    assert server.wait() == 0
    assert len(collector.spans()) == 1


def test_what_is_left_is_sent_at_the_end(start_server, collector):
    server = start_server("--otlp-traces-endpoint", collector.url)
    client = server.client()
    model = client.models.list().data[0].id
    client.completions.create(model=model, prompt="Hello", max_tokens=2)
    server.terminate()
    assert server.wait() == 0
    assert f"text_completion {model}" in {span["name"] for span in collector.spans()}


@pytest.fixture
def deaf_port():
    """One where nobody listens, and that nobody else can be given."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield deaf.getsockname()[1]


def test_without_a_collector_there_is_one_warning_and_nothing_else_changes(start_server, deaf_port):
    server = start_server("--otlp-traces-endpoint", f"http://127.0.0.1:{deaf_port}/v1/traces")
    client = server.client()
    model = client.models.list().data[0].id

    def dropped():
        with urllib.request.urlopen(server.url + "/metrics") as answer:
            return float(re.search(r"^dbrx:trace_spans_dropped_total (\d+)$", answer.read().decode(), re.MULTILINE)[1])

    for n in range(1, 4):  # one batch each
        for _ in range(3):
            answer = client.chat.completions.create(model=model, messages=ASK, max_tokens=2, temperature=0)
            assert answer.usage.completion_tokens == 2
        wait_until(lambda: dropped() >= 12 * n)  # four spans a request
    assert dropped() == 36
    assert str(deaf_port) in wait_for_log(server, "traces:")
    server.terminate()
    assert server.wait() == 0
    assert sum("traces:" in line for line in server.log) == 1


def test_an_endpoint_that_is_none_is_refused_at_once():
    for url in ("https://localhost:4318/v1/traces", "localhost:4318"):
        refused = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", "0", "--otlp-traces-endpoint", url],
                                 capture_output=True, text=True, timeout=60)
        assert refused.returncode == 1 and "endpoint of traces" in refused.stderr and url in refused.stderr
