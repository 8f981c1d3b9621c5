"""Commands that measure, against what others say of the same."""

import json
import math
import pathlib
import re
import struct
import subprocess

import pytest

from dbrx_server import BINARY, MODEL

TEXT = "The café opened at 9:30, and nobody came. Then a small dog sat down in front of the door and waited."


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("cache", ["f32", "int8"])
def test_perplexity_is_that_of_the_servers_logprobs(start_server, tmp_path, cache):
    (tmp_path / "text").write_text(TEXT)
    run("perplexity", "--model", MODEL, "--text", tmp_path / "text", "--json", tmp_path / "numbers", "--kv-cache-dtype",
        cache)
    numbers = json.loads((tmp_path / "numbers").read_text())
    client = start_server("--kv-cache-dtype", cache).client()
    answer = client.completions.create(model=client.models.list().data[0].id, prompt=TEXT, max_tokens=0, echo=True,
                                       logprobs=0)
    logprobs = answer.choices[0].logprobs.token_logprobs[1:]
    assert numbers["predicted"] == len(logprobs)
    assert numbers["perplexity"] == pytest.approx(math.exp(-sum(logprobs) / len(logprobs)), rel=1e-6)


def test_inspect_counts_the_parameters_that_the_file_has():
    with open(pathlib.Path(MODEL) / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    tensors = [entry for name, entry in header.items() if name != "__metadata__"]
    text = run("inspect", "--model", MODEL)
    total = re.search(r"^all\s+([\d,]+)", text, re.MULTILINE)[1]
    assert int(total.replace(",", "")) == sum(math.prod(tensor["shape"]) for tensor in tensors)
    assert f"\n{len(tensors)} tensors." in text
