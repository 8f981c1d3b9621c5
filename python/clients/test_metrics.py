"""/metrics, by Debian's promtool and by a real Prometheus that answers the queries of dashboards."""

import json
import math
import os
import pathlib
import re
import subprocess
import time
import urllib.error
import urllib.request

import httpx
import pytest

import prometheus
from dbrx_server import BINARY, ROOT
from test_operations import make_certificate
from waiting import wait_until

ASK = [{"role": "user", "content": "Who are you?"}]
QUANTILES = (0.5, 0.9, 0.95, 0.99)

# What vLLM's own Grafana dashboard asks, with the variables that Grafana fills in.
LATENCIES = ("e2e_request_latency_seconds", "inter_token_latency_seconds", "time_to_first_token_seconds")
MODEL = 'model_name="$model_name"'
STOCK = [
    *(f"histogram_quantile({q}, sum by(le) (rate(vllm:{name}_bucket{{{MODEL}}}[$__rate_interval])))"
      for name in LATENCIES for q in QUANTILES),
    *(f"rate(vllm:{name}_sum{{{MODEL}}}[$__rate_interval])\n/\n"
      f"rate(vllm:{name}_count{{{MODEL}}}[$__rate_interval])" for name in LATENCIES),
    *(f"rate(vllm:{name}{{{MODEL}}}[$__rate_interval])"
      for name in ("prompt_tokens_total", "generation_tokens_total", "request_queue_time_seconds_sum",
                   "request_prefill_time_seconds_sum", "request_decode_time_seconds_sum",
                   "request_max_num_generation_tokens_sum")),
    *(f"vllm:{name}{{{MODEL}}}" for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")),
    *(f"sum by(le) (increase(vllm:{name}_bucket{{{MODEL}}}[$__rate_interval]))"
      for name in ("request_prompt_tokens", "request_generation_tokens")),
    f"sum by(finished_reason) (increase(vllm:request_success_total{{{MODEL}}}[$__rate_interval]))",
]


def filled_in(expression, model):
    """As Grafana sends it."""
    for name, value in (("$__rate_interval", "1m"), ("$__interval", "1m"), ("$model_name", model)):
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def get(server, path, **headers):
    with urllib.request.urlopen(urllib.request.Request(server.url + path, headers=headers)) as answer:
        return answer.read().decode()


class Traffic:
    """What a client saw of its own requests."""

    def __init__(self, client, model):
        self.prompt = self.completion = self.requests = 0
        self.longest = 0
        self.finished = {"stop": 0, "length": 0}
        self.first_token, self.whole = [], []
        for max_tokens in (1, 4, 9, 16, 25, 64):
            begin = time.monotonic()
            first = None
            for chunk in client.chat.completions.create(model=model, messages=ASK, max_tokens=max_tokens, temperature=0,
                                                        stream=True, stream_options={"include_usage": True}):
                if chunk.choices and chunk.choices[0].delta.content and first is None:
                    first = time.monotonic() - begin
                if chunk.choices and chunk.choices[0].finish_reason:
                    self.finished[chunk.choices[0].finish_reason] += 1
                if chunk.usage:
                    usage = chunk.usage
            self.prompt += usage.prompt_tokens
            self.completion += usage.completion_tokens
            self.longest += usage.completion_tokens
            self.requests += 1
            self.first_token.append(first)
            self.whole.append(time.monotonic() - begin)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory, request):
    """A server of its own, a Prometheus that has scraped it before and after some traffic, and that traffic."""
    from conftest import Server
    server = Server()
    request.addfinalizer(server.stop)
    watch = prometheus.Prometheus(tmp_path_factory.mktemp("prometheus"), server.port)
    request.addfinalizer(watch.stop)
    watch.wait_for_scrapes()
    client = server.client()
    traffic = Traffic(client, client.models.list().data[0].id)
    watch.wait_for_scrapes()
    watch.freeze()
    return server, watch, traffic


def test_promtool_finds_nothing_but_the_colon_of_vllms_names(server):
    text = get(server, "/metrics")
    checked = subprocess.run([prometheus.folder() / "promtool", "check", "metrics"], input=text, text=True,
                             capture_output=True)
    complaints = (checked.stdout + checked.stderr).splitlines()
    others = [line for line in complaints if not re.fullmatch(r"(vllm|dbrx):\w+ metric names should not contain ':'", line)]
    assert complaints and others == []


