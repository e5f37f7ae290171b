"""SPEC 5.1 to 5.4: routes, envelopes, codes, and the order in which things are looked at."""
import time

import grpc

import client
import siblings
from rows.part4 import GOOD, says
from table import check, row, same

READER = ("Authorization: Bearer reader",)
SIGNED = (f"X-Sign: {siblings.SIGN}",)
BASES = ("/api/v3", "/api/v1")
REST_SIGN = {"security.rest_mode": "sign"}
RIGHT = {"gufo.strict_legacy_status": False}


@row("5.1/GET health")
def health(world):
    for base in BASES:
        reply = world.ask("GET", f"{base}/health")
        same((reply.status, reply.data), (200, {"health": "OK"}))


@row("5.1/info")
def info(world):
    for method in ("GET", "POST", "PATCH", "DELETE", "TRACE"):
        reply = world.ask(method, "/api/v3/info")
        same(reply.status, 200, method)
        same(sorted(reply.data), ["registration", "version"], method)
        check(reply.data["registration"] is False, reply)
    version = world.ask("GET", "/api/v1/info").data["version"]
    check(version.endswith(")") and "  (" in version, f"no `<ver>  (<commit>, <date>)`: {version}")


@row("5.1/info", "registration")
def info_registration(world):
    world.gateway("registering", settings__registration=True)
    same(world.ask("GET", "/api/v3/info", on="registering").data["registration"], True)


@row("5.1/info", "after security")
def info_order(world):
    world.gateway("rest_sign", **REST_SIGN)
    same(world.ask("GET", "/api/v3/info", on="rest_sign").code, (401, "00001"))
    same(world.ask("GET", "/api/v3/info", fields=SIGNED, on="rest_sign").status, 200)


@row("5.1/info", "after the session", waits="info with a session")
def info_session(world):
    reply = world.ask("GET", "/api/v3/info", fields=GOOD)
    same(reply.json["session"]["uid"], "u7", "the session of whoever asks")


@row("5.1/heartbeat", waits="gRPC server")
def heartbeat(world):
    from rows.part8 import alone
    beat = {"service": "x", "host": "127.0.0.1", "port": "1"}
    for base in BASES:
        data = world.ask("POST", f"{base}/heartbeat", beat, on=alone(world)).data
        same((data["leader"], data["cron"]), (True, True), base)


@row("5.1/entrypoint")
def entrypoint(world):
    for path in ("/entrypoint", "/entrypoint/a/b"):
        for method in ("GET", "POST", "PUT"):
            reply = world.ask(method, f"/api/v3{path}", b"" if method != "GET" else None)
            same((reply.code, reply.data["message"]), ((401, "0000235"), "Wrong module"), method)


@row("5.1/module")
def module(world):
    for path in ("/echo", "/echo/p", "/echo/p/1", "/echo/p/1/2", "/echo/"):
        for base in BASES:
            same(world.ask("GET", base + path).status, 200, base + path)


@row("5.1/GET exit", waits="/exit")
def exit_route(world):
    same(world.ask("GET", "/exit").status, 404, "without server.debug")
    gate = world.gateway("debug", server__debug=True)
    reply = world.ask("GET", "/exit", on=gate)
    same((reply.status, reply.body), (200, b"Gufo is shutting down..."))
    same(gate.process.wait(8), 0, "it ends")
    del world.running["debug"]


def mcp_gateway(world):
    return world.gateway("mcp", **{"mcp.path": "/mcp", "mcp.module": "echoc"})


@row("5.1/POST mcp", waits="MCP")
def mcp(world):
    mcp_gateway(world)
    raw = b'{"jsonrpc":"2.0","id":7,"method":"tools/list"}'
    stub = world.stubs["echoc"]
    stub.says = lambda told, _: {"mcp": {"jsonrpc": "2.0", "id": 7, "result": {}}}
    try:
        reply = world.ask("POST", "/mcp", raw, on="mcp")
    finally:
        stub.says = None
    same((reply.status, reply.json), (200, {"jsonrpc": "2.0", "id": 7, "result": {}}))
    told = stub.last()
    same((told.body, told.number), (raw.decode(), 2))
    same((told.version, told.message.context.meta["mcp"]), ("v1", "true"))
    same(world.ask("GET", "/mcp", on="mcp").status, 405)
    same(world.ask("POST", "/mcp", b"{", on="mcp").status, 400)
    same(world.ask("POST", "/mcp", b"{}").status, 404, "without its keys")


