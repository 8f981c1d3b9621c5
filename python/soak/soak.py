#!/usr/bin/env python3
"""Lets a thousand clients of all kinds loose on `dbrx serve` and checks every answer. See README.md.

  soak.py                                       5 minutes, 1,000 connections, 10,000 requests
  soak.py --seconds 20 --requests 800 --connections 200      what the tests run
"""

import argparse
import asyncio
import json
import pathlib
import random
import resource
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

import cases
import crowd
import dbrx_server
import flood
from answers import said_by
from http_client import TIMEOUT, Closed, Connection, get_bytes, post_bytes

# MB that the flood's server may have: 256 of bodies, and what is made of them by those that read them.
FLOOD_MEMORY = 1000
CONTEXT = 2048  # tokens, of nano; the cache is as large, so sequences put each other out


class Soak:
    """The state that all clients share."""

    def __init__(self, port, options):
        self.port = port
        self.options = options
        self.cases = enumerate(cases.make_cases(options.seed, options.requests))
        self.begin = time.monotonic()
        self.problems = []
        self.said = {}  # by Case.key: what the first answer said
        self.n_repeated = 0
        self.n_by_status = {}

    async def next_case(self):
        """(number, case), at its time; None when there are no more."""
        number, case = next(self.cases, (None, None))
        if case:
            due = self.begin + number * self.options.seconds / self.options.requests
            await asyncio.sleep(max(0, due - time.monotonic()))
        return number, case

    def check(self, number, case, answer):
        problem = self.problem_of(number, case, answer)
        self.n_by_status[answer.status] = self.n_by_status.get(answer.status, 0) + 1
        if problem:
            self.problems.append(f"{problem}\n  request {number}: {case.path} {str(case.body)[:400]}\n"
                                 f"  answer: {answer.status} {answer.body[:400]}")

    def problem_of(self, number, case, answer):
        if answer.headers.get("x-request-id") != f"soak-{number}":
            return f"mixed up: it has the request id {answer.headers.get('x-request-id')}"
        if answer.status != case.status:
            return f"the status is not {case.status}"
        if case.status != 200:
            return problem_of_error(case, json.loads(answer.body))
        try:
            said = said_by(case.dialect, answer)
        except (ValueError, KeyError, IndexError) as error:
            return f"not a whole answer: {error!r}"
        first = self.said.setdefault(case.key, said)
        self.n_repeated += first is not said
        if first != said:
            return f"the same request had another answer: {str(first)[:400]}"
        return problem_of_marker(case, said)


def problem_of_error(case, error):
    if not error["error"]["message"] or error["message"] != error["error"]["message"]:
        return "an error without a message"
    if case.field and case.field not in f"{error['error']['param']} {error['message']}":
        return f"the error does not name {case.field}"
    return None


def problem_of_marker(case, said):
    """What of an answer is known beforehand."""
    body = case.body
    if "metadata" in said and said["metadata"] != body["metadata"]:
        return "the metadata are those of another request"
    if body.get("echo") and case.path == cases.COMPLETIONS and isinstance(body["prompt"], str):
        if not all(choice["text"].startswith(body["prompt"]) for choice in said.values()):
            return "the text does not begin with its prompt"
    if "guided_choice" in body and not body.get("echo") and any(
            choice["finish"] == "stop" and choice["text"] not in body["guided_choice"] for choice in said.values()):
        return "the text is none of the choices"
    return None


async def client(soak, number):
    """One of many: asks in its manner of the moment, checks, asks again."""
    rng = random.Random(f"{soak.options.seed} {number}")
    async with Connection(soak.port) as connection:
        while True:
            i, case = await soak.next_case()
            if case is None:
                return
            try:
                await MANNERS[rng.choices(range(len(MANNERS)), WEIGHTS)[0]](soak, rng, connection, i, case)
            except Exception as error:  # one problem among those that are reported
                soak.problems.append(f"lost: {error!r}\n  request {i}: {case.path} {str(case.body)[:400]}")


def bytes_of(i, case):
    return post_bytes(case.path, case.body, {"x-request-id": f"soak-{i}"})


async def ask(soak, rng, connection, i, case):
    was_open = connection.is_open()
    try:
        answer = await connection.ask(bytes_of(i, case))
    except Closed:  # a connection that was idle may end just when it is used again; a new one must not
        if not was_open:
            raise
        answer = await connection.ask(bytes_of(i, case))
    soak.check(i, case, answer)


async def read_slowly(soak, rng, connection, i, case):
    async with Connection(soak.port, receive_buffer=4096) as slow:
        soak.check(i, case, await slow.ask(bytes_of(i, case), pause=rng.choice([0.001, 0.01, 0.05])))


async def leave_at_once(soak, rng, connection, i, case):
    async with Connection(soak.port) as fleeting:
        fleeting.send(bytes_of(i, case)[: rng.choice([None, None, -1, 30])])
        await fleeting.writer.drain()
        await asyncio.sleep(rng.choice([0, 0.001, 0.02, 0.2]))
        fleeting.hang_up(reset=rng.random() < 0.5)


async def leave_midstream(soak, rng, connection, i, case):
    body = {"prompt": f"Count, {i}", "n": 2, "max_tokens": 60, "ignore_eos": True, "stream": True}
    async with Connection(soak.port) as fleeting:
        fleeting.send(post_bytes(cases.COMPLETIONS, body))
        await asyncio.wait_for(fleeting.reader.readuntil(b"\n\n"), TIMEOUT)
        fleeting.hang_up(reset=rng.random() < 0.5)


