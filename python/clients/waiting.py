"""Waiting for what a server does in its own time: for a condition, never for so many seconds."""

import json
import time
import urllib.error
import urllib.request

# Far more than anything takes, however busy the machine: who waits so long has found that something hangs.
PATIENCE = 120
# Flags of a server that computes some forty tokens a second: a long answer of it still runs when a test has learnt that
# it runs, and has done what it wanted to do meanwhile.
SLOW = ("--isa", "scalar", "--threads", "1")


def wait_until(condition, seconds=PATIENCE):
    """What the condition gives, once that is true."""
    end = time.monotonic() + seconds
    while not (met := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return met


def engine(server):
    """How many sequences run and wait, and what else the engine tells of itself."""
    with urllib.request.urlopen(server.url + "/dbrx/v1/stats", timeout=PATIENCE) as answer:
        return json.load(answer)["engine"]


def wait_until_it_runs(server):
    wait_until(lambda: engine(server)["running"] > 0)


def wait_until_nothing_runs(server):
    def is_over():
        now = engine(server)
        return now["running"] == now["waiting"] == 0

    wait_until(is_over)


def wait_for_log(server, text):
    """The first line that has the text."""
    try:
        return wait_until(lambda: next((line for line in server.log if text in line), None))
    except AssertionError:
        raise AssertionError(f"no '{text}' in the log:\n{''.join(server.log)}") from None


def is_ready(server):
    """Whether it takes requests: not since a SIGTERM that it has seen."""
    try:
        with urllib.request.urlopen(server.url + "/readyz", timeout=PATIENCE) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as error:
        assert error.code == 503
        return False


def read_until(connection, text):
    """What comes over a socket, up to a piece that completes the text."""
    data = b""
    while text not in data:
        piece = connection.recv(65536)
        assert piece, f"closed after {data[-500:]}"
        data += piece
    return data
