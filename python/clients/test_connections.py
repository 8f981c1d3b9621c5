"""Thousands of clients, those that hold connections and give nothing, and the limits that are flags."""

import asyncio
import contextlib
import json
import pathlib
import re
import resource
import socket
import ssl

import httpx
import pytest

from conftest import MODEL
from test_operations import certificate, run_serve, tls_server, write_keys  # noqa: F401 (fixtures)
from test_raw_http import ENDLESS, LONG, connect, post, read_all, request_bytes, status_of
from waiting import (PATIENCE, SLOW, read_until, wait_for_log, wait_until, wait_until_it_runs,
                     wait_until_nothing_runs)

N_CLIENTS = 2000


@pytest.fixture(autouse=True, scope="module")
def many_files():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def resident_bytes(server):
    return int(pathlib.Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()


def metric(text, name):
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])


async def ask(stream, head, body=b""):
    """Status and body of an answer on a connection that stays open."""
    reader, writer = stream
    writer.write(f"{head}\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                 + body)
    answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
    length = int(re.search(r"(?i)content-length: (\d+)", answer)[1])
    return int(answer.split()[1]), await reader.readexactly(length)


async def connected(server, n, context=None):
    """n connections, each of which has had an answer."""
    turns = asyncio.Semaphore(100)  # as many as a listening socket is sure to keep

    async def open_one():
        async with turns:
            stream = await asyncio.open_connection("127.0.0.1", server.port, ssl=context)
            assert await ask(stream, "GET /livez HTTP/1.1") == (200, b'{"status":"ok"}')
            return stream

    return await asyncio.gather(*(open_one() for _ in range(n)))


def test_two_thousand_clients_with_keys_of_their_own_are_all_answered(start_server, tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path, *({"name": f"client-{i}", "key": f"sk-{i}"} for i in range(N_CLIENTS)))
    server = start_server("--api-key-file", path, "--max-connections", str(N_CLIENTS), "--max-queue", "4096",
                          "--disable-log-requests")
    body = json.dumps({"prompt": "x", "max_tokens": 1}).encode()

    async def run():
        post(server, {"prompt": "x", "max_tokens": 1}, headers={"x-api-key": "sk-0"})
        before = resident_bytes(server)
        streams = await connected(server, N_CLIENTS)
        per_connection = (resident_bytes(server) - before) / N_CLIENTS
        answers = await asyncio.gather(*(ask(stream, f"POST /v1/completions HTTP/1.1\r\nx-api-key: sk-{i}", body)
                                         for i, stream in enumerate(streams)))
        assert [status for status, _ in answers] == [200] * N_CLIENTS
        for _, writer in streams:
            writer.close()
        return per_connection

    per_connection = asyncio.run(run())
    print(f"{per_connection:.0f} bytes for an idle connection")
    assert per_connection < 12_000


def test_idle_connections_with_tls_take_little(tls_server, certificate):  # noqa: F811
    async def run():
        context = ssl.create_default_context(cafile=certificate / "cert.pem")
        await connected(tls_server, 5, context)
        before = resident_bytes(tls_server)
        streams = await connected(tls_server, 200, context)
        return (resident_bytes(tls_server) - before) / len(streams)

    per_connection = asyncio.run(run())
    print(f"{per_connection:.0f} bytes for an idle connection with TLS")
    assert per_connection < 150_000


def test_a_full_server_answers_probes_and_tells_others_why_not_with_tls_too(start_server, certificate):  # noqa: F811
    server = start_server(*SLOW, "--max-connections", "1", "--ssl-certfile", certificate / "cert.pem", "--ssl-keyfile",
                          certificate / "key.pem")
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    with contextlib.closing(context.wrap_socket(connect(server), server_hostname="127.0.0.1")) as busy:
        busy.sendall(request_bytes({**LONG, "stream": True}))
        read_until(busy, b"data: ")

        def get(path):
            return httpx.get(server.url + path, verify=context, timeout=PATIENCE)

        silent = [connect(server) for _ in range(70)]  # more than there are spare places
        assert [get(path).status_code for path in ("/livez", "/readyz", "/health")] == [200] * 3
        refused = get("/v1/models")
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "too_many_connections"
        assert refused.headers["retry-after"] == "1" and "--max-connections" in refused.json()["error"]["message"]
        told = wait_for_log(server, "turned away")
        assert re.search(r"connections: \d+ turned away: all 1 are in use \(--max-connections\)", told)
        text = get("/metrics").text
        assert metric(text, 'dbrx:connections{state="active"}') >= 1
        assert metric(text, 'dbrx:connections_accepted_total') >= 75
        assert metric(text, 'dbrx:connections_refused_total{reason="max_connections"}') >= 1
        for client in silent:
            client.close()


def test_limits_and_times_are_those_of_the_flags(start_server):
    server = start_server(*SLOW, "--timeout-keep-alive", "0.5", "--request-timeout", "1", "--ping-interval", "0.1",
                          "--header-limit", "2000", "--body-limit", "2000", "--max-body-memory", "4000",
                          "--text-workers", "5", "--max-num-seqs", "1")
    with connect(server) as idle, connect(server) as half:
        half.sendall(b"GET /livez HT")
        assert read_all(idle) == b""
        assert read_all(half).startswith(b"HTTP/1.1 408 ")
    field = b"GET /livez HTTP/1.1\r\nHost: t\r\nX: %s\r\n\r\n"
    assert status_of(server, field % (b"a" * 1000)) == 200
    assert status_of(server, field % (b"a" * 2000)) == 431
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm")
    assert [task.read_text().strip() for task in tasks].count("text") == 5
    with connect(server) as first, connect(server) as second:
        first.sendall(request_bytes(ENDLESS))
        wait_until_it_runs(server)
        second.sendall(request_bytes({"prompt": "x", "stream": True}))  # has no place for a long time
        read_until(second, b": ping\n\n")
    body = b"POST /tokenize HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n\r\n"
    with connect(server) as sender, connect(server) as late:
        sender.sendall(body + b" " * 1900)
        wait_until(lambda: metric(httpx.get(server.url + "/metrics").text,
                                  'dbrx:request_body_bytes') == 1900)
        late.sendall(body + b" " * 1900)
        answer = read_all(late)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"--max-body-memory" in answer and b"Retry-After" in answer


@contextlib.contextmanager
def reads_nothing(server):
    """A client that has asked for more megabytes than kernels hold, and than a stream may have unsent."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", server.port))
        client.sendall(request_bytes({"prompt": "x", "ignore_eos": True, "max_tokens": 300, "n": 16, "logprobs": 20,
                                      "stream": True}))
        yield client


def test_a_client_that_reads_nothing_is_given_up_when_the_write_timeout_says(start_server):
    server = start_server("--write-timeout", "0.5", "--stream-buffer", "1000000000")
    with reads_nothing(server):
        wait_for_log(server, "POST /v1/completions 499 ")


def test_the_buffer_of_a_stream_holds_what_the_flag_says(start_server):
    server = start_server("--stream-buffer", "1000000000")
    with reads_nothing(server) as client:
        wait_until_it_runs(server)
        wait_until_nothing_runs(server)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        data = b""
        while not data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
            piece = client.recv(1 << 20)
            assert piece
            data = data[-100:] + piece


def test_one_address_has_no_more_connections_than_the_flag_says(start_server):
    server = start_server("--max-connections-per-peer", "1")

    def status(own):
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE, (own, 0)) as client:
            client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            return int(read_all(client).split()[1])

    with socket.create_connection(("127.0.0.1", server.port), PATIENCE, ("127.0.0.2", 0)) as busy:
        busy.sendall(request_bytes({"prompt": "x"})[:-1])  # a body of which a byte is missing
        wait_until(lambda: status("127.0.0.2") == 503)
        assert status("127.0.0.1") == 200
    wait_until(lambda: status("127.0.0.2") == 200)


@pytest.mark.parametrize("flags, reason", [
    (("--max-body-memory", "20000000"), "twice --body-limit"), (("--timeout-keep-alive", "0"), "--timeout-keep-alive"),
    (("--header-limit", "10"), "--header-limit"), (("--text-workers", "0"), "--text-workers")])
def test_limits_that_make_no_sense_are_refused(flags, reason):
    refused = run_serve("--model", MODEL, *flags)
    assert refused.returncode != 0 and reason in refused.stderr


def test_options_may_ask_about_the_server_as_a_whole(server):
    with connect(server) as client:
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 204 ") and b"Allow: GET, HEAD, POST, DELETE, OPTIONS\r\n" in answer
