"""The clients of perf/soak.py: each is a thread that does one thing again and again.

What one of them could not do is told to the tally with the time in which it was tried: whether that
was to be expected is not theirs to say.
"""
import base64
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter

BLOCK = os.urandom(1 << 18)
GRPC = "/api/v3/storage/upload"


class Tally:
    """What was done, and what was not."""

    def __init__(self):
        self.lock, self.over = threading.Lock(), threading.Event()
        self.done, self.faults = Counter(), []

    def did(self, kind):
        with self.lock:
            self.done[kind] += 1

    def failed(self, kind, what, began):
        with self.lock:
            self.faults.append((kind, what, began, time.monotonic()))


class Fault(Exception):
    """It did not go as it should."""


class Connection:
    """A client of HTTP/1.1 that wants to see every byte."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def more(self, size=65536):
        piece = self.sock.recv(size)
        if not piece:
            raise Fault("closed")
        self.got += piece

    def exactly(self, size):
        while len(self.got) < size:
            self.more()
        taken, self.got = self.got[:size], self.got[size:]
        return taken

    def answer(self, pause=0.0):
        """Status and body of an answer; between two reads of a slow client is a pause."""
        while b"\r\n\r\n" not in self.got:
            self.more()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        while pause and len(self.got) < length:
            time.sleep(pause)
            self.more()
        return int(head.split(b" ", 2)[1]), self.exactly(length)

    def ask(self, method, path, fields="", body=b"", pause=0.0):
        """A request and its answer, which has to be 200."""
        head = f"{method} {path} HTTP/1.1\r\nHost: soak.test\r\n{fields}"
        head += f"Content-Length: {len(body)}\r\n\r\n" if body else "\r\n"
        self.send(head.encode() + body)
        status, answer = self.answer(pause)
        if status != 200:
            raise Fault(f"{status} {answer[:300].decode(errors='replace')}")
        return answer


class Client(threading.Thread):
    """Does `once` again and again, `pause` seconds apart, on a connection that it keeps."""

    kind, pause = "small", 0.05

    def __init__(self, port, tally):
        super().__init__(daemon=True)
        self.port, self.tally, self.connection = port, tally, None

    def run(self):
        time.sleep(random.random())
        while not self.tally.over.wait(self.pause * random.uniform(0.8, 1.2)):
            began = time.monotonic()
            try:
                if self.connection is None:
                    self.connection = Connection(self.port)
                self.once(self.connection)
                self.tally.did(self.kind)
            except (OSError, Fault, ValueError) as fault:
                if not self.tally.over.is_set():
                    self.tally.failed(self.kind, str(fault), began)
                self.drop()
                time.sleep(0.25)
        self.drop()

    def drop(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def once(self, connection):
        if len(connection.ask("GET", "/small")) != 64:
            raise Fault("not what was asked for")


class Churn(Client):
    """A connection for each request."""

    kind = "churn"

    def once(self, connection):
        super().once(connection)
        self.drop()


class Upload(Client):
    """A body of known length to the HTTP back ends."""

    kind, pause = "upload", 0.5

    def once(self, connection):
        body = BLOCK * random.randint(1, 4)
        if int(connection.ask("PUT", "/upload", body=body)) != len(body):
            raise Fault("not all of it came")


class Chunked(Client):
    """The same in chunks, one by one."""

    kind, pause = "chunked", 0.5

    def once(self, connection):
        connection.send(b"PUT /upload HTTP/1.1\r\nHost: soak.test\r\n"
                        b"Transfer-Encoding: chunked\r\n\r\n")
        count = random.randint(1, 40)
        for _ in range(count):
            connection.send(b"2000\r\n" + BLOCK[:0x2000] + b"\r\n")
            time.sleep(0.005)
        connection.send(b"0\r\n\r\n")
        status, answer = connection.answer()
        if status != 200 or int(answer) != count * 0x2000:
            raise Fault(f"{status} {answer[:300].decode(errors='replace')}")


class Stored(Client):
    """An upload into the gRPC service."""

    kind, pause = "stored", 0.5

    def once(self, connection):
        connection.ask("PUT", GRPC, "X-Filename: soak\r\n", BLOCK * random.randint(1, 4))


class SlowReader(Client):
    """Takes a large answer in little pieces."""

    kind, pause = "slow reader", 0.2

    def once(self, connection):
        if len(connection.ask("GET", "/large", pause=0.05)) != 1 << 20:
            raise Fault("not all of it came")


class SlowWriter(Client):
    """Sends its head byte by byte."""

    kind, pause = "slow writer", 0.2

    def once(self, connection):
        for byte in b"GET /small HTTP/1.1\r\nHost: soak.test\r\nX-Slow: yes\r\n\r\n":
            connection.send(bytes([byte]))
            time.sleep(0.02)
        if connection.answer()[0] != 200:
            raise Fault("refused")


class Leaver(Client):
    """Leaves in the middle: of a head, of a body, or of an answer."""

    kind, pause = "leaver", 0.3

    def once(self, connection):
        connection.send(random.choice((
            b"GET /small HT", b"GET /large HTTP/1.1\r\nHost: soak.test\r\n\r\n",
            b"PUT /upload HTTP/1.1\r\nHost: soak.test\r\nContent-Length: 9999999\r\n\r\n" + BLOCK,
            f"PUT {GRPC} HTTP/1.1\r\nHost: soak.test\r\nX-Filename: soak\r\n"
            "Content-Length: 9999999\r\n\r\n".encode() + BLOCK)))
        time.sleep(random.uniform(0, 0.1))
        self.drop()


class Socket(Client):
    """A WebSocket that stays; what it sends comes back."""

    kind, pause = "websocket", 0.1

    def once(self, connection):
        if not getattr(connection, "open", False):
            key = base64.b64encode(os.urandom(16)).decode()
            connection.send(f"GET /ws HTTP/1.1\r\nHost: soak.test\r\nConnection: Upgrade\r\n"
                            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
            status = connection.answer()[0]
            if status != 101:
                raise Fault(status)
            connection.open = True
        data = BLOCK[:random.randint(1, 2000)]
        head = bytes([0x82, 0x80 | len(data)]) if len(data) < 126 else (
            b"\x82\xfe" + len(data).to_bytes(2, "big"))
        connection.send(head + bytes(4) + data)
        back = connection.exactly(2 if len(data) < 126 else 4)
        if back[0] != 0x82 or connection.exactly(len(data)) != data:
            raise Fault("not what was sent")


class Http2(Client):
    """curl, by HTTP/2. One request for each connection: 7.88 breaks at the second one of its own."""

    kind, pause = "http2", 1.0

    def once(self, _connection):
        done = subprocess.run(
            ["curl", "--silent", "--http2-prior-knowledge", "--max-time", "20", "--output",
             "/dev/null", "--write-out", "%{http_code}", f"http://127.0.0.1:{self.port}/large"],
            capture_output=True, text=True, check=False)
        if done.stdout != "200" or done.returncode:
            raise Fault(f"{done.stdout}, curl {done.returncode}")


NUMBERS = {Client: 8, Churn: 2, Upload: 3, Chunked: 2, Stored: 3, SlowReader: 5, SlowWriter: 5,
           Leaver: 2, Socket: 8, Http2: 1}


def start(port, tally):
    """Starts all of them. Returns the threads."""
    threads = [kind(port, tally) for kind, number in NUMBERS.items() for _ in range(number)
               if kind is not Http2 or shutil.which("curl")]
    for thread in threads:
        thread.start()
    return threads


def number_of(kind):
    """How many clients there are of a kind."""
    return next(number for client, number in NUMBERS.items() if client.kind == kind)
