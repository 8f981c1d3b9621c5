"""Who asked, how much went out, and what of it the log may repeat."""

import json
import re
import time

from test_raw_http import connect, read_all
from waiting import wait_for_log


def ask(server, request_id, *fields):
    """All bytes of the answer to GET /v1/models on a connection of its own."""
    with connect(server) as connection:
        head = [b"GET /v1/models HTTP/1.1", b"Host: x", b"Connection: close", b"x-request-id: " + request_id.encode(), *fields]
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n")
        return read_all(connection)


def test_a_line_says_who_asked_and_how_much_was_sent(start_server):
    server = start_server()
    answer = ask(server, "one", b"User-Agent: curl/8.1 (like \"a\" \\ \t \xc2\x9b31m \xc3\xa9)", b"X-Forwarded-For: 203.0.113.9")
    line = wait_for_log(server, " one\n")
    assert f" bytes={len(answer)} client=127.0.0.1 " in line  # no proxy is trusted
    assert 'agent="curl/8.1 (like ?a? ? ? ??31m ??)"' in line
    at = time.strptime(line[:19], "%Y-%m-%dT%H:%M:%S")
    assert re.match(r"\S+\.\d{3}Z info ", line)
    assert abs(time.mktime(at) - time.mktime(time.gmtime())) < 3600  # UTC, whatever the zone here
    ask(server, "two", b"User-Agent: " + b"x" * 5000)
    assert "agent=\"" + "x" * 200 + "\"" in wait_for_log(server, " two\n")
    ask(server, "three")
    assert "agent" not in wait_for_log(server, " three\n")


def test_trusted_proxies_say_who_the_client_is(start_server):
    server = start_server("--log-format", "json", "--trusted-proxy", "10.0.0.0/8,127.0.0.1", "--forwarded-allow-ips", "fd00::/8")
    for request_id, fields, client in [
            ("nobody", [], "127.0.0.1"),
            ("direct", [b"X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
            ("chain", [b"X-Forwarded-For: 6.6.6.6, 2001:db8::7", b"x-forwarded-for: fd00::1, 10.1.2.3"], "2001:db8::7"),
            ("forged", [b"X-Forwarded-For: \"}, evil"], "127.0.0.1")]:
        answer = ask(server, request_id, *fields)
        line = json.loads(wait_for_log(server, f'"{request_id}"'))
        assert line["client"] == client and line["bytes"] == len(answer)
        assert line.get("peer") == (None if client == "127.0.0.1" else "127.0.0.1")


def test_bodies_that_are_no_utf8_are_logged_as_json(start_server):
    server = start_server("--log-format", "json", "--log-prompts")
    with connect(server) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-request-id: bytes\r\n"
                           b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\n{\xff\x00}")
        assert read_all(connection).startswith(b"HTTP/1.1 400")
    assert json.loads(wait_for_log(server, '"request_id":"bytes"'))["body"] == "{\ufffd\0}"


def test_debug_lines_tell_why_connections_end(start_server):
    server = start_server("--log-level", "debug", "--api-key", "sk-right")
    with connect(server):
        pass
    assert " debug 127.0.0.1: a connection ends: the client left" in wait_for_log(server, "a connection ends")
    ask(server, "refused")
    assert " debug " in wait_for_log(server, "refused is not let in: 401")
    wait_for_log(server, "a connection ends: its last answer was given")
    assert "sk-" not in "".join(server.log)
