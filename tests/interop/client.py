"""An HTTP/1.1 client that sends what it is told, byte by byte if need be, and never waits for ever.

It writes and reads at once, so that it sees an answer that comes while it is still sending.
"""
import select
import socket
import time


class Hang(Exception):
    """No complete answer came in time."""


class Reply:
    def __init__(self, status=None):
        self.status, self.headers, self.body = status, {}, b""
        self.continued = False  # A 100 came before the answer.
        self.closed = False     # The gateway ended the connection.
        self.sent = 0           # Body bytes that the socket took.
        self.secs = 0.0

    def __repr__(self):
        text = self.body[:200]
        return f"{self.status} after {self.secs:.2f} s, {self.sent} bytes sent: {text!r}"


def connect(port, buffers=None):
    sock = socket.socket()
    if buffers:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
    sock.connect(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def head(method, path, port, *fields):
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunked(pieces):
    for piece in pieces:
        if piece:
            yield b"%x\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\n\r\n"


def pieces(data, size=65536):
    return [data[at:at + size] for at in range(0, len(data), size)]


def exchange(sock, start, body=(), wait_for_continue=False, secs=20.0, pace=0.0, half_close=False):
    """Sends the head `start` and then `body`; returns the final answer, as soon as it is whole.

    With `half_close` the sending side is shut after the body, however short that was."""
    began = time.monotonic()
    reply, got, rest, source = Reply(), b"", start, iter(body)
    in_body, over, held, next_at = False, False, wait_for_continue, 0.0
    sock.setblocking(False)
    while True:
        now = time.monotonic()
        reply.secs = now - began
        if reply.secs > secs:
            raise Hang(f"{reply} and then nothing; {len(got)} bytes of an answer")
        if not rest and not over and not held and now >= next_at:
            rest = next(source, None)
            in_body, next_at = True, now + pace
            if rest is None:
                over, rest = True, b""
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
        want = [sock] if rest else []
        quick = 0 if not rest and not over and not held and not pace else 0.02
        readable, writable, _ = select.select([sock], want, [], quick)
        if readable:
            try:
                piece = sock.recv(65536)
            except ConnectionError:
                piece = b""
            got += piece
            reply.closed = not piece
            got = drop_continue(got, reply)
            held = held and not reply.continued
            if parse(got, reply) or reply.closed:
                reply.secs = time.monotonic() - began
                return reply
        elif writable:
            try:
                count = sock.send(rest)
            except ConnectionError:
                rest, over = b"", True
                continue
            rest = rest[count:]
            reply.sent += count if in_body else 0


def drop_continue(got, reply):
    while got.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in got:
        reply.continued = reply.continued or got.startswith(b"HTTP/1.1 100")
        got = got.split(b"\r\n\r\n", 1)[1]
    return got


def parse(got, reply):
    """Fills `reply` and says whether it is whole."""
    front, blank, body = got.partition(b"\r\n\r\n")
    if not blank:
        return False
    lines = front.decode("latin-1").split("\r\n")
    reply.status = int(lines[0].split(" ")[1])
    reply.headers = {name.lower(): value.strip() for name, value in
                     (line.split(":", 1) for line in lines[1:])}
    if reply.headers.get("transfer-encoding", "").lower() == "chunked":
        return unchunk(body, reply)
    reply.body = body
    length = reply.headers.get("content-length")
    return length is not None and len(body) >= int(length)


def unchunk(body, reply):
    out = b""
    while True:
        size, line, body = body.partition(b"\r\n")
        if not line:
            return False
        count = int(size.split(b";")[0], 16)
        if len(body) < count + 2:
            return False
        out += body[:count]
        reply.body = out
        if count == 0:
            return True
        body = body[count + 2:]


def put(port, path, data, *fields, form="length", **options):
    """One PUT on a connection of its own. `form` is length or chunked."""
    parts = data if isinstance(data, list) else pieces(data)
    if form == "chunked":
        fields, body = (*fields, "Transfer-Encoding: chunked"), chunked(parts)
    else:
        fields, body = (*fields, f"Content-Length: {sum(map(len, parts))}"), parts
    with connect(port) as sock:
        return exchange(sock, head("PUT", path, port, *fields), body, **options)


def multipart(files, boundary="x-otus-x", preamble=b""):
    """The body of a form and its Content-Type field, `files` being (filename, bytes)."""
    out = preamble
    for name, data in files:
        out += (f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
                f'filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n').encode()
        out += data + b"\r\n"
    out += f"--{boundary}--\r\n".encode()
    return out, f"Content-Type: multipart/form-data; boundary={boundary}"
