"""SPEC 6.1 to 6.3: uploads in three dialects, and downloads."""
import hashlib
import threading
import time

import client
import siblings
from reverse import Answer, decoded, told
from rows.part4 import GOOD, says
from table import check, row, same

DATA = bytes(range(256)) * 800  # Three full chunks and a piece.


def sequence(messages, dialect):
    """What a stream brought: ("start", name), ("chunk", name, size), ("end", name)."""
    out = []
    for message in messages:
        if dialect.name == "c":
            meta = chunk = message.body
        else:
            # To ask a map for what it has not puts it there.
            nothing = dialect.Any()
            meta, chunk = (message.Args[key] if key in message.Args else nothing
                           for key in ("meta", "chunk"))
        if meta.type_url.endswith(("/StringMap", "gufo.RequestContext")):
            kind = dialect.StringMap or dialect.RequestContext
            found = kind.FromString(meta.value)
            entries = found.entries if dialect.StringMap else found.meta
            out.append((entries["phase"], entries["filename"]))
        elif chunk.type_url.endswith("FileChunk"):
            piece = dialect.FileChunk.FromString(chunk.value)
            out.append(("chunk", piece.name, len(piece.data)))
        else:
            out.append(("?", meta.type_url))
    return out


def put(world, data, *fields, module="echo", **options):
    """An upload, and what its stream brought."""
    stub = world.stubs[module]
    since = len(stub.streams)
    reply = world.put(module, data, *fields, **options)
    same(len(stub.streams), since + 1, f"streams for {reply}")
    return reply, sequence(stub.streams[-1], stub.dialect)


def joined(messages, dialect):
    out = b""
    for message in messages:
        if dialect.name != "c" and "chunk" not in message.Args:
            continue
        place = message.body if dialect.name == "c" else message.Args["chunk"]
        if place.type_url.endswith("FileChunk"):
            out += dialect.FileChunk.FromString(place.value).data
    return out


@row("6.1/raw body")
def raw(world):
    reply, got = put(world, b"abc", "X-Filename: a.txt")
    same(reply.status, 200)
    same(got[:2], [("start", "a.txt"), ("chunk", "a.txt", 3)])
    _, got = put(world, b"abc")
    same(got[0], ("start", "upload.bin"), "without a name")
    _, got = put(world, b"", "X-Filename: e")
    same(got[0], ("start", "e"), "an empty body is a file")


@row("6.1/multipart")
def multipart(world):
    body, field = client.multipart([("a.jpg", b"aa"), ("b.jpg", b"b")],
                                   preamble=b"--x-otus-x\r\nContent-Disposition: form-data; "
                                            b'name="note"\r\n\r\nnot a file\r\n')
    for name in ("Multipart/Form-Data", "multipart/form-data", "multipart/mixed"):
        kind = field.replace("multipart/form-data", name)
        reply, got = put(world, body, kind)
        same(reply.status, 200, name)
        files = [entry for entry in got if entry[0] != "chunk" or entry[2]]
        same(files, [("start", "a.jpg"), ("chunk", "a.jpg", 2), ("end", "a.jpg"),
                     ("start", "b.jpg"), ("chunk", "b.jpg", 1), ("end", "b.jpg")], name)


@row("6.1/1 start")
def start(world):
    put(world, b"x", "X-Filename: f")
    first = world.stubs["echo"].streams[-1][0]
    same((first.Module, first.IR.Param), ("echo", "stream"))
    same(first.Args["meta"].type_url, "type.googleapis.com/StringMap")
    entries = world.stubs["echo"].dialect.StringMap.FromString(first.Args["meta"].value).entries
    same(dict(entries), {"filename": "f", "phase": "start"})


@row("6.1/2 chunks")
def chunks(world):
    _, got = put(world, DATA, "X-Filename: f")
    sizes = [entry[2] for entry in got if entry[0] == "chunk" and entry[2]]
    check(max(sizes) <= 65536 and sum(sizes) == len(DATA), sizes)
    stub = world.stubs["echo"]
    same(hashlib.sha256(joined(stub.streams[-1], stub.dialect)).digest(),
         hashlib.sha256(DATA).digest(), "content")
    for message in stub.streams[-1]:
        same((message.Module, message.IR.Param), ("echo", "stream"))
        for kind in message.Args.values():
            check(kind.type_url in ("type.googleapis.com/FileChunk",
                                    "type.googleapis.com/StringMap"), kind.type_url)


