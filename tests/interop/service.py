#!/usr/bin/env python3
"""A Reverse service (dialect B) on grpcio that behaves as it is told.

    service.py --port P [--after BYTES] BEHAVIOUR

It says what happens to it as JSON lines on standard output: ready, open, first, done, cancelled.
BEHAVIOUR is one name of BEHAVIOURS. BYTES are the payload bytes of a stream after which the
misbehaviour begins. Loopback only; it ends with its standard input.
"""
import argparse
import hashlib
import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc
import stubs

PB, RPC = stubs.load()
URL = "type.googleapis.com/"
CHUNK_BYTES_MAX = 65536
lock = threading.Lock()
running = []  # grpcio ends a server that nothing refers to.


def say(event, **facts):
    with lock:
        print(json.dumps({"event": event, **facts}), flush=True)


def pack(value):
    """A JSON value as the protocol carries it: Any(BytesValue(text))."""
    from google.protobuf import any_pb2, wrappers_pb2
    inner = wrappers_pb2.BytesValue(value=json.dumps(value).encode())
    return any_pb2.Any(type_url=URL + "google.protobuf.BytesValue",
                       value=inner.SerializeToString())


def unpack(any_value):
    from google.protobuf import wrappers_pb2
    return wrappers_pb2.BytesValue.FromString(any_value.value).value.decode()


def answer(**data):
    return PB.Response(Data={key: pack(value) for key, value in data.items()})


class Order(Exception):
    """The gateway broke the order of an upload."""


class Upload:
    """Follows the messages of one stream and holds the gateway to their documented order."""

    def __init__(self):
        self.files, self.name, self.bytes = [], None, 0
        self.hash, self.size, self.messages = None, 0, 0
        self.left_early = False  # The service itself stopped reading.

    def take(self, request):
        """Returns the payload bytes that this message carried."""
        self.messages += 1
        if request.IR.Param != "stream":
            raise Order(f"message {self.messages}: IR.Param is {request.IR.Param!r}")
        if not request.Module:
            raise Order(f"message {self.messages}: no Module")
        if self.messages == 1:
            self.first(request)
        if "meta" in request.Args:
            return self.meta(request.Args["meta"])
        if "chunk" in request.Args:
            return self.chunk(request.Args["chunk"])
        raise Order(f"message {self.messages}: neither meta nor chunk")

    def first(self, request):
        facts = {name: getattr(request, name) for name in
                 ("Module", "Param", "ParamID", "ParamIDD", "Method", "Sign", "IP", "APIVersion")}
        facts["args"] = {key: unpack(value) for key, value in request.Args.items()
                         if key not in ("meta", "chunk")}
        say("first", **facts)

    def meta(self, value):
        if value.type_url != URL + "StringMap":
            raise Order(f"meta of type {value.type_url}")
        entries = PB.StringMap.FromString(value.value).entries
        if entries["phase"] == "start":
            if self.name is not None:
                raise Order("a file starts inside a file")
            self.name, self.hash, self.size = entries["filename"], hashlib.sha256(), 0
        elif entries["phase"] == "end":
            if entries["filename"] != self.name:
                raise Order(f"{entries['filename']!r} ends, {self.name!r} was begun")
            self.files.append({"name": self.name, "bytes": self.size,
                               "sha256": self.hash.hexdigest()})
            self.name = None
        else:
            raise Order(f"phase {entries['phase']!r}")
        return 0

    def chunk(self, value):
        if value.type_url != URL + "FileChunk":
            raise Order(f"chunk of type {value.type_url}")
        chunk = PB.FileChunk.FromString(value.value)
        if not chunk.data:
            return 0  # The end marker of older services.
        if self.name is None or chunk.name != self.name:
            raise Order(f"a chunk of {chunk.name!r} inside {self.name!r}")
        if len(chunk.data) > CHUNK_BYTES_MAX:
            raise Order(f"a chunk of {len(chunk.data)} bytes")
        self.hash.update(chunk.data)
        self.size += len(chunk.data)
        self.bytes += len(chunk.data)
        return len(chunk.data)


