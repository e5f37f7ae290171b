"""What lies behind the gateway in the tests of clients: a plain web server with a page, events and
a WebSocket, and a gRPC service of four kinds of calls without generated code."""
import base64
import hashlib
import json
import queue
import struct
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc

PAGE = Path(__file__).with_name("page.html")
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    reports = queue.Queue()

    def log_message(self, *_):
        pass

    def answer(self, body, kind="text/plain", status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/page":
            self.answer(PAGE.read_bytes(), "text/html; charset=utf-8")
        elif self.path == "/events":
            self.events()
        elif self.path == "/ws":
            self.websocket()
        elif self.path == "/who":
            self.answer(self.headers.get("Client-Cert", "nobody").encode())
        else:
            proto = self.headers.get("X-Forwarded-Proto")
            self.answer(f"{self.command} {self.path} {proto}".encode())

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            out = b""
            while size := int(self.rfile.readline(), 16):
                out += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return out
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self):
        body = self.body()
        if self.path == "/report":
            self.reports.put(json.loads(body))
            self.answer(b"thanks")
        else:
            self.answer(hashlib.sha256(body).hexdigest().encode())

    do_PUT = do_POST

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for number in range(100):
                self.wfile.write(b"data: %d\n\n" % number)
                time.sleep(0.05)
        except ConnectionError:
            pass  # Whoever listened has heard enough.

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"] + WEBSOCKET
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        self.close_connection = True
        while True:
            start = self.rfile.read(2)
            if len(start) < 2:
                return
            first, size = start[0], start[1] & 0x7F
            if size == 126:
                size, = struct.unpack(">H", self.rfile.read(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.rfile.read(8))
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size)))
            head = bytes([first]) + (bytes([size]) if size < 126 else struct.pack(">BH", 126, size))
            self.wfile.write(head + data)
            if first & 0x0F == 8:
                return


def serve_http():
    """Starts the web server; gives its port and the queue of what pages report."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], Handler.reports


def unary(text, context):
    if text == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
    if text == b"sleep":
        time.sleep(5)
    tag = dict(context.invocation_metadata()).get("x-tag")
    if tag:
        context.set_trailing_metadata((("x-tag", tag),))
    return text + text


def serve_grpc():
    """Starts the service of raw messages; gives its port and itself."""
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[
        ("grpc.max_receive_message_length", 64 << 20)])
    calls = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Gather": grpc.stream_unary_rpc_method_handler(lambda texts, _: b"".join(texts)),
        "Spread": grpc.unary_stream_rpc_method_handler(
            lambda count, _: (b"text %d" % at for at in range(int(count)))),
        "Chat": grpc.stream_stream_rpc_method_handler(
            lambda texts, _: (text.upper() for text in texts)),
    }
    handler = grpc.method_handlers_generic_handler("test.Echo", calls)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, server
