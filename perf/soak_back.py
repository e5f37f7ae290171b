#!/usr/bin/env python3
"""The HTTP back end of perf/soak.py: `soak_back.py PORT`. It ends with its standard input.

GET /small: 64 bytes; /large: 1 MiB; PUT /upload: the number of bytes that came; /ws: a WebSocket
that sends back what it gets, frame by frame.
"""
import asyncio
import base64
import hashlib
import os
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SMALL, LARGE = b"s" * 64, b"l" * (1 << 20)


def answer(body, status=b"200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


async def body_of(reader, fields):
    """How many bytes a body has, as it comes."""
    left = int(fields.get(b"content-length", b"0"))
    came = 0
    if fields.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
            came += size
        await reader.readexactly(2)
        return came
    while came < left:
        piece = await reader.read(min(left - came, 1 << 16))
        if not piece:
            raise ConnectionError("cut")
        came += len(piece)
    return came


async def echo(reader, writer, key):
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
    while True:
        first, length = await reader.readexactly(2)
        length &= 0x7F
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        data = await reader.readexactly(length)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        head = bytes([first, length]) if length < 126 else (
            bytes([first, 126]) + length.to_bytes(2, "big"))
        writer.write(head + data)
        await writer.drain()
        if first & 0x0F == 8:
            return


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in lines if b": " in line)
            path = first.split(b" ")[1]
            if path == b"/ws":
                raw = next(line for line in lines if line.lower().startswith(b"sec-websocket-key"))
                await echo(reader, writer, raw.split(b": ", 1)[1])
                break
            came = await body_of(reader, fields)
            if path == b"/upload":
                writer.write(answer(b"%d" % came))
            else:
                writer.write(answer({b"/large": LARGE}.get(path, SMALL)))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