@row("6.1/3 end")
def end(world):
    _, got = put(world, b"abc", "X-Filename: f")
    same(got[2:], [("end", "f"), ("chunk", "f", 0)])


@row("6.1/end_marker")
def end_marker(world):
    gate = world.gateway("markers", **{"microservices.echo.end_marker": "meta",
                                       "microservices.echoc.end_marker": "empty_chunk"})
    _, got = put(world, b"abc", "X-Filename: f", on=gate)
    same(got[2:], [("end", "f")], "meta")
    _, got = put(world, b"abc", "X-Filename: f", on=gate, module="echoc")
    same(got[2:], [("chunk", "f", 0)], "empty_chunk")


@row("6.1/drained answer")
def drained(world):
    reply, _ = put(world, b"abc")
    same(reply.status, 200)
    same(reply.data["message"], "PUT streamed successfully")


@row("6.1/last Data merged")
def merged(world):
    reply, got = put(world, b"abc")
    same(reply.data["messages"], len(got))
    stub = world.stubs["echo"]

    def refuse(seen, requests, _):
        seen.extend(requests)
        yield Answer({"httpcode": 422, "code": "000422", "message": "not an image"}).message(
            stub.dialect)

    stub.stream_says = refuse
    try:
        reply, _ = put(world, b"abc")
    finally:
        stub.stream_says = None
    same((reply.code, reply.data["message"]), ((422, "000422"), "not an image"))


@row("6.1/failures")
def failures(world):
    reply = world.put("down", b"abc")
    same((reply.status, "message" in reply.data), (400, True), "dial")
    stub = world.stubs["echo"]
    import grpc
    for late in (False, True):
        def fail(seen, requests, context, late=late):
            if late:
                seen.extend(requests)
            context.abort(grpc.StatusCode.INTERNAL, "secret")
            yield

        stub.stream_says = fail
        try:
            reply, _ = put(world, b"abc")
        finally:
            stub.stream_says = None
        same((reply.status, "message" in reply.data), (500, True), f"late: {late}")


@row("6.1/first message says who")
def first_message(world):
    # The path has more than module and param, so it is asked by hand.
    stub = world.stubs["echo"]
    for module in ("echo", "echoc"):
        stub = world.stubs[module]
        put(world, b"x", *GOOD, "Accept-Language: fr", module=module, path="/file/7/8?tag=x&tag2=y")
        first = told(stub.dialect, stub.streams[-1][0])
        same((first.param, first.param_id, first.param_idd), ("file", "7", "8"), module)
        same((first.token, first.token_type, first.uid), ("good", "Bearer", "u7"), module)
        same((first.sign, first.ip, first.language), (siblings.SIGN, "127.0.0.1", "fr"), module)
        args = {key: text for key, text in first.texts.items() if key in ("tag", "tag2")}
        same(args, {"tag": '"x"', "tag2": '"y"'}, module)
        check(first.is_admin == 0 and first.method == "PUT", module)


@row("6.1/signed throughout")
def signed(world):
    # Template services of dialect C look at each message (SPEC 19, S8).
    put(world, DATA, module="echoc")
    for message in world.stubs["echoc"].streams[-1]:
        same(message.auth.sign, siblings.SIGN)


@row("6.1/back-pressure")
def back_pressure(world):
    gate = world.gateway()
    stub, go = world.stubs["echo"], threading.Event()

    def slow(seen, requests, _):
        seen.append(next(requests))
        go.wait(6)
        count = sum(len(stub.dialect.FileChunk.FromString(one.Args["chunk"].value).data)
                    for one in requests if "chunk" in one.Args)
        yield Answer({"bytes": count}).message(stub.dialect)

    before, size = gate.status_kib("VmHWM"), 48 << 20
    stub.stream_says = slow
    try:
        threading.Timer(0.7, go.set).start()
        reply = world.put("echo", bytes(size), secs=20)
    finally:
        stub.stream_says = None
        go.set()
    same((reply.status, reply.data["bytes"]), (200, size))
    grown = gate.status_kib("VmHWM") - before
    check(grown < 12 * 1024, f"the peak grew by {grown} KiB")


