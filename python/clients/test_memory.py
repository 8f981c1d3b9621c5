"""Memory: what a server may use, and files that can't be read any more."""

import os
import pathlib
import re
import resource
import subprocess

import httpx
import pytest

from dbrx_server import BINARY, MODEL
from waiting import PATIENCE, wait_for_log, wait_until


def budget(line):
    """The numbers of "memory: 0.31 of 25.12 GB: weights 0.03, ..." by their names, in GB."""
    used, available, parts = re.search(r"([\d.]+) of ([\d.]+) GB: (.*)", line).groups()
    named = {name: float(size) for name, size in re.findall(r"([A-Za-z ]+?) ([\d.]+)(?:,|\.| \(|$)", parts)}
    return float(used), float(available), named


def test_a_server_says_where_its_memory_goes_and_keeps_to_it(start_server):
    server = start_server()
    line = wait_for_log(server, "memory: ")
    used, available, parts = budget(line)
    assert used == pytest.approx(sum(parts.values()), abs=0.05) and used < available
    weights = sum(file.stat().st_size for file in pathlib.Path(MODEL).glob("*.safetensors"))
    assert parts["weights"] == pytest.approx(weights / 1e9, abs=0.01)
    for _ in range(3):
        server.client().completions.create(model=server.client().models.list().data[0].id, prompt="Once", max_tokens=200)
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    assert int(re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1e6 < used


def test_a_cache_beyond_the_memory_is_refused_with_the_sum():
    refused = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", "0", "--kv-cache-tokens", str(1 << 34)],
                             capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode == 1
    assert "--kv-cache-tokens" in refused.stderr and "(17179869184 tokens)" in refused.stderr
    used, available, _ = budget(refused.stderr)
    assert used > available


def test_the_limit_of_address_space_counts():
    limit = 8 << 30

    def lower():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    refused = subprocess.run([BINARY, "serve", "--model", MODEL, "--port", "0", "--kv-cache-tokens", str(1 << 34)],
                             capture_output=True, text=True, timeout=PATIENCE, preexec_fn=lower)
    assert f"of {limit / 1e9:.2f} GB" in refused.stderr, refused.stderr


def test_weights_that_are_cut_while_they_are_in_use_end_requests_with_an_error_that_names_the_file(start_server, tmp_path):
    folder = tmp_path / "packed"
    subprocess.run([BINARY, "quantize", "--model", MODEL, "--out", folder], check=True, capture_output=True)
    server = start_server("--model", folder)
    client = server.client()
    model = client.models.list().data[0].id
    assert client.completions.create(model=model, prompt="Once", max_tokens=2).usage.completion_tokens == 2
    layers = sorted(folder.glob("layer-*.safetensors"))
    os.truncate(layers[-1], 4096)
    failed = httpx.post(server.url + "/v1/completions", json={"prompt": "Twice", "max_tokens": 2}, timeout=PATIENCE)
    assert failed.status_code == 500 and layers[-1].name in failed.text, failed.text
    wait_until(lambda: httpx.get(server.url + "/readyz").status_code == 503)
    after = httpx.post(server.url + "/v1/completions", json={"prompt": "Again", "max_tokens": 2})
    assert after.status_code == 503 and layers[-1].name in after.text, after.text
    wait_for_log(server, layers[-1].name)
    server.terminate()
    assert server.wait() == 0