def test_the_type_is_that_of_the_text_format(server):
    with urllib.request.urlopen(server.url + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_a_real_prometheus_counts_what_the_client_counted(scraped):
    server, watch, traffic = scraped

    def vllm(name, **labels):
        chosen = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return watch.value(f"vllm:{name}{{{chosen}}}")

    assert vllm("prompt_tokens_total") == traffic.prompt
    assert vllm("generation_tokens_total") == traffic.completion
    assert vllm("request_prompt_tokens_sum") == traffic.prompt
    assert vllm("request_generation_tokens_sum") == traffic.completion
    assert vllm("request_max_num_generation_tokens_sum") == traffic.longest
    for reason, n in traffic.finished.items():
        assert vllm("request_success_total", finished_reason=reason) == n
    assert vllm("time_to_first_token_seconds_count") == traffic.requests
    assert vllm("inter_token_latency_seconds_count") == traffic.completion - traffic.requests
    assert vllm("e2e_request_latency_seconds_count") == traffic.requests
    assert 0 < vllm("e2e_request_latency_seconds_sum") < sum(traffic.whole)
    assert 0 < vllm("time_to_first_token_seconds_sum") < vllm("e2e_request_latency_seconds_sum")
    parts = [vllm(f"request_{part}_time_seconds_sum") for part in ("prefill", "decode")]
    assert math.isclose(sum(parts), vllm("request_inference_time_seconds_sum"), rel_tol=1e-6)
    assert vllm("num_requests_running") == vllm("num_requests_waiting") == 0
    assert watch.value('http_requests_total{handler="/v1/chat/completions",method="POST",status="2xx"}') == traffic.requests
    steps = watch.value("dbrx:steps_total")
    assert watch.value("dbrx:step_rows_count") == steps >= traffic.completion
    assert watch.value('dbrx:key_tokens_total{kind="completion"}') == traffic.completion


def test_experts_get_every_token_of_every_layer(scraped):
    server, watch, traffic = scraped
    config = json.loads((ROOT / "models/dbrx-nano/config.json").read_text())
    top_k = config["ffn_config"]["moe_top_k"]
    layers = watch.query("sum by(layer) (dbrx:expert_tokens_total)")
    assert len(layers) == config["n_layers"]
    # The last token of an answer is never computed, and a cached prompt not again.
    rows = watch.value("dbrx:step_rows_sum")
    assert {float(layer["value"][1]) for layer in layers} == {rows * top_k}
    for layer in watch.query("dbrx:expert_balance"):
        assert 0 < float(layer["value"][1]) <= 1
    assert watch.value("dbrx:memory_read_bytes_per_second") > 1e8
    # Of the last minute, in which the slowest machines made no step.
    assert watch.value("last_over_time(dbrx:roof_share[10m])") > 0


def test_the_queries_of_vllms_dashboard_have_the_right_answers(scraped):
    server, watch, traffic = scraped
    (model,) = watch.get("/api/v1/label/model_name/values")["data"]
    answers = {}
    for expression in STOCK:
        answers[expression] = watch.query(filled_in(expression, model))
        assert answers[expression], f"no series for {expression}"
        for series in answers[expression]:
            assert math.isfinite(float(series["value"][1])), f"no number for {expression}"

    def value(start):
        ((series,),) = [answers[e] for e in STOCK if e.startswith(start)]
        return float(series["value"][1])

    mean = value("rate(vllm:e2e_request_latency_seconds_sum")
    assert mean <= sum(traffic.whole) / traffic.requests
    assert value("histogram_quantile(0.5, sum by(le) (rate(vllm:e2e") <= 2 * max(traffic.whole) + 0.3
    # Prometheus extrapolates increases to the whole of its window.
    reasons = answers[STOCK[-1]]
    ended = {series["metric"]["finished_reason"]: float(series["value"][1]) for series in reasons}
    for reason, n in traffic.finished.items():
        assert n * 0.8 <= ended[reason] <= n * 1.5 + 0.1
    assert ended["abort"] == ended["error"] == 0


def expressions(panels):
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from expressions(panel.get("panels", []))


def test_every_query_of_our_dashboard_is_answered(scraped):
    server, watch, traffic = scraped
    dashboard = json.loads((ROOT / "deploy/grafana/dbrx.json").read_text())
    (model,) = watch.get("/api/v1/label/model_name/values")["data"]
    seen = list(expressions(dashboard["panels"]))
    assert len(seen) > 20 and sum("dbrx:" in expression for expression in seen) > 8
    for expression in seen:
        assert watch.query(filled_in(expression, model)), f"no series for {expression}"


def test_what_is_seldom_is_counted_by_its_kind(start_server):
    server = start_server()
    client = server.client()
    model = client.models.list().data[0].id
    for body in ({"n": 0}, {"stop": 7}):
        with pytest.raises(Exception):
            client.chat.completions.create(model=model, messages=ASK, extra_body=body)
    with pytest.raises(urllib.error.HTTPError):
        get(server, "/not/there")
    answer = client.completions.create(model=model, prompt=["Hello", "World"], n=2, max_tokens=3, temperature=1)
    text = get(server, "/metrics")
    assert f'dbrx:request_errors_total{{code="invalid_value",status="400"}} 2' in text
    assert 'http_requests_total{handler="none",method="GET",status="4xx"} 1' in text
    counted = re.findall(r'vllm:request_success_total\{.*finished_reason="(?:stop|length)".*\} (\d+)', text)
    assert sum(map(int, counted)) == len(answer.choices) == 4
    assert 'dbrx:http_answers_total{method="GET",status="404"} 1' in text
    client.completions.create(model=model, prompt="x", max_tokens=2, extra_body={"guided_regex": "[ab]+"})
    assert "dbrx:grammar_wait_seconds_count 1\n" in get(server, "/metrics")
    assert re.search(r"vllm:request_params_n_sum\{.*\} 2\n", text)


def test_the_process_is_described_as_the_system_describes_it(start_server):
    before = time.time()
    server = start_server()

    def value(name):
        return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])

    text = get(server, "/metrics")
    process = pathlib.Path(f"/proc/{server.process.pid}")
    pages = int((process / "statm").read_text().split()[1])
    assert value("process_resident_memory_bytes") == pytest.approx(pages * os.sysconf("SC_PAGESIZE"), rel=0.3)
    assert 0 < value("process_resident_memory_bytes") < value("process_virtual_memory_bytes")
    assert before - 2 < value("process_start_time_seconds") < time.time() + 2  # /proc counts whole seconds since the boot
    assert value("process_open_fds") == pytest.approx(len(list((process / "fd").iterdir())), abs=20)
    limits = re.search(r"Max open files\s+(\d+)", (process / "limits").read_text())
    assert value("process_max_fds") == int(limits[1])
    ticks = sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
    assert 0 < value("process_cpu_seconds_total") <= ticks / os.sysconf("SC_CLK_TCK") + 1
    version = subprocess.check_output([BINARY, "--version"], text=True)
    assert re.search(r'dbrx:build_info\{fingerprint="dbrx-\S+",version="(\S+)"\} 1', text)[1] in version


