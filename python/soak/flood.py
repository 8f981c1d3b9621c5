"""Two keys: one floods the server with everything that is dear, the other asks politely and is answered all the same."""

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import pathlib
import statistics
import tempfile
import time

import dbrx_server
from http_client import TIMEOUT, Closed, Connection, post_bytes

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
POLITE = {"messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 4, "stream": True}
PAUSE = 0.05  # between two requests of one client
N_OF_A_KIND = 2
# How many times as long as alone a polite client may wait for a first token; and seconds beside that, since a step or the
# reading of a text that runs is not interrupted, and this flood, like other tests, takes CPUs from the server. The law is
# about medians, which a busy machine moves little; the p99 is printed.
MOST, SLACK = 3, 0.5


def many_biases(n):
    return {str(i): 0.1 for i in range(n)}


def kinds():
    """Of floods: (path, body, statuses that are right). What is large is made once."""
    number = itertools.count(100_003, 2)
    ids = [40] * 2000
    large = {
        "a full queue": (COMPLETIONS, {"prompt": ["x"] * 256, "max_tokens": 4}, {200, 429}),
        "many tokens": (COMPLETIONS, {"prompt": "x", "n": 32, "max_tokens": 60, "ignore_eos": True}, {200, 429}),
        "biases": (COMPLETIONS, {"prompt": ["x"] * 64, "max_tokens": 1, "logit_bias": many_biases(1024)}, {200, 429}),
        "too many biases": (COMPLETIONS, {"prompt": "x", "logit_bias": many_biases(5000)}, {400}),
        "biases twice": (COMPLETIONS, b'{"prompt": "x", "logit_bias": {"5": 1, "05": 1}}', {400}),
        "ids to text": ("/detokenize", {"tokens": ids}, {200}),
        "too many ids to text": ("/detokenize", {"tokens": [40] * 1_000_000}, {400}),
        "a long text": (COMPLETIONS, {"prompt": "long " * 400_000}, {400}),
        "ids for filters": (COMPLETIONS, {"prompt": [40] * 1_000_000, "enable_safety_filter": True}, {400}),
        "text for filters": (CHAT, {"messages": [{"role": "user", "content": "a@b " * 2000}],
                                    "enable_safety_filter": True}, {200, 400, 429}),
        "logprobs": (COMPLETIONS, {"prompt": ids, "echo": True, "logprobs": 20, "max_tokens": 1, "stream": True},
                     {200, 429}),
        "a body too large": (COMPLETIONS, b" " * (17 << 20), {413}),
        "no JSON": (COMPLETIONS, b"[" * 1_000_000, {400}),
    }
    requests = {name: itertools.repeat((path, post_bytes(path, body, {"x-api-key": "flood"}), statuses))
                for name, (path, body, statuses) in large.items()}
    requests["grammars"] = (
        (COMPLETIONS, post_bytes(COMPLETIONS, {"prompt": "x", "max_tokens": 4, "guided_json": {
            "type": "integer", "multipleOf": n}}, {"x-api-key": "flood"}), {200, 400, 429, 503}) for n in number)
    requests["no key"] = itertools.repeat((CHAT, post_bytes(CHAT, POLITE, {"x-api-key": "guess"}), {401}))
    return requests


async def ask_on_and_on(port, name, requests, counts, problems):
    async with Connection(port) as connection:
        for _, data, statuses in requests:
            with contextlib.suppress(Closed, ConnectionError):  # of a body that the server need not read
                answer = await connection.ask(data)
                counts[answer.status] = counts.get(answer.status, 0) + 1
                if answer.status not in {*statuses, 503}:  # 503: there was no place for it
                    problems.append(f"the flood of {name}: {answer.status} {answer.body[:300]}")
            await asyncio.sleep(PAUSE)


async def hold(port, data, n):
    """Connections that send this and nothing more, again when the server has ended them."""
    async def one():
        while True:
            with contextlib.suppress(ConnectionError):
                async with Connection(port) as connection:
                    connection.send(data)
                    await connection.reader.read()
            await asyncio.sleep(PAUSE)

    await asyncio.gather(*(one() for _ in range(n)))


def flood(port, over, results):
    """In a process of its own: what it costs to send all that is nothing that the polite client waits for."""
    problems, counts = [], {}
    half_body = (f"POST {COMPLETIONS} HTTP/1.1\r\nHost: t\r\nx-api-key: flood\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {16 << 20}\r\n\r\n").encode() + b" " * (1 << 20)
    requests = kinds()

    async def run():
        tasks = [ask_on_and_on(port, name, requests[name], counts, problems) for name in requests
                 for _ in range(N_OF_A_KIND)]
        tasks += [hold(port, b"", 200), hold(port, b"POST / HT", 100), hold(port, half_body, 30)]
        tasks = [asyncio.create_task(task) for task in tasks]
        while not over.is_set():
            await asyncio.sleep(0.1)
        await end(tasks)

    asyncio.run(run())
    results.put((counts, problems))


async def end(tasks):
    """Again and again: asyncio.wait_for (Python 3.11) may lose a cancellation."""
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1)


async def first_token(connection):
    """Seconds until a request on this connection had its first token."""
    if not connection.is_open():
        await connection.open()
    begin = time.monotonic()
    connection.send(post_bytes(CHAT, POLITE, {"x-api-key": "polite"}))
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), TIMEOUT)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"{head} {await connection.reader.read(1000)}")
    for _ in range(2):  # the first event has the role and no text
        await asyncio.wait_for(connection.reader.readuntil(b'"content":"'), TIMEOUT)
    took = time.monotonic() - begin
    await asyncio.wait_for(connection.reader.readuntil(b"[DONE]\n\n\r\n0\r\n\r\n"), TIMEOUT)
    return took


async def ask_politely(port, seconds, problems):
    """As SDKs do, on a connection that is kept."""
    times = []
    end = time.monotonic() + seconds
    async with Connection(port) as connection:
        while time.monotonic() < end:
            try:
                times.append(await first_token(connection))
            except Exception as error:  # one problem among those that are reported
                problems.append(f"a polite request was not answered: {error!r}")
                connection.hang_up()
            await asyncio.sleep(PAUSE)
    return sorted(times)


def told(times):
    return f"{len(times)} requests, median {statistics.median(times) * 1e3:.0f} ms, " \
           f"p99 {times[int(0.99 * len(times))] * 1e3:.0f} ms"


async def run(server, seconds):
    """What went wrong; memory is watched by the caller."""
    problems = []
    await ask_politely(server.port, 1, problems)  # it is warm then
    alone = await ask_politely(server.port, seconds / 3, problems)
    over, results = multiprocessing.Event(), multiprocessing.Queue()
    process = multiprocessing.Process(target=flood, args=(server.port, over, results), daemon=True)
    process.start()
    flooded = await ask_politely(server.port, seconds, problems)
    over.set()
    counts, more = results.get(timeout=600)
    process.join()
    problems += more
    print(f"first tokens of a polite key, alone: {told(alone)}; beside a flood of {counts}: {told(flooded)}")
    if not flooded or statistics.median(flooded) > MOST * statistics.median(alone) + SLACK:
        problems.append(f"a flood makes a polite key wait more than {MOST} times as long")
    return problems


@contextlib.contextmanager
def server_with_keys():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "keys.json"
        path.write_text(json.dumps({"keys": [{"name": name, "key": name} for name in ("flood", "polite")]}))
        server = dbrx_server.DbrxServer("--api-key-file", str(path), "--max-connections", "300")
        try:
            yield server
        finally:
            server.process.kill()
