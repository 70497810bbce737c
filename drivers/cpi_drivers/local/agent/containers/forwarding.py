"""A port of the VM's address that leads to another one, where the container listens."""

import asyncio
import contextlib

from cpi_drivers.local.agent.containers.mappings import Port

_CHUNK = 1 << 16


async def forward(address: str, port: Port) -> None:
    """Takes connections until it is cancelled. Raises OSError if the port is taken."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection(address, port.container)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pass(reader, onward), _pass(there, writer))

    server = await asyncio.start_server(serve, address, port.host)
    async with server:
        await server.serve_forever()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        with contextlib.suppress(OSError):
            writer.close()
