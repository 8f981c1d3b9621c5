"""Servers for the tests, and the reference that they are compared with."""

import pathlib
import sys

import pytest
import requests

import checkpoint
from reference import Reference

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from dbrx_server import MODEL, DbrxServer  # noqa: E402


def model_name(server):
    return requests.get(server.url + "/v1/models", timeout=300).json()["data"][0]["id"]


@pytest.fixture(scope="session")
def reference():
    return Reference(pathlib.Path(MODEL))


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts servers of the model's values as fp32: bf16 arithmetic would hide small faults behind its rounding."""
    path = tmp_path_factory.mktemp("model") / "wide"
    checkpoint.widen(pathlib.Path(MODEL), path)
    servers = []

    def start_one(*flags):
        servers.append(DbrxServer("--model", str(path), "--kv-cache-dtype", "f32", *flags))
        return servers[-1]

    yield start_one
    for running in servers:
        running.stop()


@pytest.fixture(scope="session")
def server(start):
    return start()


@pytest.fixture(scope="session")
def server_of_bf16():
    running = DbrxServer()
    yield running
    running.stop()