class Service(RPC.ReverseServicer):
    def __init__(self, options):
        self.options = options
        self.calls = 0
        self.renew = None

    def Do(self, request, context):
        self.calls += 1
        say("do", param=request.Param, calls=self.calls, method=request.Method)
        if request.Param == "flaky" and self.calls == 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        if request.Param == "status":
            code = getattr(grpc.StatusCode, request.ParamID)
            context.abort(code, "asked for")
        if request.Param == "sleep":
            time.sleep(30)
        data = dict(request.Args)
        for key, value in (("param", request.Param), ("method", request.Method)):
            data[key] = pack(value)
        return PB.Response(Data=data)

    def Stream(self, requests, context):
        over = threading.Event()
        context.add_callback(over.set)
        upload = Upload()
        say("open")
        cut = False

        def watched():
            # grpcio raises into this loop when the call was cancelled or its connection is gone.
            nonlocal cut
            cut = True
            yield from requests
            cut = False

        try:
            yield from self.behave(upload, watched(), context, over)
        except Order as fault:
            upload.left_early = True
            say("order", fault=str(fault))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(fault))
        finally:
            ended = over.is_set() or (cut and not upload.left_early)
            say("cancelled" if ended else "done", bytes=upload.bytes, messages=upload.messages)

    def behave(self, upload, requests, context, over):
        behaviour = self.options.behaviour
        if behaviour == "refuse":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "not yours")
        for request in requests:
            upload.take(request)
            if behaviour == "slow":
                # All of an upload takes less than its timeout, should grpcio have read it at once.
                time.sleep(0.003)
            if upload.bytes >= self.options.after and behaviour in EARLY:
                upload.left_early = behaviour not in CONTINUE
                yield from EARLY[behaviour](self, context, over)
                if upload.left_early:
                    return
                behaviour = "store"
        if upload.name is not None:
            # grpcio may end the requests before it knows that the call was cancelled.
            if over.wait(1):
                return
            raise Order(f"{upload.name!r} did not end")
        yield from LATE.get(behaviour, stored)(upload, context, over)

    # What goes wrong in the middle of a stream.

    def stall(self, _context, over):
        say("stalled")
        over.wait(60)
        return
        yield

    def reset(self, context, _over):
        context.cancel()
        return
        yield

    def go_away(self, _context, _over):
        self.renew(grace=30)
        return
        yield

    def go_away_now(self, _context, over):
        self.renew(grace=0)
        over.wait(30)
        return
        yield

    def die(self, _context, _over):
        say("dies")
        os._exit(3)
        yield

    def early_ok(self, _context, _over):
        yield answer(message="enough")

    def early_error(self, _context, _over):
        yield answer(httpcode=507, code="000507", message="no space left")

    def early_status(self, context, _over):
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "quota used up")
        yield


def stored(upload, _context, _over):
    yield answer(files=upload.files, bytes=upload.bytes)


def late_status(_upload, context, _over):
    context.abort(grpc.StatusCode.INTERNAL, "the last step failed")
    yield


def late_error(_upload, _context, _over):
    yield answer(httpcode="422", code="000422", message="not an image")


def silent(_upload, _context, over):
    over.wait(60)
    return
    yield


def huge(_upload, _context, _over):
    yield answer(message="x" * (8 << 20))


EARLY = {
    "stall": Service.stall, "reset": Service.reset, "goaway": Service.go_away,
    "goaway_now": Service.go_away_now, "die": Service.die, "early_ok": Service.early_ok,
    "early_error": Service.early_error, "early_status": Service.early_status,
}
# After these the stream goes on as if nothing had happened.
CONTINUE = {"goaway"}
LATE = {"late_status": late_status, "late_error": late_error, "silent": silent, "huge": huge}
BEHAVIOURS = ["store", "slow", "sink", "refuse", *EARLY, *LATE]


def sink(requests, _context):
    """Takes raw messages and counts them, for uploads too large to look at."""
    count = 0
    for message in requests:
        count += len(message)
    say("done", bytes=count)
    yield answer(message="taken", received=count).SerializeToString()


def start(options):
    server = grpc.server(futures.ThreadPoolExecutor(128), options=[("grpc.so_reuseport", 1)])
    service = Service(options)

    def renew(grace):
        # The next connection meets the new server; the old one says GOAWAY to what it has.
        say("goaway", grace=grace)
        start(options)
        threading.Thread(target=server.stop, args=(grace,), daemon=True).start()

    service.renew = renew
    if options.behaviour == "sink":
        method = grpc.stream_stream_rpc_method_handler(sink)
        handler = grpc.method_handlers_generic_handler("Reverse", {"Stream": method})
        server.add_generic_rpc_handlers((handler,))
    else:
        RPC.add_ReverseServicer_to_server(service, server)
    if server.add_insecure_port(f"127.0.0.1:{options.port}") == 0:
        sys.exit(f"port {options.port} is taken")
    server.start()
    running.append(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--after", type=int, default=1 << 20)
    parser.add_argument("behaviour", choices=BEHAVIOURS)
    options = parser.parse_args()
    start(options)
    say("ready")
    sys.stdin.buffer.read()  # Ends when whoever started this is gone.
    os._exit(0)


if __name__ == "__main__":
    main()
