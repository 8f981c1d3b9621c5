"""The server as its operators meet it: TLS, key files, logs, flags, files of flags, and its end."""

import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import anthropic
import httpx
import openai
import pytest

from conftest import BINARY, MODEL
from test_raw_http import ENDLESS, LONG, connect, post, read_all, request_bytes
from waiting import PATIENCE, read_until, wait_for_log, wait_until

ASK = [{"role": "user", "content": "Who are you?"}]


def get(server, path, headers=None):
    """Status, headers and JSON body."""
    answer = httpx.get(server.url + path, headers=headers, timeout=PATIENCE)
    return answer.status_code, answer.headers, answer.json()


def run_serve(*flags, env=None):
    return subprocess.run([BINARY, "serve", "--port", "0", *flags], env=env, capture_output=True, text=True,
                          timeout=60)


def make_certificate(folder, name, days=2):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", str(days), "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)


# TLS


@pytest.fixture
def certificate(tmp_path):
    make_certificate(tmp_path, "first")
    return tmp_path


@pytest.fixture
def tls_server(start_server, certificate):
    return start_server("--ssl-certfile", certificate / "cert.pem", "--ssl-keyfile", certificate / "key.pem")


def test_openais_client_speaks_tls(tls_server, certificate):
    assert tls_server.url.startswith("https://")
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    client = openai.OpenAI(base_url=tls_server.url + "/v1", api_key="x", http_client=httpx.Client(verify=context))
    model = client.models.list().data[0].id
    stream = client.chat.completions.create(model=model, messages=ASK, max_tokens=20, temperature=0, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    whole = client.chat.completions.create(model=model, messages=ASK, max_tokens=20, temperature=0)
    assert text and text == whole.choices[0].message.content


def test_tls_takes_large_bodies_and_hears_of_clients_that_leave(tls_server, certificate):
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    body = json.dumps({"prompt": [40] * 200_000, "max_tokens": 1})  # too long, but read to its end
    connection = http.client.HTTPSConnection("127.0.0.1", tls_server.port, context=context)
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 400 and json.loads(answer.read())["error"]["code"] == "context_length_exceeded"
    connection.request("POST", "/v1/completions", json.dumps({**ENDLESS, "stream": True}),
                       {"Content-Type": "application/json", "x-request-id": "leaver"})
    assert connection.getresponse().read(100)
    connection.close()
    assert " 499 " in wait_for_log(tls_server, "leaver")


def test_a_client_without_tls_or_a_silent_one_disturbs_nobody(tls_server, certificate):
    with connect(tls_server) as plain, connect(tls_server):
        plain.sendall(request_bytes({"prompt": "x"}))
        try:
            assert not read_all(plain).startswith(b"HTTP/1.1 200")
        except ConnectionResetError:  # it need not read what is no TLS before it closes
            pass
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        assert httpx.get(tls_server.url + "/readyz", verify=context, timeout=PATIENCE).json() == {"status": "ok"}
        client = httpx.Client(verify=context, timeout=PATIENCE)
        assert client.get(tls_server.url + "/v1/models").status_code == 200


def test_a_new_certificate_holds_after_sighup(tls_server, certificate):
    make_certificate(certificate, "second")
    tls_server.process.send_signal(signal.SIGHUP)
    wait_for_log(tls_server, "SIGHUP")
    context = ssl.create_default_context(cafile=certificate / "cert.pem")  # trusts the second one only
    assert httpx.get(tls_server.url + "/livez", verify=context, timeout=PATIENCE).status_code == 200


def test_files_that_are_no_certificate_are_refused(certificate):
    refused = run_serve("--model", MODEL, "--ssl-certfile", certificate / "key.pem", "--ssl-keyfile",
                        certificate / "key.pem")
    assert refused.returncode == 1 and "key.pem: can't be used as a certificate" in refused.stderr
    half = run_serve("--model", MODEL, "--ssl-cert-file", certificate / "cert.pem")
    assert half.returncode != 0 and "--ssl-keyfile" in half.stderr


# Keys


def write_keys(path, *keys):
    path.with_suffix(".new").write_text(json.dumps({"keys": list(keys)}))
    path.with_suffix(".new").rename(path)


def test_a_key_file_has_limits_that_clients_read(start_server, tmp_path):
    path = tmp_path / "keys.json"
    digest = hashlib.sha256(b"sk-alice").hexdigest()
    write_keys(path, {"name": "alice", "sha256": digest, "requests_per_minute": 3, "output_tokens_per_minute": 1000})
    server = start_server("--api-key-file", path)
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="sk-alice", max_retries=0)
    model = client.models.list().data[0].id
    raw = client.chat.completions.with_raw_response.create(model=model, messages=ASK, max_tokens=10)
    assert raw.headers["x-ratelimit-limit-requests"] == "3" and raw.headers["x-ratelimit-remaining-requests"] == "2"
    used = raw.parse().usage.completion_tokens
    assert 1000 - used <= int(raw.headers["x-ratelimit-remaining-tokens"]) <= 1000  # it fills while we look
    ant = anthropic.Anthropic(base_url=server.url, api_key="sk-alice", max_retries=0)
    raw = ant.messages.with_raw_response.create(model=model, messages=ASK, max_tokens=10)
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "1"
    with pytest.raises(openai.BadRequestError) as never:
        client.chat.completions.create(model=model, messages=ASK, max_tokens=1001)
    assert never.value.code == "exceeds_rate_limit" and "waiting won't help" in never.value.message
    with pytest.raises(openai.RateLimitError) as later:
        client.chat.completions.create(model=model, messages=ASK, max_tokens=10)
    assert "3 requests per minute" in later.value.message and "alice" in later.value.message
    assert 1 <= int(later.value.response.headers["retry-after"]) <= 20
    with pytest.raises(anthropic.RateLimitError):
        ant.messages.create(model=model, messages=ASK, max_tokens=10)


