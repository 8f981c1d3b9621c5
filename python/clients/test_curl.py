"""`curl` that leaves early: the work for it ends, by the server's log and by what its process computes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

HELLO = [{"role": "user", "content": "Say hello to the world."}]
# A minute and more of work, with one place for all its choices.
ENDLESS = {"ignore_eos": True, "max_tokens": 1500, "n": 100}


@pytest.fixture(scope="module", autouse=True)
def has_curl():
    assert shutil.which("curl"), "these tests need curl: scripts/setup.sh test installs it"


@pytest.fixture
def narrow(start_server):
    return start_server("--max-num-seqs", "1")


def curl(server, path, body, *flags, request_id="early"):
    return subprocess.Popen(
        ["curl", "-sN", *flags, server.url + path, "-H", "Content-Type: application/json",
         "-H", f"x-request-id: {request_id}", "-d", json.dumps({**ENDLESS, **body})],
        stdout=subprocess.PIPE, text=True)


def cpu_seconds(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy(server):
    """The share of half a second in which the server's process computes."""
    begin = cpu_seconds(server)
    time.sleep(0.5)
    return (cpu_seconds(server) - begin) / 0.5


def check_that_the_work_ends(server):
    """Within seconds: the request's line says that its client left, and the process computes nothing any more."""
    for _ in range(100):
        line = next((line for line in server.log if "early" in line), None)
        if line:
            break
        time.sleep(0.1)
    assert line and re.search(r"POST /v1/\S+ 499 ", line), line
    assert any(busy(server) < 0.05 for _ in range(10))


@pytest.mark.parametrize("path, body", [
    ("/v1/chat/completions", {"messages": HELLO}),
    ("/v1/completions", {"prompt": "Once upon a time"}),
    ("/v1/completions", {"prompt": ["Once", "upon", "a time"]}),
], ids=["chat", "completion", "prompts"])
def test_a_stream_that_is_left_after_its_first_chunks(narrow, path, body):
    with curl(narrow, path, {**body, "stream": True}) as process:
        for _ in range(10):
            assert process.stdout.readline().startswith(("data: {", "\n"))
        assert busy(narrow) > 0.05  # so that its end shows
        process.kill()
    check_that_the_work_ends(narrow)


def test_an_answer_that_is_not_waited_for(narrow):
    with curl(narrow, "/v1/completions", {"prompt": "Once upon a time"}, "--max-time", "1.5") as process:
        assert busy(narrow) > 0.05
        assert process.wait(60) == 28  # curl's own time-out
    check_that_the_work_ends(narrow)


def test_a_pipe_that_closes(narrow):
    """`curl ... | head -n 4`: curl ends when it can write no more."""
    with curl(narrow, "/v1/chat/completions", {"messages": HELLO, "stream": True}) as process:
        for _ in range(4):
            process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 23  # curl's "write error"
    check_that_the_work_ends(narrow)


def test_those_that_stay_are_served_on(narrow):
    """The place of one that left goes to the next in the queue."""
    with curl(narrow, "/v1/chat/completions", {"messages": HELLO, "stream": True}) as first:
        first.stdout.readline()
        with curl(narrow, "/v1/completions", {"prompt": "x", "n": 1, "max_tokens": 3},
                  request_id="stays") as second:
            first.kill()
            answer = json.loads(second.stdout.read())
    assert answer["usage"]["completion_tokens"] == 3
    check_that_the_work_ends(narrow)
