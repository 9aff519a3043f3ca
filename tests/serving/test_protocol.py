"""A client that does not read its answer loses its connection."""

import asyncio
import socket

import pytest
import uvicorn
from exchange import request
from patience import HUNG_S
from uvicorn.server import ServerState

from cct.serving.limits import parse_limits
from cct.serving.protocol import protocol_with
from cct.serving.server import bound_socket

SMALL, LARGE = 60_000, 1 << 24  # below what asyncio buffers without a pause, and more than any system buffers


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_client_that_does_not_read_is_disconnected(size, connection):
    state = ServerState()
    answered = []

    async def app(scope, receive, send):
        length = str(size).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": bytes(size)})
        answered.append(True)

    async def ask(client: socket.socket) -> int:
        """Ask, read nothing until the server has no connection, and then count the bytes that had come."""
        loop = asyncio.get_running_loop()
        config = uvicorn.Config(app, http=protocol_with(parse_limits(["write_seconds=1"])), log_config=None)
        config.load()
        protocol = config.http_protocol_class
        with bound_socket("127.0.0.1", 0) as listener:
            for one, option in ((listener, socket.SO_SNDBUF), (client, socket.SO_RCVBUF)):
                one.setsockopt(socket.SOL_SOCKET, option, 4096)  # so that the system takes little
            server = await loop.create_server(lambda: protocol(config, state, {}), sock=listener)
            async with server, asyncio.timeout(HUNG_S):
                await loop.sock_connect(client, listener.getsockname())
                await loop.sock_sendall(client, request("GET", "/", Connection=connection))
                while not answered or state.connections:
                    await asyncio.sleep(0.01)
        client.settimeout(HUNG_S)
        count = 0
        try:
            while part := client.recv(1 << 20):
                count += len(part)
        except ConnectionResetError:
            pass
        return count

    with socket.socket() as client:
        client.setblocking(False)
        assert asyncio.run(ask(client)) < size