@row("5.2/data session timestamp lang")
def envelope(world):
    for module in ("echo", "echoa", "echoc"):
        reply = world.ask("GET", f"/api/v3/{module}/p")
        same(sorted(reply.json), ["data", "lang", "session", "timestamp"], module)
        check(abs(reply.json["timestamp"] - time.time()) < 10, reply)
        same((reply.json["lang"], reply.json["session"]), ("eng", None), module)


@row("5.2/session keys")
def session_keys(world):
    reply = world.ask("GET", "/api/v3/echo/p", fields=GOOD)
    keys = ["Sesionexp", "completed", "isAdmin", "readonly", "uid"]
    same(sorted(reply.json["session"]), keys)


@row("5.2/no success")
def no_success(world):
    check("success" not in world.ask("GET", "/api/v3/echo/p").json, "a member of older documents")
    reply = says(world, {"success": 1})
    same((reply.status, reply.data), (200, {"success": 1}), "tolerated")


@row("5.2/default headers")
def headers(world):
    for reply in (world.ask("GET", "/api/v3/echo/p"), world.ask("GET", "/api/v3/nobody")):
        got = reply.headers
        same(got["access-control-allow-origin"], "*")
        methods = {"POST", "GET", "OPTIONS", "PUT", "DELETE", "TRACE", "PATCH", "HEAD"}
        same({word.strip() for word in got["access-control-allow-methods"].split(",")}, methods)
        same(got["access-control-allow-headers"], "Authorization, Content-Type")
        same((got["server"], got["content-type"]), ("Gufo", "application/json"))


@row("5.3/form")
def error_form(world):
    reply = world.ask("GET", "/api/v3/entrypoint")
    same(sorted(reply.json), ["data", "lang", "session", "timestamp"])
    same(sorted(reply.data), ["code", "message"])
    check(isinstance(reply.data["code"], str), "a code is a text")


@row("5.3/401 00001")
def unauthorized(world):
    world.gateway("rest_sign", **REST_SIGN)
    reply = world.ask("GET", "/api/v3/echo/p", on="rest_sign")
    same(reply.code, (401, "00001"))
    reply = world.ask("GET", "/api/v3/echo/p", fields=["X-Sign: wrong"], on="rest_sign")
    same(reply.code, (401, "00001"))


@row("5.3/500 00002")
def mode_unset(world):
    # SPEC 20, 9: it does not start.
    from world import toml
    for mode in (None, "none"):
        done, _ = world.otus("check", text=toml(world.settings(security__mode=mode)))
        same(done.returncode, 1, f"mode {mode}")
        check("mode" in done.stdout + done.stderr, done.stderr)


@row("5.3/400 00003")
def bad_request(world):
    reply = world.ask("GET", "/api/v3/echo/a%2fb")
    same(reply.code, (400, "00003"))
    form = "Content-Type: multipart/form-data; boundary=x"
    same(world.put("echo", b"nothing", form).code, (400, "00003"))


@row("5.3/500 00004")
def failure(world):
    reply = says(world, {"file": "/etc/passwd", "isbase64": False})
    same(reply.code, (500, "00004"))


@row("5.3/500 99999", "of a service")
def unknown(world):
    # Nothing in this gateway is of unknown cause; a service's own passes.
    reply = says(world, siblings.refused(500, "99999", "unknown"))
    same(reply.code, (500, "99999"))


@row("5.3/429 000429")
def limited(world):
    world.gateway("limited", gufo__rate_limit_rps=1, gufo__rate_limit_burst=3)
    replies = [world.ask("GET", "/api/v3/echo/p", on="limited") for _ in range(8)]
    statuses = [reply.status for reply in replies]
    check(statuses[:3] == [200] * 3 and 429 in statuses, statuses)
    refused = next(reply for reply in replies if reply.status == 429)
    same(refused.code, (429, "000429"))
    same(refused.data["message"], "rate limit exceeded")


@row("5.3/401 0000234 X-Sign")
def wrong_sign(world):
    reply = world.ask("GET", "/api/v3/echo/p", fields=["X-Sign: wrong"])
    same((reply.code, reply.data["message"]), ((401, "0000234"), "Invalid internal signature"))


