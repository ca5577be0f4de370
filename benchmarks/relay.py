"""
A relay in a process of its own that makes a server on loopback look distant.

``python -m benchmarks.relay PORT ROUND_TRIP`` prints its own port and serves until its standard
input ends. It delays each direction by half the round trip (seconds).
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
import threading
from asyncio import StreamReader, StreamWriter
from typing import Tuple

_BLOCK = 64 * 1024


async def _pump(reader: StreamReader, writer: StreamWriter, delay: float) -> None:
    """Pass bytes on `delay` seconds after they arrived."""
    loop = asyncio.get_running_loop()
    late: asyncio.Queue[Tuple[float, bytes]] = asyncio.Queue()

    async def receive() -> None:
        data = b"."
        while data:
            try:
                data = await reader.read(_BLOCK)
            except OSError:
                data = b""
            late.put_nowait((loop.time() + delay, data))

    receiving = loop.create_task(receive())
    data = b"."
    while data:
        due, data = await late.get()
        await asyncio.sleep(due - loop.time())
        writer.write(data)
    await receiving
    writer.close()


async def _serve(port: int, round_trip: float) -> None:
    loop = asyncio.get_running_loop()

    async def relay(reader: StreamReader, writer: StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        # asyncio sets this for connections that it opens, not for those that it accepts
        near: socket.socket = writer.get_extra_info("socket")
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        half = round_trip / 2
        await asyncio.gather(_pump(reader, back, half), _pump(there, writer, half))

    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = await asyncio.start_server(relay, sock=listener)
    print(listener.getsockname()[1], flush=True)
    stop = asyncio.Event()
    ending = threading.Thread(target=_end, args=(loop, stop), daemon=True)
    ending.start()
    async with server:
        await stop.wait()


def _end(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(stop.set)


def main() -> None:
    """Serve until standard input ends."""
    # select's timeouts are exact; epoll's are whole milliseconds
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(_serve(int(sys.argv[1]), float(sys.argv[2])))


if __name__ == "__main__":
    main()
