"""The server as badly behaved clients see it, and its end: raw sockets and signals."""

import concurrent.futures
import json
import pathlib
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import BINARY, MODEL
from waiting import SLOW, engine, is_ready, wait_for_log, wait_until, wait_until_it_runs

# Long enough that a test can act while it runs; cut to the context.
LONG = {"prompt": "Once upon a time", "ignore_eos": True, "max_tokens": 1500}
# With one place for all its choices it takes half a minute and more, and an hour where the server is SLOW.
ENDLESS = {**LONG, "n": 64}


def open_post(server, body, path="/v1/completions", headers=()):
    """An answer whose head has come, and whose body can be read as it comes. Raises HTTPError."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        server.url + path, data, {"Content-Type": "application/json", **dict(headers)})
    return urllib.request.urlopen(request, timeout=300)


def post(server, body, path="/v1/completions", headers=()):
    """Status, headers and body of an answer, errors included."""
    try:
        with open_post(server, body, path, headers) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=300)


def request_bytes(body, path="/v1/completions", headers=()):
    data = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in dict(headers).items())
    return (f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def status_of(server, raw):
    with connect(server) as connection:
        try:
            connection.sendall(raw)
        except ConnectionError:  # what it refuses it need not read
            pass
        line = b""
        while b"\r\n" not in line and (piece := connection.recv(65536)):
            line += piece
        return int(line.split()[1])


@pytest.mark.parametrize("body", [
    b"hello", b"", b"{", b"[]", b"3", b"{} {}", b'{"prompt": "\xff\xfe"}', b'{"prompt": "\\ud800"}',
    b'{"prompt": "x", "n": NaN}', b'{"prompt": "x", "n": 1e999}', b"[" * 200_000,
    b'{"prompt": ' + b"[" * 100 + b"]" * 100 + b"}", b'{"prompt": {"a": 1}}', b'{"prompt": 7}',
    b'{"prompt": "x", "max_tokens": "many"}', b'{"prompt": "x", "logit_bias": {"a": 1}}',
    b'{"prompt": [99999999]}', b'{"prompt": [1.5]}', b'{"prompt": "x", "stream": 1}',
])
def test_bad_bodies_get_400_and_an_error_object(server, body):
    status, headers, data = post(server, body)
    assert status == 400
    error = json.loads(data)["error"]
    assert error["message"] and error["type"] == "invalid_request_error"
    assert headers["x-request-id"]


def test_bodies_over_the_limit_get_413(server):
    head = b"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    assert status_of(server, head + b"Content-Length: 99999999999\r\n\r\n") == 413
    assert status_of(
        server, head + b"Expect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n") == 413
    # The whole of it is sent before the answer is read.
    status, _, data = post(server, b" " * (17 << 20))
    assert status == 413
    assert json.loads(data)["error"]["code"] == "body_too_large"


def test_header_floods_get_431(server):
    flood = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 100) for i in range(1000))
    assert status_of(server, b"GET / HTTP/1.1\r\nHost: t\r\n" + flood + b"\r\n") == 431


def test_noise_gets_400_or_505(server):
    assert status_of(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n") == 400
    assert status_of(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


def test_http_1_0_works(server):
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b" 200 " in head
    assert body == b'{"status":"ok"}'


def test_paths_and_methods(server):
    assert post(server, {}, "/nothing")[0] == post(server, {}, "/v1/completions//")[0] == 404
    assert post(server, {"prompt": "x", "max_tokens": 1}, "/v1/completions/")[0] == 200
    assert post(server, {}, "/health")[0] == 405
    assert status_of(server, b"OPTIONS /v1/models HTTP/1.1\r\nHost: t\r\n\r\n") == 204
    assert status_of(server, b"HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n") == 200
    assert post(server, b"{}", headers={"Content-Type": "text/plain"})[0] == 415


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_makes_room(start_server, stream):
    server = start_server(*SLOW, "--max-num-seqs", "1")
    with connect(server) as connection:
        connection.sendall(request_bytes({**ENDLESS, "stream": stream}))
        wait_until_it_runs(server)
    assert post(server, {"prompt": "x", "max_tokens": 1})[0] == 200
    wait_for_log(server, "POST /v1/completions 499 ")


def unread_bytes(server, connection):
    """What the kernel holds of the server's answer, not yet taken by the client's side."""
    ends = f":{server.port:04X}", f":{connection.getsockname()[1]:04X}"
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines():
        _, local, remote, _, queues, *_ = line.split()
        if local.endswith(ends[0]) and remote.endswith(ends[1]):
            return int(queues.split(":")[0], 16)
    return 0


def test_a_client_that_stops_reading_does_not_hurt_others(server):
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        stuck.connect(("127.0.0.1", server.port))
        stuck.sendall(request_bytes({**LONG, "n": 16, "logprobs": 20, "stream": True}))
        sizes = [0]
        while sizes[-1] == 0 or len(set(sizes[-5:])) > 1:  # until the kernel takes no more
            assert len(sizes) < 600
            time.sleep(0.2)
            sizes.append(unread_bytes(server, stuck))
        for _ in range(5):
            assert post(server, {"prompt": "x", "max_tokens": 2})[0] == 200


def test_a_full_queue_says_so(start_server):
    server = start_server(*SLOW, "--max-num-seqs", "1", "--max-queue", "2")
    short = {"prompt": "x", "max_tokens": 1}
    with connect(server) as running, concurrent.futures.ThreadPoolExecutor(2) as threads:
        running.sendall(request_bytes(LONG))
        wait_until_it_runs(server)
        queued = [threads.submit(post, server, short) for _ in range(2)]
        wait_until(lambda: engine(server)["waiting"] == 2)
        status, headers, _ = post(server, short)
        assert status == 429 and headers["retry-after"]
        running.close()
        assert [answer.result()[0] for answer in queued] == [200, 200]


def test_sigterm_lets_a_stream_finish(start_server):
    server = start_server(*SLOW)
    with connect(server) as connection, connect(server) as idle:
        connection.sendall(request_bytes({**LONG, "max_tokens": 40, "stream": True}))
        data = connection.recv(4096)
        server.terminate()
        assert idle.recv(1) == b""  # closed
        data += read_all(connection)
    assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert b'"finish_reason":"length"' in data
    assert server.wait() == 0


def test_sigterm_cancels_what_takes_too_long(start_server):
    server = start_server(*SLOW, "--shutdown-timeout", "0.2")
    with connect(server) as connection:
        connection.sendall(request_bytes({**LONG, "stream": True}))
        data = connection.recv(4096)
        server.terminate()
        data += read_all(connection)
    assert b"shutting_down" in data and b"[DONE]" not in data
    assert server.wait() == 0


def test_a_second_sigterm_ends_at_once(start_server):
    server = start_server(*SLOW, "--max-num-seqs", "1", "--shutdown-timeout", "3600")
    with connect(server) as connection:
        connection.sendall(request_bytes({**ENDLESS, "stream": True}))
        connection.recv(4096)
        server.terminate()
        wait_until(lambda: not is_ready(server))
        server.terminate()
        assert server.wait() == 0


def test_a_step_that_takes_long_does_not_hold_up_the_end(start_server):
    server = start_server(*SLOW, "--max-num-batched-tokens", "2048", "--shutdown-timeout", "3600")
    with connect(server) as connection:
        connection.sendall(request_bytes({"prompt": [100] * 2000, "max_tokens": 1}, path="/v1/completions"))
        wait_until_it_runs(server)
        server.terminate()
        wait_until(lambda: not is_ready(server))
        server.terminate()
        assert server.wait() == 0
    assert any("in the middle of a step" in line for line in server.log)


def test_a_port_in_use_is_explained(server):
    second = subprocess.run(
        [BINARY, "serve", "--model", MODEL, "--port", str(server.port)],
        capture_output=True, text=True, timeout=60)
    assert second.returncode != 0
    assert str(server.port) in second.stderr
    assert "in use" in second.stderr and "--port" in second.stderr


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The model, packed."""
    path = tmp_path_factory.mktemp("model") / "packed"
    subprocess.run([BINARY, "quantize", "--model", MODEL, "--out", path], check=True,
                   capture_output=True)
    return path