@row("5.3/401 0000234 internal module")
def internal(world):
    same(world.ask("GET", "/api/v3/inner/p").code, (401, "0000234"))
    same(world.ask("GET", "/api/v3/inner/p", fields=SIGNED).status, 200)


@row("5.3/400 0000234 dial")
def dial(world):
    same(world.ask("GET", "/api/v3/down/p").code, (400, "0000234"))


@row("5.3/401 0000235 path too short")
def too_short(world):
    for path in ("/api/v3", "/api/v3/", "/api/v1/"):
        same(world.ask("GET", path).code, (401, "0000235"), path)


@row("5.3/401 0000235 entrypoint")
def entrypoint_code(world):
    same(world.ask("GET", "/api/v1/entrypoint").code, (401, "0000235"))


@row("5.3/401 0000235 read only")
def read_only(world):
    reply = world.ask("GET", "/api/v3/echo/p", fields=READER)
    same((reply.code, reply.data["message"]), ((401, "0000235"), "Read Only User"))


@row("5.3/400 0000235 missing file")
def missing_file(world):
    form = "Content-Type: multipart/form-data; boundary=b"
    empty = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n'
    for module in ("files", "echo", "echoc"):
        reply = world.put(module, empty, form)
        same((reply.code, reply.data["message"]), ((400, "0000235"), "Missing File"), module)


@row("5.3/500 0000236")
def connection(world):
    # The only connection that there may be is taken by an upload that does not go on.
    gate = world.gateway("taken", microservices__echo__pool__connections=1,
                         microservices__echo__pool__streams=1, microservices__echo__timeout="500ms")
    with client.connect(gate.port) as sock:
        sock.sendall(client.head("PUT", "/api/v3/echo/p", gate.port, "Content-Length: 9",
                                 "Expect: 100-continue"))
        check(b" 100 " in sock.recv(4096), "the upload is not under way")
        reply = world.ask("GET", "/api/v3/echo/p", on=gate)
    same((reply.code, reply.data["message"]), ((500, "0000236"), "Module connection error"))


@row("5.3/500 0000238")
def address_missing(world):
    world.gateway("unplaced", microservices__echo__host=None, microservices__echo__port=None)
    same(world.ask("GET", "/api/v3/echo/p", on="unplaced").code, (500, "0000238"))
    # Half an address is refused at the start.
    from world import toml
    done, _ = world.otus("check", text=toml(world.settings(microservices__echo__host=None)))
    same(done.returncode, 1)
    check("host" in done.stdout + done.stderr, done.stderr)


@row("5.3/500 0000500")
def transport(world):
    for module in ("echo", "echoa", "echoc"):
        for code in ("INTERNAL", "UNKNOWN", "PERMISSION_DENIED"):
            def abort(_, context, code=code):
                context.abort(getattr(grpc.StatusCode, code), "secret text")
            reply = says(world, abort, module)
            same(reply.code, (500, "0000500"), f"{module} {code}")
            check(b"secret" not in reply.body, "a service's text leaks")


@row("5.3/500 0000501")
def unresolved(world):
    reply = world.ask("GET", "/api/v3/nobody/p")
    same(reply.code, (500, "0000501"))
    message = "Cannot resolve service: registry and masterservice unavailable"
    same(reply.data["message"], message)


@row("5.3/404 000056")
def wrong_request(world):
    for path in ("/api/v2/echo/p", "/api/", "/api/x"):
        reply = world.ask("GET", path)
        same((reply.code, reply.data["message"]), ((404, "000056"), "Wrong Request"), path)
    check(b'"data"' not in world.ask("GET", "/elsewhere").body, "no envelope outside /api/")


SERVICE_CODES = [
    ("000001", 400), ("000003", 400), ("000005", 400), ("000006", 409), ("000007", 400),
    ("000008", 400), ("000009", 400), ("000010", 404), ("000011", 401), ("000012", 404),
    ("000012", 406), ("000012", 401), ("000013", 400), ("000013", 500), ("000014", 400),
    ("000021", 400), ("000022", 400), ("000026", 400), ("000027", 500), ("000027", 406),
    ("000028", 500), ("000400", 400), ("000404", 404), ("000408", 408), ("00002", 401),
    ("00004", 404),
]


@row("5.3/service codes pass")
def service_codes(world):
    for code, status in SERVICE_CODES:
        for module in ("echo", "echoa", "echoc"):
            reply = says(world, siblings.refused(status, code, "text"), module)
            same(reply.code, (status, code), module)
            check("httpcode" not in reply.data, "the status stays in the data")


