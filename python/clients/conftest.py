"""Servers for the tests, and OpenAI's client for each."""

import json
import pathlib

import openai
import pytest

from dbrx_server import BINARY, MODEL, ROOT, DbrxServer


class Server(DbrxServer):
    """With the client that most tests use."""

    def client(self, **options):
        options.setdefault("max_retries", 0)
        options.setdefault("timeout", 300)
        return openai.OpenAI(base_url=self.url + "/v1", api_key="none", **options)


def token_id(name):
    """Of a special token."""
    added = json.loads((pathlib.Path(MODEL) / "tokenizer.json").read_text())["added_tokens"]
    return next(token["id"] for token in added if token["content"] == name)


@pytest.fixture
def start_server():
    """A function that starts servers with flags of the test's choice."""
    servers = []

    def start(*flags, prefix=()):
        servers.append(Server(*flags, prefix=prefix))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server():
    """The server of all tests that need no flags."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def client(server):
    return server.client()


@pytest.fixture(scope="session")
def model(server):
    return server.client().models.list().data[0].id