@pytest.mark.parametrize("load", ["map", "copy"])
def test_sound_weights_are_verified_in_the_background(start_server, packed, load):
    server = start_server("--verify", "--load", load, "--model", str(packed))
    wait_for_log(server, "all as written")
    assert post(server, {"prompt": "a", "max_tokens": 1})[0] == 200


@pytest.mark.parametrize("load", ["map", "copy"])
def test_damaged_weights_are_found_and_nothing_is_answered_from_them(
        start_server, packed, tmp_path, load):
    damaged = tmp_path / "damaged"
    shutil.copytree(packed, damaged)
    with open(damaged / "layer-0002.safetensors", "r+b") as file:
        file.seek(-100_000, 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    server = start_server("--verify", "--load", load, "--model", str(damaged))
    wait_for_log(server, "layer-0002.safetensors: tensor '")
    with pytest.raises(urllib.error.HTTPError) as health:
        urllib.request.urlopen(server.url + "/health", timeout=60)
    status, _, body = post(server, {"prompt": "a", "max_tokens": 1})
    assert health.value.code == status == 503
    assert "layer-0002.safetensors" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("flags", [["--verify"], ["--load", "copy"]])
def test_flags_for_packed_weights_are_refused_for_others(flags):
    result = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", "0", *flags],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "is for packed checkpoints (dbrx quantize)" in result.stderr


def test_the_log_has_a_line_per_request_and_no_text(start_server):
    server = start_server()
    post(server, {"prompt": "my secret prompt", "max_tokens": 3, "ignore_eos": True},
         headers={"x-request-id": "trace-9"})
    post(server, b'{"prompt": "my secret prompt", "n": "x"}', "/v1/completions?key=secret")
    server.terminate()
    server.wait()
    log = "".join(server.log)
    line, = [line for line in server.log if "trace-9" in line]
    assert "POST /v1/completions 200" in line and "completion=3" in line
    assert "secret" not in log