def test_openais_client_retries_when_it_is_told(start_server, tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path, {"name": "busy", "key": "sk-busy", "requests_per_minute": 60})
    server = start_server("--api-key-file", path)
    seen = []  # when each answer came, and it
    hooks = {"response": [lambda response: seen.append((time.monotonic(), response))]}
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="sk-busy", max_retries=5,
                           http_client=httpx.Client(event_hooks=hooks))
    model = client.models.list().data[0].id

    def is_throttled():
        client.completions.create(model=model, prompt="x", max_tokens=1)  # does not fail
        return any(answer.status_code == 429 for _, answer in seen)

    wait_until(is_throttled)
    first = next(i for i, (_, answer) in enumerate(seen) if answer.status_code == 429)
    told = int(seen[first][1].headers["retry-after-ms"]) / 1000
    assert 0 < told <= 1 and seen[first + 1][0] - seen[first][0] >= told
    assert seen[-1][1].status_code == 200


def test_sighup_and_changes_bring_new_keys_and_broken_files_none(start_server, tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path, {"name": "a", "key": "one"})
    server = start_server("--api-key-file", path)

    def status(key):
        return get(server, "/v1/models", {"x-api-key": key})[0]

    assert status("one") == 200 and status("two") == 401
    write_keys(path, {"name": "a", "key": "two"})
    wait_until(lambda: status("two") == 200)
    assert status("one") == 401
    write_keys(path, {"name": "a", "key": "three", "scope": "infer"})
    server.process.send_signal(signal.SIGHUP)
    line = wait_for_log(server, "keys: the old content stays in force")
    assert status("two") == 200
    assert "keys[0].scope" in line and "three" not in line


# Limits whose name must be the true one


def test_each_limit_is_named_by_its_own_name(start_server, tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path,
               {"name": "asks", "key": "asks", "requests_per_minute": 1},
               {"name": "reads", "key": "reads", "input_tokens_per_minute": 40},
               {"name": "writes", "key": "writes", "output_tokens_per_minute": 40})
    server = start_server("--api-key-file", path)
    for key, limit in [("asks", "1 requests per minute"), ("reads", "40 input tokens per minute"),
                       ("writes", "40 output tokens per minute")]:
        body = {"prompt": [40] * 30, "max_tokens": 30, "ignore_eos": True}
        assert post(server, body, headers={"x-api-key": key})[0] == 200
        status, headers, data = post(server, body, headers={"x-api-key": key})
        error = json.loads(data)
        assert status == 429 and limit in error["message"] and error["error_code"] == "REQUEST_LIMIT_EXCEEDED"
        assert int(headers["retry-after"]) >= 1 and int(headers["retry-after-ms"]) >= 1


