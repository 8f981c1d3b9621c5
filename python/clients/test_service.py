"""The server as a service: what its manager hears of it, how it leaves a balancer, and that it calls nobody."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import httpx
import pytest

import no_connections
from conftest import BINARY, MODEL, ROOT
from test_operations import make_certificate, run_serve
from test_raw_http import ENDLESS, connect, post, read_all, request_bytes
from waiting import PATIENCE, SLOW, is_ready, read_until, wait_for_log, wait_until

# The end after a while in which requests are still answered


def test_after_sigterm_requests_are_answered_until_the_delay_is_over(start_server):
    server = start_server("--shutdown-delay", "3600", "--shutdown-timeout", "3600")
    with httpx.Client(timeout=PATIENCE) as kept:
        assert "connection" not in kept.get(server.url + "/v1/models").headers
        server.terminate()
        wait_until(lambda: not is_ready(server))
        assert httpx.get(server.url + "/livez", timeout=PATIENCE).status_code == 200
        assert post(server, {"prompt": "x", "max_tokens": 3})[0] == 200
        answer = kept.get(server.url + "/v1/models")  # and its connection is asked to go elsewhere
        assert answer.status_code == 200 and answer.headers["connection"] == "close"
        assert re.search(r"^dbrx:ready 0$", httpx.get(server.url + "/metrics", timeout=PATIENCE).text, re.MULTILINE)
    assert server.process.poll() is None
    server.terminate()  # a second time
    assert server.wait(PATIENCE) == 0


def test_the_delay_ends_by_itself_and_then_the_server_drains(start_server):
    server = start_server("--shutdown-delay", "0.2", "--shutdown-timeout", "3600", *SLOW)
    with connect(server) as connection:
        connection.sendall(request_bytes({**ENDLESS, "n": 1, "max_tokens": 40, "stream": True}))
        read_until(connection, b"data: ")
        server.terminate()
        wait_until(lambda: post(server, {"prompt": "x", "max_tokens": 1})[0] == 503)
        assert read_all(connection).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert server.wait(PATIENCE) == 0


# systemd


class Manager:
    """Listens as systemd does."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(PATIENCE)
        self.heard = []

    def wait_for(self, line):
        while line not in self.heard:
            self.heard += self.socket.recv(4096).decode().splitlines()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_of_the_start_of_life_and_of_the_end(start_server, tmp_path, monkeypatch, kind):
    name = str(tmp_path / "notify") if kind == "path" else f"@dbrx-{os.getpid()}-{tmp_path.name}"
    manager = Manager(name)
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    server = start_server()
    manager.wait_for("READY=1")
    assert manager.heard[0] == "STATUS=loading the model"
    manager.heard.clear()
    manager.wait_for("WATCHDOG=1")
    server.terminate()
    manager.wait_for("STOPPING=1")
    assert server.wait(PATIENCE) == 0
    manager.socket.close()


def test_a_socket_that_can_not_be_is_told_of(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "relative")
    refused = run_serve("--model", MODEL)
    assert refused.returncode == 1 and "NOTIFY_SOCKET is relative" in refused.stderr


# --check


def test_check_says_what_would_be_served(tmp_path):
    make_certificate(tmp_path, "check")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [{"name": "a", "key": "sk-secret"}]}))
    with socket.socket() as taken:  # it does not listen
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", port, "--check", "--alias", "my-model",
                               "--api-key-file", tmp_path / "keys.json", "--ssl-certfile", tmp_path / "cert.pem",
                               "--ssl-keyfile", tmp_path / "key.pem", "--max-model-len", "512"],
                              capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stderr == ""
    for word in ("my-model", "512 tokens", "HTTPS", "keys.json", "all is well"):
        assert word in done.stdout
    assert "sk-secret" not in done.stdout


def broken(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("flags, words", [
    (lambda d: ["--api-key-file", broken(d / "k", '{"keys": [{"name": "a"}]}')], "keys[0]"),
    (lambda d: ["--safety-keywords", broken(d / "w", "\n")], "no keywords"),
    (lambda d: ["--safety-classifier", broken(d / "c", '{"labels": ["a"]}')], "block: missing"),
    # Such a prompt is wrong for this model alone.
    (lambda d: ["--safety-classifier", broken(d / "c", json.dumps({
        "labels": ["a", "b"], "block": ["a"], "prompt": "x " * 2000 + "{text}"}))], "no room"),
    (lambda d: ["--ssl-certfile", broken(d / "cert", "x"), "--ssl-keyfile", d / "cert"], "certificate"),
    (lambda d: ["--chat-template", broken(d / "t", "{% if %}")], "template"),
    (lambda d: ["--max-model-len", "99999"], "--max-model-len"),
    (lambda d: ["--kv-cache-tokens", "64"], "--kv-cache-tokens"),
    (lambda d: ["--trusted-proxy", "10.0.0.0/99"], "--trusted-proxy"),
    (lambda d: ["--verify"], "--verify"),
])
def test_check_finds_what_would_end_a_start(tmp_path, flags, words):
    refused = run_serve("--model", MODEL, "--check", *flags(tmp_path))
    assert refused.returncode != 0 and words in refused.stderr and "all is well" not in refused.stdout
    assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr


def test_check_reads_no_weights_but_sees_that_they_are_not_there(tmp_path):
    folder = shutil.copytree(MODEL, tmp_path / "model")
    weights = folder / "model.safetensors"
    header = weights.read_bytes()[:8]
    size = weights.stat().st_size
    weights.unlink()
    refused = run_serve("--model", folder, "--check")
    assert refused.returncode == 1 and "safetensors" in refused.stderr
    # A hole behind the header: zeros, which no model would be, and which take no room.
    n = int.from_bytes(header, "little")
    with (pathlib.Path(MODEL) / "model.safetensors").open("rb") as source, weights.open("wb") as hollow:
        hollow.write(source.read(8 + n))
        hollow.truncate(size)
    done = run_serve("--model", folder, "--check")
    assert done.returncode == 0, done.stderr


# Nobody is called


@pytest.fixture
def quiet():
    return [sys.executable, no_connections.__file__]


def test_serving_opens_no_connection_unless_a_flag_names_one(start_server, quiet):
    server = start_server(prefix=quiet)
    body = {"prompt": "x", "max_tokens": 3, "guided_regex": "[ab]+"}  # whose grammar another process tries
    assert post(server, body)[0] == 200
    assert httpx.get(server.url + "/metrics", timeout=PATIENCE).status_code == 200
    server.process.send_signal(signal.SIGHUP)
    wait_for_log(server, "SIGHUP")
    server.terminate()
    assert server.wait(PATIENCE) == 0
    # The kernel would have ended it: here it does.
    server = start_server("--otlp-traces-endpoint", "http://127.0.0.1:9/v1/traces", prefix=quiet)
    post(server, {"prompt": "x", "max_tokens": 3})
    assert server.wait(PATIENCE) == -signal.SIGSYS


def test_quantize_and_perplexity_open_no_connection(quiet, tmp_path):
    text = tmp_path / "text"
    text.write_text("Once upon a time there was a fox. ")
    for command in (["quantize", "--model", ROOT / "testdata/tiny-bf16", "--out", tmp_path / "packed"],
                    ["perplexity", "--model", MODEL, "--text", text]):
        done = subprocess.run([*quiet, BINARY, *map(str, command)], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
