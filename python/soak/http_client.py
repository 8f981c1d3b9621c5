"""HTTP/1.1 on asyncio's sockets, as little as a client needs, with the ways in which clients misbehave."""

import asyncio
import dataclasses
import json
import socket

TIMEOUT = 600  # seconds that an answer may take: far more than any should, so it says that one is lost


class Closed(Exception):
    """The server closed the connection before the answer was whole."""


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # by lower-case name
    body: bytes


def post_bytes(path, body, headers=()):
    """A request whole; `body` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: soak", f"Content-Length: {len(data)}"]
    fields = {"Content-Type": "application/json", **dict(headers)}
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def get_bytes(path, headers=()):
    lines = [f"GET {path} HTTP/1.1", "Host: soak", *(f"{name}: {value}" for name, value in dict(headers).items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection:
    """One connection. A context manager; closing it is hanging up, whatever is on its way."""

    def __init__(self, port, receive_buffer=None):
        self.port = port
        self.receive_buffer = receive_buffer
        self.reader = self.writer = None

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        self.hang_up()

    async def open(self):
        plain = socket.socket()
        plain.setblocking(False)
        if self.receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self.port))
        # The limit is that of the reader's own buffer: a slow reader must not have one.
        self.reader, self.writer = await asyncio.open_connection(sock=plain, limit=self.receive_buffer or 1 << 16)

    def hang_up(self, reset=False):
        """With reset, what was not read is lost on the way."""
        if self.writer is None:
            return
        self.writer.transport.abort() if reset else self.writer.close()
        self.reader = self.writer = None

    def is_open(self):
        return self.writer is not None and not self.reader.at_eof()

    def send(self, data):
        self.writer.write(data)

    async def ask(self, data, pause=0):
        """The answer to a request. With a pause, its body is read a few bytes at a time, so many seconds apart."""
        if not self.is_open():
            self.hang_up()
            await self.open()
        self.send(data)
        return await asyncio.wait_for(self.read_answer(pause), TIMEOUT)

    async def read_answer(self, pause=0):
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            status = int(head[0].split()[1])
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            if headers.get("transfer-encoding") == "chunked":
                body = await self.read_chunks(pause)
            else:
                body = await self.read_bytes(int(headers.get("content-length", 0)), pause)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.hang_up()
            raise Closed(str(error)) from error
        if headers.get("connection") == "close":
            self.hang_up()
        return Answer(status, headers, body)

    async def read_bytes(self, n, pause):
        if not pause:
            return await self.reader.readexactly(n)
        data = b""
        while len(data) < n:
            data += await self.reader.readexactly(min(n - len(data), 64))
            await asyncio.sleep(pause)
        return data

    async def read_chunks(self, pause):
        body = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            chunk = await self.read_bytes(size, pause)
            await self.reader.readexactly(2)
            if size == 0:
                return body
            body += chunk