@row("6.1/no deadline but idleness")
def no_deadline(world):
    gate = world.gateway("hasty", **{"microservices.echo.timeout": "500ms",
                                     "server.grpc_timeout": "500ms",
                                     "microservices.echo.stream_timeout": "1s"})
    parts = [b"x" * 4096] * 8
    reply = world.put("echo", parts, on=gate, pace=0.25, form="chunked")
    same(reply.status, 200, "an upload of two seconds")


@row("6.2/A one Do")
def one_do(world):
    body, field = client.multipart([("../../a b.bin", DATA)])
    reply = world.put("files", body, field)
    want = {"name": "a b.bin", "bytes": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    same({key: reply.data.get(key) for key in want}, want, repr(reply))
    reply = world.put("files", b"abc", "X-Filename: r.bin")
    same((reply.data["name"], reply.data["bytes"]), ("r.bin", 3))


@row("6.2/A Missing File")
def a_missing(world):
    body = b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n'
    reply = world.put("files", body, "Content-Type: multipart/form-data; boundary=x")
    same((reply.code, reply.data["message"]), ((400, "0000235"), "Missing File"))


@row("6.2/C three phases")
def c_phases(world):
    reply, got = put(world, DATA, "X-Filename: f", module="echoc")
    same(reply.status, 200)
    same((got[0], got[-2:]), (("start", "f"), [("end", "f"), ("chunk", "f", 0)]))
    same(sum(entry[2] for entry in got if entry[0] == "chunk"), len(DATA))
    for message in world.stubs["echoc"].streams[-1]:
        same((message.module, message.method), ("echoc", 3))


@row("6.2/C param sent")
def c_param(world):
    put(world, b"x", module="echoc", path="/file/7")
    first = world.stubs["echoc"].streams[-1][0]
    same((first.param, first.param_id), ("file", "7"))


@row("6.2/template answers")
def template(world):
    stub = world.stubs["echoc"]
    markers = ("meta", stub.dialect.RequestContext)

    def ok(seen, requests, _):
        for request in requests:
            seen.append(request)
            if request.body.type_url.endswith("RequestContext"):
                yield Answer(anys={"status": stub.dialect.text("ok")}).message(stub.dialect)

    stub.stream_says = ok
    try:
        reply, _ = put(world, b"abc", module="echoc")
    finally:
        stub.stream_says = None
    same((reply.status, reply.data["status"]), (200, "ok"), repr(markers[0]))


@row("6.2/names are cleaned")
def names(world):
    for given, want in (("../../etc/passwd", "passwd"), ("a\\b\\c.txt", "c.txt"),
                        ("/abs/x", "x"), ("n" * 300, "n" * 255)):
        for module in ("echo", "echoc"):
            _, got = put(world, b"x", f"X-Filename: {given}", module=module)
            same(got[0], ("start", want), module)


@row("6.2/Files are never read", waits="gRPC server")
def files_refused(world):
    kind = world.stubs["echo"].dialect
    request = kind.Request(Module="echo", Param="p", Sign=siblings.SIGN, Method="PUT",
                           Files=["/etc/hostname"])
    request.IR.Param = "stream"
    from reverse import channel
    since = len(world.stubs["echo"].streams)
    with channel(world.gateway().grpc) as line:
        answer = kind.stub(line)(request, timeout=5)
    # It goes on as the call that it is, or is refused: nothing of this host is read.
    same(len(world.stubs["echo"].streams), since, "a stream was opened")
    for told_of in world.stubs["echo"].calls[-1:]:
        check(told_of.file is None, "a file was sent")
    check(all(decoded(value) is not None for value in answer.Data.values()), answer)


FILE = {"file": "aGk=\n\u00e4", "filetype": "text/plain", "filename": "a b.txt", "isbase64": True}


@row("6.3/isbase64 true")
def inline(world):
    for module in ("echo", "echoa", "echoc"):
        reply = says(world, FILE, module)
        same((reply.status, reply.body), (200, "aGk=\n\u00e4".encode()), module)


@row("6.3/headers")
def download_headers(world):
    reply = says(world, FILE)
    same(reply.headers["content-type"], "text/plain")
    same(reply.headers["content-disposition"], 'attachment; filename="a b.txt"')
    same((reply.headers["server"], reply.headers["access-control-allow-origin"]), ("Gufo", "*"))
    reply = says(world, {**FILE, "filename": 'x"\r\nX-Evil: 1'})
    check("x-evil" not in reply.headers, "a field was smuggled in (SPEC 19, S10)")


@row("6.3/isbase64 false")
def local_off(world):
    for value in (False, None, "true", 1):
        reply = says(world, {**FILE, "file": "/etc/hostname", "isbase64": value})
        same(reply.code, (500, "00004"), f"isbase64 {value!r}")


def filedir(world):
    folder = world.folder / "files"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_bytes(b"0123456789")
    (world.folder / "outside.txt").write_bytes(b"secret")
    if not (folder / "link.txt").is_symlink():
        (folder / "link.txt").symlink_to("../outside.txt")
    world.gateway("filedir", server__filedir=str(folder), server__files="filedir")
    return folder


def local(world, path, *fields):
    stub = world.stubs["echo"]
    stub.says = {"file": str(path), "filetype": "text/plain", "filename": "a.txt",
                 "isbase64": False}
    try:
        return world.ask("GET", "/api/v3/echo/p", fields=fields, on="filedir")
    finally:
        stub.says = None


@row("6.3/filedir", waits="downloads")
def local_on(world):
    folder = filedir(world)
    reply = local(world, folder / "a.txt")
    same((reply.status, reply.body), (200, b"0123456789"))
    same(reply.headers["content-type"], "text/plain")
    for path in ("/etc/hostname", f"{folder}/../outside.txt", f"{folder}/link.txt"):
        reply = local(world, path)
        check(reply.status >= 400 and b"secret" not in reply.body, f"{path}: {reply}")


@row("6.3/Range and conditions", waits="downloads")
def ranges(world):
    folder = filedir(world)
    reply = local(world, folder / "a.txt", "Range: bytes=2-4")
    same((reply.status, reply.body), (206, b"234"))
    same(reply.headers["content-range"], "bytes 2-4/10")
    same(local(world, folder / "a.txt", "Range: bytes=20-").status, 416)
    date = local(world, folder / "a.txt").headers["last-modified"]
    same(local(world, folder / "a.txt", f"If-Modified-Since: {date}").status, 304)


def pieces(stub, count=5):
    """A service that sends a file as chunks, when its stream is opened for a download."""

    def send(seen, requests, _):
        seen.append(next(requests))
        for at in range(count):
            piece = stub.dialect.FileChunk(name="a.bin", data=b"%d" % at * 1000)
            name = "gufo.FileChunk" if stub.dialect.name == "c" else "FileChunk"
            yield Answer(anys={"chunk": stub.dialect.any(name, piece)}).message(stub.dialect)

    return send


@row("6.3/stream", waits="downloads")
def streamed(world):
    for module in ("echo", "echoc"):
        stub = world.stubs[module]
        stub.says = {"stream": True, "filetype": "application/x-a", "filename": "a.bin"}
        stub.stream_says = pieces(stub)
        try:
            reply = world.ask("GET", f"/api/v3/{module}/p")
        finally:
            stub.says = stub.stream_says = None
        same(reply.status, 200, module)
        same(reply.body, b"".join(b"%d" % at * 1000 for at in range(5)), module)
        same(reply.headers["content-type"], "application/x-a")


@row("6.3/download=stream", waits="downloads")
def configured(world):
    world.gateway("download", **{"microservices.echo.download": "stream"})
    stub = world.stubs["echo"]
    stub.stream_says = pieces(stub)
    try:
        reply = world.ask("GET", "/api/v3/echo/p", on="download")
    finally:
        stub.stream_says = None
    same((reply.status, len(reply.body)), (200, 5000))


@row("6.3/SSE", waits="streams")
def events(world):
    stub = world.stubs["echo"]
    stub.says = {"stream": True, "filetype": "text/event-stream"}

    def send(seen, requests, _):
        seen.append(next(requests))
        for at in range(3):
            piece = stub.dialect.FileChunk(name="sse", data=b"%d" % at)
            yield Answer(anys={"chunk": stub.dialect.any("FileChunk", piece)}).message(stub.dialect)
            time.sleep(0.05)

    stub.stream_says = send
    try:
        reply = world.ask("GET", "/api/v3/echo/p", fields=["Accept: text/event-stream"])
    finally:
        stub.says = stub.stream_says = None
    same(reply.headers["content-type"], "text/event-stream")
    events = [line for line in reply.body.decode().splitlines() if line.startswith("data:")]
    same([line[5:].strip() for line in events], ["0", "1", "2"], repr(reply))
