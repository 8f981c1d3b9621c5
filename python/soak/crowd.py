"""Clients that hold connections and give nothing, or take nothing: their number is all that they cost others."""

import asyncio
import random
import time

from http_client import Connection, post_bytes

# The server's limits (docs/api.md): a request that does not arrive, a connection that is idle.
REQUEST_SECONDS, IDLE_SECONDS = 60, 120
HALF_HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: soak\r\nContent-Le"
HALF_BODY = post_bytes("/v1/completions", {"prompt": "x" * 100})[:-20]
LARGE_ANSWER = post_bytes("/v1/completions", {"prompt": "x", "ignore_eos": True, "max_tokens": 60, "n": 2,
                                              "logprobs": 20, "stream": True})
# (what is sent, seconds between its pieces of one byte or None for all at once, seconds until the server must end it,
# the status it then gets or None for a connection that is only closed)
KINDS = {
    "silent": (b"", None, IDLE_SECONDS, None),
    "half a head": (HALF_HEAD, None, REQUEST_SECONDS, 408),
    "half a body": (HALF_BODY, None, REQUEST_SECONDS, 408),
    "byte by byte": (HALF_HEAD + b"X" * 1000, 3, REQUEST_SECONDS, 408),
}
SLACK = 30  # seconds that a busy machine may be late


async def send_slowly(connection, data, pause):
    try:
        for i in range(len(data)):
            connection.send(data[i: i + 1])
            await asyncio.sleep(pause)
    except (ConnectionError, AttributeError):  # the server has ended it
        pass


async def stall(port, kind, problems):
    """One connection of a kind until the server ends it; whether it does so in time and as it should."""
    data, pause, seconds, status = KINDS[kind]
    async with Connection(port) as connection:
        begin = time.monotonic()
        sender = asyncio.create_task(send_slowly(connection, data, pause)) if pause else connection.send(data)
        try:
            answer = await asyncio.wait_for(connection.reader.read(65536), seconds + SLACK)
        except ConnectionError:
            answer = b""
        except asyncio.TimeoutError:
            return problems.append(f"a connection that sends {kind} was not ended in {seconds + SLACK} s")
        finally:
            if pause:
                sender.cancel()
        lasted = time.monotonic() - begin
    if lasted < seconds - 5:
        problems.append(f"a connection that sends {kind} was ended after {lasted:.1f} s: {answer[:200]}")
    if status and not answer.startswith(b"HTTP/1.1 %d " % status):
        problems.append(f"a connection that sends {kind} got {answer[:200]}")


async def stall_again_and_again(port, number, problems):
    while True:
        await stall(port, list(KINDS)[number % len(KINDS)], problems)


async def read_nothing(port, number):
    """Asks for a large answer and never reads it; takes another connection now and then."""
    rng = random.Random(number)
    while True:
        async with Connection(port, receive_buffer=4096) as connection:
            connection.reader._transport.pause_reading()  # else asyncio reads ahead
            connection.send(LARGE_ANSWER)
            await asyncio.sleep(rng.uniform(20, 60))


def start(port, n, problems):
    """Tasks that hold n connections, to be cancelled. One in fifty reads nothing of a large answer."""
    n_readers = n // 50
    return ([asyncio.create_task(stall_again_and_again(port, i, problems)) for i in range(n - n_readers)] +
            [asyncio.create_task(read_nothing(port, i)) for i in range(n_readers)])
