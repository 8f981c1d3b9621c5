#!/usr/bin/env python3
"""What the server adds to the engine, and what both give to many clients: the numbers of docs/performance.md.

    scripts/bench_server.py latency   milliseconds that a request of 1,000 prompt tokens costs beside its step
    scripts/bench_server.py cpu       CPU time of the server's own threads per streamed token
    scripts/bench_server.py load --label NAME --json FILE [-- FLAGS OF dbrx serve]
                                      tokens per second and latencies at 1 to 64 clients

Starts its own server from build/release/dbrx on a free port. Standard library only.
"""

import argparse
import asyncio
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """`dbrx serve` with what it needs to be measured; its log is not."""

    def __init__(self, flags):
        self.process = subprocess.Popen(
            [ROOT / "build/release/dbrx", "serve", "--port", "0", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if match := re.search(r"http://127.0.0.1:(\d+)", line):
                self.port = int(match.group(1))
                self.put_computing_last()
                return
        raise SystemExit("the server did not start")

    def put_computing_last(self):
        """Under chrt nothing takes a CPU from threads that compute, as the usual scheduler would: it is told to."""
        if os.sched_getscheduler(0) != os.SCHED_FIFO:
            return
        above = os.sched_param(os.sched_getparam(0).sched_priority + 1)
        for thread in [0, *self.threads()]:
            if self.name_of(thread) not in ("engine", "compute"):
                os.sched_setscheduler(thread, os.SCHED_FIFO, above)

    def threads(self):
        return [int(folder.name) for folder in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()]

    def name_of(self, thread):
        return pathlib.Path(f"/proc/{thread or 'self'}/comm").read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def thread_seconds(self):
        """{name: (user, system)} seconds of CPU, of the threads of each name. The I/O thread is "dbrx"."""
        seconds = {}
        for thread in self.threads():
            stat = pathlib.Path(f"/proc/{self.process.pid}/task/{thread}/stat").read_text()
            name, fields = re.fullmatch(r"\d+ \((.*)\) (.*)\n", stat).groups()
            user, system = (int(ticks) / TICKS for ticks in fields.split()[11:13])
            before = seconds.get(name, (0, 0))
            seconds[name] = (before[0] + user, before[1] + system)
        return seconds


class Client:
    """One connection, by as few system calls as there can be: http.client alone takes longer than the server."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, body=b""):
        """Seconds, and the answer's body."""
        data = (f"{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        begin = time.perf_counter()
        self.socket.sendall(data)
        head, _, answer = self.socket.recv(1 << 20).partition(b"\r\n\r\n")
        n_bytes = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(answer) < n_bytes:
            answer += self.socket.recv(1 << 20)
        seconds = time.perf_counter() - begin
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"{head} {answer}")
        return seconds, answer.decode()

    def engine_seconds(self):
        """That requests spent in the engine so far, each from its first step to the end of its last."""
        _, text = self.ask("GET", "/metrics")
        return float(re.search(r"^vllm:request_inference_time_seconds_sum\{.*\} (\S+)$", text, re.M).group(1))


def latency(options):
    """Client's time less the engine's, of one request at a time on one connection."""
    ids = [100 + i % 1000 for i in range(1000)]
    with Server(options.flags) as server:
        client = Client(server.port)
        for name, prompt, is_new in (("token ids", ids, True), ("text", "The boat is at sea. " * 160, True),
                                     ("token ids that the cache of prefixes has", ids, False)):
            added, whole = [], []
            for i in range(options.rounds + 10):
                asked = prompt
                if is_new:  # a prompt of its own each time, so that the cache does not have it
                    asked = [100 + i, *ids[1:]] if prompt is ids else f"{i} {prompt}"
                body = json.dumps({"prompt": asked, "max_tokens": 1, "temperature": 0}).encode()
                before = client.engine_seconds()
                seconds, answer = client.ask("POST", "/v1/completions", body)
                added.append(1e3 * (seconds - (client.engine_seconds() - before)))
                whole.append(1e3 * seconds)
            n_tokens = json.loads(answer)["usage"]["prompt_tokens"]
            added, whole = (sorted(times[10:]) for times in (added, whole))  # the first ones warm up
            print(f"{n_tokens} tokens as {name}: the server adds p50 {percentile(added, 0.5):.2f} ms, "
                  f"p90 {percentile(added, 0.9):.2f} ms; in all p50 {percentile(whole, 0.5):.2f} ms")


async def stream(port, body):
    """Times at which the pieces of a stream came, and its number of tokens."""
    data = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = time.perf_counter()
    writer.write(f"POST /v1/completions HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                 f"Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{head}{await reader.read()}")
    times, last = [], b""
    while piece := await reader.read(1 << 16):
        n = piece.count(b'"text":')
        times += [time.perf_counter() - begin] * n
        last = (last + piece)[-2000:]
    writer.close()
    return times, int(re.search(rb'"completion_tokens":(\d+)', last).group(1))


def long_stream(seed, n_tokens):
    return {"prompt": f"Once upon a time, {seed}", "max_tokens": n_tokens, "ignore_eos": True, "seed": seed}


async def streams(port, n, n_tokens, seed=0):
    return await asyncio.gather(*(stream(port, long_stream(seed + i, n_tokens)) for i in range(n)))


def cpu(options):
    """Of the I/O thread and the text workers; the engine's thread and its helpers compute."""
    with Server(options.flags) as server:
        asyncio.run(streams(server.port, 16, 20))
        rounds = []
        for _ in range(options.rounds):
            before = server.thread_seconds()
            answers = asyncio.run(streams(server.port, 16, 1000))
            after = server.thread_seconds()
            n_tokens = sum(n for _, n in answers)
            rounds.append([1e6 * sum(after[name][k] - before[name][k] for name in ("dbrx", "text")) / n_tokens
                           for k in (0, 1)])
        user, system = (statistics.median(column) for column in zip(*rounds))
        print(f"per streamed token, 16 streams: {user:.1f} us of user time, {system:.1f} us of system time "
              f"(medians of {options.rounds} rounds of {n_tokens} tokens)")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def load(options):
    rows = []
    with Server(options.flags) as server:
        asyncio.run(streams(server.port, 1, 4))
        for n in options.clients:
            samples = []
            for i in range(options.rounds):
                begin = time.perf_counter()
                answers = asyncio.run(streams(server.port, n, options.tokens, seed=1000 * i))
                took = time.perf_counter() - begin
                first = [times[0] for times, _ in answers]
                gaps = [b - a for times, _ in answers for a, b in zip(times, times[1:])]
                samples.append({"tokens_per_s": sum(n for _, n in answers) / took,
                                "first_ms": 1e3 * statistics.median(first),
                                "gap_ms": 1e3 * statistics.median(gaps), "gap_p99_ms": 1e3 * percentile(gaps, 0.99)})
            row = {"clients": n, **{name: statistics.median(s[name] for s in samples) for name in samples[0]}}
            rows.append(row)
            print("{clients:3} clients: {tokens_per_s:8.1f} tokens/s, first token {first_ms:7.1f} ms, between tokens "
                  "{gap_ms:6.2f} ms, p99 {gap_p99_ms:6.2f} ms".format(**row), flush=True)
    if options.json:
        file = pathlib.Path(options.json)
        report = json.loads(file.read_text()) if file.exists() else {}
        report[options.label] = rows
        file.write_text(json.dumps(report, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "cpu", "load"])
    parser.add_argument("--rounds", type=int, help="default: 100 of latency, 5 of cpu, 3 of load")
    parser.add_argument("--clients", type=lambda text: [int(n) for n in text.split(",")],
                        default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--tokens", type=int, default=200, help="of each stream of load")
    parser.add_argument("--label", default="dbrx-nano")
    parser.add_argument("--json", help="file to which the rows of load are added under the label")
    parser.epilog = "What follows -- are flags of dbrx serve (default: --model models/dbrx-nano)."
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:end])
    options.rounds = options.rounds or {"latency": 100, "cpu": 5, "load": 3}[options.what]
    options.flags = arguments[end + 1:] or ["--model", ROOT / "models/dbrx-nano"]
    {"latency": latency, "cpu": cpu, "load": load}[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