# Logs and ids


def test_json_logs_have_one_object_a_line(start_server, tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path, {"name": "alice", "key": "sk-alice"})
    server = start_server("--log-format", "json", "--api-key-file", path)
    headers = {"x-api-key": "sk-alice", "x-request-id": "trace-9"}
    status, got, _ = post(server, {"prompt": "my secret prompt", "max_tokens": 3, "ignore_eos": True}, headers=headers)
    assert status == 200 and got["x-request-id"] == "trace-9"
    assert post(server, {"prompt": "my secret prompt"})[0] == 401
    get(server, "/readyz")
    server.terminate()
    server.wait()
    lines = [json.loads(line) for line in server.log]
    line, = [line for line in lines if line.get("request_id") == "trace-9"]
    assert line["method"] == "POST" and line["route"] == "/v1/completions" and line["status"] == 200
    assert line["key"] == "alice" and line["completion"] == 3 and line["prompt"] > 0 and line["duration_ms"] > 0
    assert 0 <= line["queue_ms"] <= line["first_token_ms"] <= line["duration_ms"] + 1
    refused, = [line for line in lines if line.get("status") == 401]
    assert "key" not in refused and refused["request_id"].startswith("req_")
    assert all(line["level"] == "info" and line["time"].endswith("Z") for line in lines)
    assert "secret" not in "".join(server.log) and "sk-alice" not in "".join(server.log)
    assert not any(line.get("path") == "/readyz" for line in lines)


def test_prompts_are_logged_when_asked_for_and_lines_may_be_left_out(start_server):
    server = start_server("--log-prompts", "--disable-access-log-for-endpoints", "/v1/models,/version")
    body = {"prompt": "my \"quoted\" prompt", "max_tokens": 3}
    post(server, body)
    get(server, "/v1/models")
    get(server, "/version")
    get(server, "/health")
    server.terminate()
    server.wait()
    log = "".join(server.log)
    assert "body=" + json.dumps(json.dumps(body)) in log
    assert "/v1/models" not in log and "/version" not in log and "GET /health 200" in log


# Flags


def test_flags_come_from_the_command_line_then_a_file_then_the_environment(start_server, tmp_path):
    file = tmp_path / "serve.toml"
    file.write_text('max-model-len = 512\nserved_model_name = ["from-file", "second"]\n')
    os.environ.update(DBRX_MAX_MODEL_LEN="128", DBRX_STRICT_PARAMS="true")
    try:
        server = start_server("--config", file, "--alias", "from-line")
    finally:
        del os.environ["DBRX_MAX_MODEL_LEN"], os.environ["DBRX_STRICT_PARAMS"]
    models = get(server, "/v1/models")[2]["data"]
    assert [model["id"] for model in models] == ["from-line"] and models[0]["max_model_len"] == 512
    assert post(server, {"prompt": "x", "no_such_thing": 1})[0] == 400


def test_kubernetes_link_to_a_service_is_no_port(tmp_path):
    env = {**os.environ, "DBRX_PORT": "tcp://10.1.2.3:8000"}
    ended = subprocess.run([BINARY, "serve", "--model", tmp_path, "--host", "127.0.0.9"], env=env, capture_output=True,
                           text=True, timeout=60)
    assert "DBRX_PORT is ignored" in ended.stderr and "config.json" in ended.stderr  # came as far as the model
    env["DBRX_PORT"] = "http"
    ended = subprocess.run([BINARY, "serve", "--model", tmp_path], env=env, capture_output=True, text=True, timeout=60)
    assert "ignored" not in ended.stderr and "config.json" not in ended.stderr