async def send_noise(soak, rng, connection, i, case):
    data, status = rng.choice(cases.RAW)
    async with Connection(soak.port) as noisy:
        noisy.send(data)
        head = await asyncio.wait_for(noisy.reader.readuntil(b"\r\n"), TIMEOUT)
        if int(head.split()[1]) != status:
            soak.problems.append(f"the status is not {status}: {data[:100]} got {head}")


async def pipeline(soak, rng, connection, i, case):
    """Asks twice before it reads; the answers come in order."""
    get = get_bytes("/version", {"x-request-id": f"between-{i}"})
    async with Connection(soak.port) as eager:
        eager.send(bytes_of(i, case) + get)
        soak.check(i, case, await asyncio.wait_for(eager.read_answer(), TIMEOUT))
        if eager.is_open():  # some refusals end the connection
            answer = await asyncio.wait_for(eager.read_answer(), TIMEOUT)
            if answer.headers["x-request-id"] != f"between-{i}":
                soak.problems.append(f"pipelined answers are out of order: {answer}")


MANNERS = [ask, read_slowly, leave_at_once, leave_midstream, send_noise, pipeline]
WEIGHTS = [80, 4, 5, 3, 4, 4]


async def watch_memory(pid, samples):
    while True:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        samples.append((time.monotonic(), pages * resource.getpagesize() / 1e6))
        await asyncio.sleep(0.2)


def growth(samples):
    """Megabytes by which resident memory grew, from the third fifth of the time to the last one."""
    begin, end = samples[0][0], samples[-1][0]

    def median(low, high):
        return statistics.median(mb for t, mb in samples if low <= (t - begin) / (end - begin) <= high)

    return median(0.8, 1) - median(0.4, 0.6)


def n_descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


async def check_that_all_is_given_back(soak, pid, n_files):
    """Every sequence, block of the cache and file, within the time that the server takes to see that clients left."""
    end = time.monotonic() + 120
    while True:
        n_more_files = n_descriptors(pid) - n_files
        async with Connection(soak.port) as connection:
            answer = await connection.ask(get_bytes("/dbrx/v1/stats"))
        stats = json.loads(answer.body)
        n_sequences = stats["engine"]["running"] + stats["engine"]["waiting"]
        n_blocks = stats["cache"]["blocks"] - stats["cache"]["free_blocks"]
        if n_sequences == n_blocks == 0 and n_more_files <= 0:
            return
        if time.monotonic() > end:
            return soak.problems.append(f"not given back: {n_sequences} sequences, {n_blocks} blocks, "
                                        f"{n_more_files} files")
        await asyncio.sleep(0.1)


async def run(server, options):
    pid = server.process.pid
    soak = Soak(server.port, options)
    n_before = n_descriptors(pid)
    samples = []
    stalled = crowd.start(server.port, options.connections // 2, soak.problems)
    watcher = asyncio.create_task(watch_memory(pid, samples))
    soak.begin = time.monotonic()
    await asyncio.gather(*(client(soak, i) for i in range(options.connections - len(stalled))))
    took = time.monotonic() - soak.begin
    for task in [*stalled, watcher]:
        task.cancel()
    for result in await asyncio.gather(*stalled, watcher, return_exceptions=True):
        if not isinstance(result, asyncio.CancelledError):
            soak.problems.append(f"a client that stalls failed: {result!r}")
    await check_that_all_is_given_back(soak, pid, n_before)
    grown = growth(samples)
    if grown > options.memory_slack:
        soak.problems.append(f"the memory grew by {grown:.1f} MB")
    if soak.n_repeated == 0:
        soak.problems.append("no request came twice")
    print(f"{options.requests} requests in {took:.0f} s over {options.connections} connections: {soak.n_by_status}; "
          f"{soak.n_repeated} repeated; memory {samples[-1][1]:.0f} MB, {grown:+.1f} MB")
    return soak.problems


async def run_flood(server, options):
    samples = []
    watcher = asyncio.create_task(watch_memory(server.process.pid, samples))
    problems = await flood.run(server, options.flood_seconds)
    watcher.cancel()
    grown, most = growth(samples), max(mb for _, mb in samples)
    if most > FLOOD_MEMORY or (options.flood_seconds >= 120 and grown > options.memory_slack):
        problems.append(f"the memory grew by {grown:.1f} MB, up to {most:.0f} MB, beside the flood")
    print(f"memory {samples[-1][1]:.0f} MB, {grown:+.1f} MB; at most {most:.0f} MB")
    return problems


def ended(server):
    """What went wrong at the end of a server, and what its log says of it."""
    server.terminate()
    code = server.wait(120)
    return ([f"the server ended with {code}"] if code else []) + [line for line in server.log if " error " in line]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=dbrx_server.BINARY)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=1000, help="half of them stall")
    parser.add_argument("--memory-slack", type=float, default=32, help="MB that memory may grow after warming up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flood-seconds", type=float, help="default: half of --seconds; 0: no flood")
    options = parser.parse_args()
    if options.flood_seconds is None:
        options.flood_seconds = options.seconds / 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    dbrx_server.BINARY = options.binary
    # A few connections more: those who leave are gone before the server knows.
    server = dbrx_server.DbrxServer("--kv-cache-tokens", str(CONTEXT), "--max-connections",
                                    str(options.connections + 200))
    try:
        problems = asyncio.run(run(server, options)) + ended(server)
    finally:
        server.process.kill()
    if options.flood_seconds > 0:
        with flood.server_with_keys() as server:
            problems += asyncio.run(run_flood(server, options)) + ended(server)
    for problem in problems[:20]:
        print(problem)
    print(f"{len(problems)} problems" if problems else "no problem")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
