#!/usr/bin/env python3
"""Measures the served default model and prints the rows of docs/performance.md.

    python3 scripts/measure.py            start-up time; tokens per second at 1 and 16 clients, and at 16 with
                                          answers bound by a JSON schema, A B A B, medians

Starts its own server from build/release/dbrx on a free port. Standard library only.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import threading
import time
import urllib.request

# An answer that can't end within the tokens that are asked for.
LONG_LIST = {"guided_json": {"type": "array", "minItems": 1000, "items": {"type": "object",
             "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
             "required": ["name", "age"], "additionalProperties": False}}}

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Server:
    def __init__(self, model):
        start = time.monotonic()
        self.process = subprocess.Popen(
            [ROOT / "build/release/dbrx", "serve", "--model", model, "--port", "0", "--log-level", "error"],
            stdout=subprocess.PIPE, text=True)
        self.url = None
        for line in self.process.stdout:
            if match := re.search(r"http://\S+", line):
                self.url = match.group(0)
                break
        if self.url is None:
            raise SystemExit("the server did not start")
        with urllib.request.urlopen(self.url + "/health") as answer:
            answer.read()
        self.seconds = time.monotonic() - start

    def complete(self, prompt, n_tokens, fields):
        body = dict(prompt=prompt, max_tokens=n_tokens, ignore_eos=True, temperature=0, **fields)
        request = urllib.request.Request(self.url + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)["usage"]["completion_tokens"]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def tokens_per_second(server, n_clients, n_tokens, fields):
    """Generated tokens of all clients over wall time; each client has a prompt of its own."""
    counts = []

    def client(i):
        counts.append(server.complete(f"Question {i}: what is {i} plus {i + 3}? Answer:", n_tokens, fields))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(n_clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=str(ROOT / "models/dbrx-nano"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    args = parser.parse_args()

    starts = []
    for _ in range(args.rounds):
        server = Server(args.model)
        starts.append(server.seconds)
        server.stop()
    cases = {"1 client": (1, {}), "16 clients": (16, {}), "16 clients, JSON schema": (16, LONG_LIST)}
    rates = {name: [] for name in cases}
    server = Server(args.model)
    try:
        for _ in range(args.rounds):
            for name, (n_clients, fields) in cases.items():
                rates[name].append(tokens_per_second(server, n_clients, args.tokens, fields))
    finally:
        server.stop()

    def row(name, values, unit, digits):
        print(f"| {name} | {statistics.median(values):.{digits}f} {unit} "
              f"| {min(values):.{digits}f} to {max(values):.{digits}f} |")

    print("| what | median | range |\n|---|---|---|")
    row("start-up, warm, to the first answer of /health", starts, "s", 2)
    for name, values in rates.items():
        row(f"{args.tokens} tokens each, {name}", values, "tokens/s", 0)


if __name__ == "__main__":
    main()