def test_a_file_with_an_unknown_name_is_refused(tmp_path):
    file = tmp_path / "serve.toml"
    file.write_text("no-such-flag = 1\n")
    refused = run_serve("--model", MODEL, "--config", file)
    assert refused.returncode != 0 and "no-such-flag" in refused.stderr


@pytest.mark.parametrize("wrong, right", [("--prot", "--port"), ("--api-keys", "--api-key"),
                                          ("--max-num-seq=4", "--max-num-seqs")])
def test_an_unknown_flag_suggests_the_nearest(wrong, right):
    refused = run_serve("--model", MODEL, wrong)
    assert refused.returncode != 0 and f"did you mean {right}?" in refused.stderr


@pytest.mark.parametrize("wrong, right", [("serve --modle x", "--model"), ("serv --model x", "serve")])
def test_an_unknown_name_is_told_of_before_a_missing_one(wrong, right):
    refused = subprocess.run([BINARY, *wrong.split()], capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode != 0 and refused.stdout == ""
    assert f"did you mean {right}?" in refused.stderr and "required" not in refused.stderr


@pytest.mark.parametrize("flags, reason", [
    (["--tensor-parallel-size", "2"], "one process"), (["--quantization", "awq"], "dbrx quantize"),
    (["--gpu-memory-utilization", "0.9"], "--kv-cache-tokens"), (["--enable-expert-parallel"], "one process"),
    (["--n-gpu-layers", "99"], "CPU"), (["--tokenizer", "other"], "the checkpoint's own")])
def test_what_can_not_be_honoured_is_refused(flags, reason):
    refused = run_serve("--model", MODEL, *flags)
    assert refused.returncode != 0 and flags[0] in refused.stderr and reason in refused.stderr


def test_flags_of_other_servers_that_ask_for_nothing_are_accepted(start_server):
    server = start_server("--trust-remote-code", "--tensor-parallel-size", "1", "--dtype", "auto", "--enable-chunked-prefill",
                          "-c", "256", "--parallel", "4", "--disable-log-requests")
    assert get(server, "/v1/models")[2]["data"][0]["max_model_len"] == 256
    server.terminate()
    server.wait()
    assert "/v1/models" not in "".join(server.log)


def test_help_has_groups_and_a_variable_for_each_flag():
    text = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True).stdout
    for group in ["Model and engine:", "Network:", "Keys:", "Safety:", "Log:", "Of other servers:"]:
        assert group in text
    assert "Env:DBRX_API_KEY_FILE" in text and "Env:DBRX_SSL_CERTFILE" in text and "--config" in text


# Health and the end


def test_probes_need_no_key_and_have_the_forms_of_their_clients(start_server):
    server = start_server("--api-key", "k")
    for path in ["/livez", "/readyz", "/health", "/ping"]:
        assert get(server, path)[::2] == (200, {"status": "ok"})
    assert get(server, "/v1/health/ready")[2] == {"object": "health.response", "message": "Service is ready.",
                                                  "status": "ready"}
    assert get(server, "/v1/health/live")[2]["status"] == "live"
    assert get(server, "/version")[0] == 401


def test_while_a_stream_finishes_after_sigterm_new_requests_get_503(start_server):
    """The stream is more than kernels hold, and is not read to its end before the rest is seen."""
    server = start_server("--shutdown-timeout", "3600")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.settimeout(300)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(request_bytes({**LONG, "n": 6, "logprobs": 20, "stream": True}))
        data = connection.recv(1024)
        server.terminate()

        def is_told():
            nonlocal data
            data += connection.recv(1024)  # a client that reads nothing would be given up
            return get(server, "/readyz")[0] == 503

        wait_until(is_told)
        status, headers, body = post(server, {"prompt": "x"})
        assert status == 503 and headers["retry-after"] and b"shutting_down" in body
        assert get(server, "/livez")[0] == 200
        data += read_all(connection)
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n") and len(data) > 5 << 20
    assert server.wait() == 0