@row("5.3/informational codes pass")
def informational(world):
    for code in ("100200", "100201", "100202", "100002", "200501"):
        reply = says(world, {"code": code, "message": "text"})
        same(reply.code, (200, code))


def statuses_when_off(world):
    world.gateway("right", **RIGHT, gufo__rate_limit_rps=0)
    return [
        (world.ask("GET", "/api/v3", on="right"), 404, "0000235"),
        (world.ask("GET", "/api/v3/entrypoint", on="right"), 404, "0000235"),
        (world.ask("GET", "/api/v3/down/p", on="right"), 502, "0000234"),
        (world.ask("GET", "/api/v3/nobody/p", on="right"), 404, "0000501"),
        (world.ask("GET", "/api/v3/echo/p", fields=READER, on="right"), 403, "0000235"),
        (world.ask("GET", "/api/v3/inner/p", on="right"), 401, "0000234"),
    ]


@row("5.3/strict_legacy_status off")
def status_off(world):
    for reply, status, code in statuses_when_off(world):
        same(reply.code, (status, code))


@row("5.4/limiter first")
def limiter_first(world):
    world.gateway("limited_signed", gufo__rate_limit_rps=1, gufo__rate_limit_burst=2, **REST_SIGN)
    codes = [world.ask("GET", "/api/v3/echo/p", on="limited_signed").status for _ in range(8)]
    check(401 in codes and 429 in codes, f"who may not pass is not counted: {codes}")


@row("5.4/method before security")
def method_first(world):
    world.gateway("rest_sign", **REST_SIGN)
    for method in ("OPTIONS", "BREW"):
        reply = world.ask(method, "/api/v3/echo/p", on="rest_sign")
        same((reply.status, reply.body), (204, b""), method)


@row("5.4/security before path length")
def security_first(world):
    world.gateway("rest_sign", **REST_SIGN)
    same(world.ask("GET", "/api/v3", on="rest_sign").code, (401, "00001"))


@row("5.4/security before entrypoint")
def security_entrypoint(world):
    world.gateway("rest_sign", **REST_SIGN)
    same(world.ask("GET", "/api/v3/entrypoint", on="rest_sign").code, (401, "00001"))


@row("5.4/entrypoint before session")
def entrypoint_first(world):
    asked = len(world.stubs["session"].calls)
    field = "Authorization: Bearer unseen-by-entrypoint"
    reply = world.ask("GET", "/api/v3/entrypoint", fields=[field])
    same(reply.data["message"], "Wrong module")
    same(len(world.stubs["session"].calls), asked, "the session service was asked")


@row("5.4/session before read only")
def session_first(world):
    for method in ("GET", "HEAD", "POST", "PATCH", "DELETE", "TRACE"):
        body = {} if method in ("POST", "PATCH", "DELETE") else None
        reply = world.ask(method, "/api/v3/echo/p", body, READER)
        same(reply.status, 401, method)
    same(world.put("echo", b"x", *READER).code, (401, "0000235"))


@row("5.4/read only before info", waits="info with a session")
def read_only_info(world):
    same(world.ask("GET", "/api/v3/info", fields=READER).code, (401, "0000235"))


# Gufo asks the session first. Here no service does any work for who shows a wrong X-Sign: that needs
# no question, and whoever guesses at signatures must not be able to make the session service busy.
# docs/gufo.md says so; who shows none, or a right one, is refused in the order of the row.
@row("5.4/read only before X-Sign")
def read_only_sign(world):
    session = world.stubs["session"]
    before = len(session.calls)
    token = "Authorization: Bearer never-shown-before"
    reply = world.ask("GET", "/api/v3/echo/p", fields=[token, "X-Sign: wrong"])
    same((reply.code, len(session.calls)), ((401, "0000234"), before), "the session was asked")
    for fields in (READER, [*READER, *SIGNED]):
        reply = world.ask("GET", "/api/v3/echo/p", fields=fields)
        same((reply.code, reply.data["message"]), ((401, "0000235"), "Read Only User"), fields)


@row("5.4/X-Sign before resolution")
def sign_first(world):
    reply = world.ask("GET", "/api/v3/nobody/p", fields=["X-Sign: wrong"])
    same(reply.code, (401, "0000234"))
