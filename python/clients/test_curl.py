"""`curl` that leaves early: the work for it ends, by the server's log and by what its process computes."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from waiting import SLOW, engine, wait_for_log, wait_until, wait_until_it_runs, wait_until_nothing_runs

HELLO = [{"role": "user", "content": "Say hello to the world."}]
# An hour of work and more, with one place for all its choices.
ENDLESS = {"ignore_eos": True, "max_tokens": 1500, "n": 100}


@pytest.fixture(scope="module", autouse=True)
def has_curl():
    assert shutil.which("curl"), "these tests need curl: scripts/setup.sh test installs it"


@pytest.fixture
def narrow(start_server):
    return start_server(*SLOW, "--max-num-seqs", "1")


def curl(server, path, body, *flags, request_id="early"):
    return subprocess.Popen(
        ["curl", "-sN", *flags, server.url + path, "-H", "Content-Type: application/json",
         "-H", f"x-request-id: {request_id}", "-d", json.dumps({**ENDLESS, **body})],
        stdout=subprocess.PIPE, text=True)


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_idle(server):
    """Whether the server's process computes nothing for half a second, or next to nothing."""
    begin = cpu_seconds(server)
    time.sleep(0.5)
    return cpu_seconds(server) - begin < 0.025


def wait_until_it_computes(server):
    """So much that it can not be idle, nor seem so: else nothing would show that it ends."""
    wait_until_it_runs(server)
    begin = cpu_seconds(server)
    wait_until(lambda: cpu_seconds(server) - begin > 0.1)


def check_that_the_work_ends(server, request_id="early"):
    """The request's line says that its client left, nothing runs, and the process computes nothing any more."""
    line = wait_for_log(server, request_id)
    assert "POST /v1/" in line and " 499 " in line, line
    wait_until_nothing_runs(server)
    wait_until(lambda: is_idle(server))


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", {"messages": HELLO}),
    ("/v1/completions", {"prompt": "Once upon a time"}),
    ("/v1/completions", {"prompt": ["Once", "upon", "a time"]}),
], ids=["chat", "completion", "prompts"])
def test_a_stream_that_is_left_after_its_first_chunks(narrow, path, body):
    with curl(narrow, path, {**body, "stream": True}) as process:
        for _ in range(10):
            assert process.stdout.readline().startswith(("data: {", "\n", ":"))
        wait_until_it_computes(narrow)
        process.kill()
    check_that_the_work_ends(narrow)


def test_an_answer_that_is_not_waited_for(narrow):
    """Curl gives up after a time; after a longer one, if its request did not run by then."""
    for seconds in (1, 4, 16, 64):
        with curl(narrow, "/v1/completions", {"prompt": "Once upon a time"}, "--max-time", str(seconds),
                  request_id=f"after-{seconds}") as process:
            ran = wait_until(lambda: engine(narrow)["running"] or process.poll())
            assert process.wait(120) == 28  # curl's own time-out
        if ran == 1:
            break
    check_that_the_work_ends(narrow, f"after-{seconds}")


def test_a_pipe_that_closes(narrow):
    """`curl ... | head -n 4`: curl ends when it can write no more."""
    with curl(narrow, "/v1/chat/completions", {"messages": HELLO, "stream": True}) as process:
        for _ in range(4):
            process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 23  # curl's "write error"
    check_that_the_work_ends(narrow)


def test_those_that_stay_are_served_on(narrow):
    """The place of one that left goes to the next in the queue."""
    with curl(narrow, "/v1/chat/completions", {"messages": HELLO, "stream": True}) as first:
        first.stdout.readline()
        with curl(narrow, "/v1/completions", {"prompt": "x", "n": 1, "max_tokens": 3},
                  request_id="stays") as second:
            wait_until(lambda: engine(narrow)["waiting"] == ENDLESS["n"])  # its own other choices, and the second
            first.kill()
            answer = json.loads(second.stdout.read())
    assert answer["usage"]["completion_tokens"] == 3
    check_that_the_work_ends(narrow)