def test_a_stream_of_stats_does_not_hold_up_the_end(start_server):
    server = start_server("--shutdown-timeout", "3600")
    with connect(server) as connection, connect(server) as leaver:
        for client in [connection, leaver]:
            client.sendall(b"GET /dbrx/v1/stats?stream=true&interval_ms=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            read_until(client, b"data: ")
        leaver.close()
        server.terminate()
        read_all(connection)
        assert server.wait() == 0


@pytest.mark.parametrize("flags, words", [
    (("--max-num-seqs", "193"), ["--max-num-seqs", "192"]),
    (("--max-model-len", "99999"), ["--max-model-len", "2048"]),
    (("--kv-cache-tokens", "64"), ["--kv-cache-tokens", "2048"]),
    (("--activations", "fast"), ["--activations fast", "packed"]),
    (("--api-key-file", "/nonexistent/keys.json"), ["/nonexistent/keys.json"]),
    (("--ssl-certfile", "/nonexistent/cert.pem", "--ssl-keyfile", "/nonexistent/key.pem"), ["/nonexistent/cert.pem"]),
])
def test_flags_that_make_no_sense_are_refused_before_weights_are_read(tmp_path, flags, words):
    for file in pathlib.Path(MODEL).glob("*.json"):
        if "index" not in file.name:
            shutil.copy(file, tmp_path)
    refused = run_serve("--model", tmp_path, *flags)
    assert refused.returncode != 0 and "safetensors" not in refused.stderr
    assert all(word in refused.stderr for word in words), refused.stderr


def test_fewer_sequences_than_the_flags_say_are_told_of():
    ended = run_serve("--check", "--model", MODEL, "--max-num-batched-tokens", "32")
    assert "32 sequences run at a time, not 64 (--max-num-seqs)" in ended.stderr


@pytest.mark.parametrize("flags, env, words", [
    ((), {"DBRX_API_KEY": ""}, ["DBRX_API_KEY is empty"]),
    ((), {"DBRX_API_KEY_FILE": ""}, ["DBRX_API_KEY_FILE is empty"]),
    ((), {"DBRX_API_KEYS": "secret"}, ["DBRX_API_KEYS names no flag", "DBRX_API_KEY,"]),
    (("--host", "0.0.0.0"), {}, ["--api-key", "--no-keys"]),
    (("--no-keys", "--api-key", "a"), {}, ["--no-keys contradicts"]),
])
def test_a_server_that_should_have_keys_does_not_start_without(flags, env, words):
    refused = run_serve("--model", MODEL, *flags, env={**os.environ, **env})
    assert refused.returncode != 0 and all(word in refused.stderr for word in words), refused.stderr
    assert "secret" not in refused.stderr


def test_a_variable_that_names_no_flag_is_told_of():
    ended = run_serve("--model", "/nonexistent", env={**os.environ, "DBRX_MAX_MODEL_LENGTH": "7"})
    assert "DBRX_MAX_MODEL_LENGTH; did you mean DBRX_MAX_MODEL_LEN?" in ended.stderr


def test_the_default_model_starts_with_little_memory(start_server):
    status = pathlib.Path(f"/proc/{start_server().process.pid}/status").read_text()
    assert int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[1]) < 150_000


# A log that nobody reads


def test_a_log_that_nobody_reads_stops_nobody():
    """Each request leaves a line of some hundred bytes, and a pipe takes 64 KB."""
    process = subprocess.Popen([BINARY, "serve", "--model", MODEL, "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    try:
        with httpx.Client(timeout=PATIENCE) as client:
            for _ in range(3000):
                assert client.get(url + "/v1/models").status_code == 200
            assert client.get(url + "/livez").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()


def test_a_log_whose_reader_has_gone_stops_nobody():
    process = subprocess.Popen([BINARY, "serve", "--model", MODEL, "--port", "0"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    url = process.stdout.readline().split()[-1]
    process.stdout.close()
    process.stderr.close()
    try:
        for _ in range(3):
            assert httpx.get(url + "/v1/models", timeout=PATIENCE).status_code == 200
        lost = re.search(r"^dbrx:log_lines_dropped_total\S* (\d+)", httpx.get(url + "/metrics").text, re.MULTILINE)
        assert int(lost[1]) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
