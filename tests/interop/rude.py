#!/usr/bin/env python3
"""An endpoint that speaks just enough HTTP/2 to be rude: what no gRPC library lets a service do.

    rude.py --port P [--after BYTES] BEHAVIOUR

    reset    takes BYTES of a stream, then sends RST_STREAM(INTERNAL_ERROR)
    disown   takes BYTES, then GOAWAY that disowns the stream (last stream 0), and closes
    close    takes BYTES, then closes the connection
    mute     accepts connections and never says anything
    http1    answers in HTTP/1.1 whatever it is sent
    noise    sends bytes that are no frame

It says the same JSON lines as service.py and ends with its standard input.
"""
import argparse
import json
import os
import socket
import struct
import sys
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = 1
INTERNAL_ERROR = 2


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Gone(Exception):
    """The gateway closed the connection."""


def exactly(sock, count):
    got = b""
    while len(got) < count:
        piece = sock.recv(count - len(got))
        if not piece:
            raise Gone
        got += piece
    return got


def frames(sock):
    """Yields (kind, flags, stream, payload) of every frame; keeps the gateway's windows open."""
    if exactly(sock, len(PREFACE)) != PREFACE:
        raise Gone
    sock.sendall(frame(SETTINGS, 0, 0))
    while True:
        head = exactly(sock, 9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = exactly(sock, length)
        if kind == SETTINGS and not flags & ACK:
            sock.sendall(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            sock.sendall(frame(PING, ACK, 0, payload))
        elif kind == DATA and length:
            for of in (0, stream):
                sock.sendall(frame(WINDOW_UPDATE, 0, of, struct.pack(">I", length)))
        yield kind, flags, stream, payload


def serve(sock, options):
    behaviour = options.behaviour
    if behaviour == "http1":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    elif behaviour == "noise":
        sock.sendall(bytes(range(256)) * 16)
    if behaviour in ("http1", "noise", "mute"):
        while sock.recv(65536):
            pass
        return
    taken = {}
    for kind, _, stream, payload in frames(sock):
        if kind != DATA:
            continue
        taken[stream] = taken.get(stream, 0) + len(payload)
        if taken[stream] < options.after:
            continue
        taken[stream] = -(1 << 40)  # Once a stream; what is under way to us is taken.
        if behaviour == "reset":
            sock.sendall(frame(RST_STREAM, 0, stream, struct.pack(">I", INTERNAL_ERROR)))
            continue
        if behaviour == "disown":
            sock.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0)))
        return


def connection(sock, options):
    try:
        with sock:
            serve(sock, options)
    except (Gone, OSError):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--after", type=int, default=1 << 20)
    parser.add_argument("behaviour", choices=["reset", "disown", "close", "mute", "http1", "noise"])
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", options.port))

    def accept():
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=connection, args=(sock, options), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(json.dumps({"event": "ready"}), flush=True)
    sys.stdin.buffer.read()  # Ends when whoever started this is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
