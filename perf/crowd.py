#!/usr/bin/env python3
"""Ten thousand idle connections and five hundred busy ones, for a minute.

    crowd.py [--idle N] [--busy N] [--secs S] [--workers N] [--io DRIVER]

Starts Otus (release build, or $OTUS) before another Otus that answers every request by itself.
Each idle connection has served one request. The busy ones send their next request as soon as the
answer is there. Prints one JSON line: requests, faults, and resident memory when all connections
stand, at its peak after that, and at the end. The exit status tells whether nothing failed and
memory stayed flat.
"""
import argparse
import json
import resource
import select
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

REQUEST = b"GET /x HTTP/1.1\r\nHost: crowd\r\n\r\n"
# Resident memory may move by so much while nothing changes.
FLAT_KIB = 2048
BACK = '\n[[route]]\nid = "back"\nmatch = {{ prefix = "/" }}\nreply = 200\n'
FRONT = """
[timeouts]
idle = "10m"

[upstreams.back]
endpoints = ["127.0.0.1:{port}"]

[[route]]
id = "front"
match = {{ prefix = "/" }}
upstream = "back"
"""


class Client:
    """One keep-alive connection."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.got = b""

    def send(self):
        self.sock.sendall(REQUEST)

    def read(self):
        """Takes what is there; true when an answer is whole. Any fault is an exception."""
        piece = self.sock.recv(4096)
        if not piece:
            raise ConnectionError("closed")
        self.got += piece
        if not self.got.endswith(b"\r\n\r\n"):
            return False
        if not self.got.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(repr(self.got[:80]))
        self.got = b""
        return True


def serve_one(clients):
    for client in clients:
        client.send()
    for client in clients:
        while not client.read():
            pass


def drive(clients, secs, sample):
    """Keeps every client busy; returns (answers, faults)."""
    poll = select.epoll()
    by_fd = {}
    for client in clients:
        by_fd[client.sock.fileno()] = client
        poll.register(client.sock, select.EPOLLIN)
        client.send()
    answers, faults, end, next_sample = 0, 0, time.monotonic() + secs, 0.0
    while (now := time.monotonic()) < end:
        if now >= next_sample:
            sample()
            next_sample = now + 1
        for fd, _ in poll.poll(1):
            client = by_fd[fd]
            try:
                if client.read():
                    answers += 1
                    client.send()
            except OSError as fault:
                print(f"crowd: {fault}", file=sys.stderr)
                faults += 1
                poll.unregister(fd)
    return answers, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--busy", type=int, default=500)
    parser.add_argument("--secs", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    program = gateway.binary()
    ports = [gateway.free_port() for _ in range(4)]
    back = gateway.settings(ports[0], ports[1], {}, workers=1, modules=BACK.format())
    front = gateway.settings(ports[2], ports[3], {}, io=options.io, workers=options.workers,
                             modules=FRONT.format(port=ports[0]))
    with gateway.Gateway(program, back, ports[0], ports[1]), \
            gateway.Gateway(program, front, ports[2], ports[3]) as otus:
        empty = otus.status_kib("VmRSS")
        idle = [Client(ports[2]) for _ in range(options.idle)]
        for at in range(0, len(idle), 500):
            serve_one(idle[at:at + 500])
        time.sleep(2)
        standing = otus.status_kib("VmRSS")
        busy = [Client(ports[2]) for _ in range(options.busy)]
        samples = []
        # The first seconds, in which buffers are taken for the first time, are no growth.
        drive(busy, min(5, options.secs / 4), lambda: None)
        answers, faults = drive(busy, options.secs, lambda: samples.append(otus.status_kib("VmRSS")))
        # Each idle connection still serves.
        for at in range(0, len(idle), 500):
            serve_one(idle[at:at + 500])
        end = otus.status_kib("VmRSS")
    flat = max(samples) - samples[0] <= FLAT_KIB
    print(json.dumps({
        "idle": options.idle, "busy": options.busy, "secs": options.secs, "answers": answers,
        "faults": faults, "rss_empty_kib": empty, "rss_idle_kib": standing,
        "rss_first_kib": samples[0], "rss_peak_kib": max(samples), "rss_end_kib": end,
        "flat": flat,
    }))
    return 0 if flat and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