# Alerts

RULES = ROOT / "deploy/prometheus/dbrx.rules.yml"


def test_each_alert_fires_when_it_should_and_none_for_a_server_that_is_well():
    for command in (["check", "rules", RULES], ["test", "rules", RULES.with_suffix(".test.yml")]):
        done = subprocess.run([prometheus.folder() / "promtool", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def series_of(text):
    """The labels, as a set of names, of each series of a scrape, by its name."""
    found = {}
    for name, labels in re.findall(r"^([\w:]+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_series_and_label_of_rules_and_dashboard_is_one_of_a_live_server(start_server, tmp_path):
    make_certificate(tmp_path, "x")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{"name": "a", "key": "k", "scopes": ["infer", "metrics"]}]}))
    server = start_server("--api-key-file", tmp_path / "keys.json", "--ssl-certfile", tmp_path / "cert.pem",
                          "--ssl-keyfile", tmp_path / "key.pem")
    with httpx.Client(base_url=server.url, headers={"x-api-key": "k"}, verify=False, timeout=300) as client:
        for body in ({"prompt": "x", "max_tokens": 3}, {"prompt": 7}):
            client.post("/v1/completions", json=body)
        wait_until(lambda: "\ndbrx:roof_share{" in client.get("/metrics").text)  # comes with the next look
        live = series_of(client.get("/metrics").text)
    dashboard = json.loads((ROOT / "deploy/grafana/dbrx.json").read_text())
    rules = re.findall(r"expr: (?:\|\n)?(.*?)\n +(?:for|labels):", RULES.read_text(), re.DOTALL)
    assert len(rules) > 8
    for expression in [*rules, *expressions(dashboard["panels"])]:
        named = re.findall(r"\b((?:vllm|dbrx):\w+|(?:http|process)_\w+)(?:\{([^}]*)\})?", expression)
        assert named or "up{" in expression, expression
        for name, labels in named:
            assert name in live, f"{name} of {expression}"
            assert set(re.findall(r"(\w+)=", labels)) <= live[name] | {"job", "instance"}, expression
