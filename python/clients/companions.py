"""Clients beside those that a test is about."""

import concurrent.futures
import contextlib
import threading

from test_raw_http import post


@contextlib.contextmanager
def companions(server, n, request):
    """`n` clients that ask all the time, client i for request(i): (path, body). Yields the numbers of their answers."""
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
            yield counts
        finally:
            over.set()
        for task in tasks:
            task.result()
