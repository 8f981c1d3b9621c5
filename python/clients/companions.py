"""Clients beside those that a test is about."""

import concurrent.futures
import contextlib
import threading

from test_raw_http import post
from waiting import wait_until


@contextlib.contextmanager
def companions(server, n, request):
    """`n` clients that ask all the time, client i for request(i): (path, body). Yields the numbers of their answers,
    as soon as each client has had one, and so they all go on asking."""
    over = threading.Event()
    counts = [0] * n

    def ask(i):
        path, body = request(i)
        while not over.is_set():
            status, _, data = post(server, body, path)
            assert status == 200, data
            counts[i] += 1

    with concurrent.futures.ThreadPoolExecutor(n) as pool:
        tasks = [pool.submit(ask, i) for i in range(n)]
        try:
            wait_until(lambda: min(counts) > 0 or any(task.done() for task in tasks), seconds=300)
            yield counts
        finally:
            over.set()
        for task in tasks:
            task.result()
