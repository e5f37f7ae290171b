"""SPEC 4.5 and 4.6: what services are told, and what becomes of their answers."""
import time

import siblings
from reverse import Answer
from table import check, row, same

GOOD = ("Authorization: Bearer good",)


@row("4.5/Module Param ParamID ParamIDD")
def elements(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/list/7/8")
        same((told.module, told.param, told.param_id, told.param_idd), (module, "list", "7", "8"))
        _, told = world.tell(module, "GET", "")
        same((told.module, told.param), (module, ""))
    _, told = world.tell("echo", "GET", "/a%20b/%C3%A4")
    same((told.param, told.param_id), ("a b", "ä"), "decoded once")


@row("4.5/Module Param ParamID ParamIDD", "always sent to A")
def always_sent(world):
    _, told = world.tell("echoa", "GET", "")
    for name in ("Module", "Param", "Method", "Sign"):
        check(told.has(name), f"{name} is left out")


@row("4.5/Path")
def path(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/a%20b/1/2/3/4?x=1")
        same(told.path, f"/api/v3/{module}/a%20b/1/2/3/4")


@row("4.5/Method")
def method(world):
    for name in ("GET", "HEAD", "TRACE", "POST", "PATCH", "DELETE"):
        for module in ("echo", "echoa"):
            _, told = world.tell(module, name, "/p")
            same(told.method, name, module)


@row("4.5/Method", "dialect C")
def method_c(world):
    numbers = {"GET": 1, "POST": 2, "PATCH": 4, "DELETE": 5, "HEAD": 0, "TRACE": 0}
    for name, number in numbers.items():
        _, told = world.tell("echoc", name, "/p")
        same(told.number, number, name)


@row("4.5/Sign")
def sign(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/p", fields=[f"X-Sign: {siblings.SIGN}"])
        same(told.sign, siblings.SIGN, module)
        _, told = world.tell(module, "GET", "/p?Sign=forged&sign=forged")
        same(told.sign, siblings.SIGN, module)


@row("4.5/IP UserAgent")
def ip_and_agent(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/p", fields=["User-Agent: table/1"])
        same((told.ip, told.agent), ("127.0.0.1", "table/1"), module)
        # Nobody is trusted to say who else it is (SPEC 2.4).
        _, told = world.tell(module, "GET", "/p", fields=["X-Forwarded-For: 9.9.9.9"])
        same(told.ip, "127.0.0.1", module)


@row("4.5/APIVersion")
def api_version(world):
    for base, version in (("/api/v3", "v3"), ("/api/v1", "v1")):
        for module in ("echo", "echoa", "echoc"):
            world.ask("GET", f"{base}/{module}/p")
            same(world.stubs[module].last().version, version, f"{base} {module}")


@row("4.5/Args query once")
def query(world):
    for name in ("GET", "HEAD", "TRACE"):
        for module in ("echo", "echoa", "echoc"):
            _, told = world.tell(module, name, "/p?one=1&two=a&two=b&none=&plus=a+b%2B&deu=%C3%A4")
            same(told.args, {"one": "1", "plus": "a b+", "deu": "ä"}, f"{name} {module}")


@row("4.5/Args query once", "C: a map of texts")
def query_c(world):
    _, told = world.tell("echoc", "GET", "/p?one=1&two=a&two=b")
    same(dict(told.message.query), {"one": "1"})
    check(told.body is None, "a query has no body")


BODY = b'{"id":9007199254740993,"deep":{"n":[1.10,-0]},"text":"\\u00e4"}'


@row("4.5/Args body")
def body(world):
    for name in ("POST", "PATCH", "DELETE"):
        for module in ("echo", "echoa"):
            _, told = world.tell(module, name, "/p", BODY)
            want = {"id": "9007199254740993", "deep": '{"n":[1.10,-0]}', "text": '"\\u00e4"'}
            same(told.texts, want, f"{name} {module}")


@row("4.5/Args body", "C: one whole body")
def body_c(world):
    for name in ("POST", "PATCH", "DELETE"):
        _, told = world.tell("echoc", name, "/p", BODY)
        same(told.body, BODY.decode(), name)
        same(told.texts, {}, name)


@row("4.5/Args body", "undecodable: no arguments")
def undecodable(world):
    for name in ("POST", "PATCH", "DELETE"):
        for module in ("echo", "echoc"):
            for wrong in (b"{", b"[1]", b"text", b""):
                reply, told = world.tell(module, name, "/p", wrong)
                same((reply.status, told.args), (200, {}), f"{name} {module} {wrong}")


@row("4.5/Args body", "A: undecodable POST is 0000238")
def undecodable_a(world):
    reply = world.ask("POST", "/api/v3/echoa/p", b"{")
    same(reply.code, (401, "0000238"))
    same(reply.data["message"], "Can not decode POST body")
    for name in ("PATCH", "DELETE"):
        same(world.ask(name, "/api/v3/echoa/p", b"{").status, 200, name)


@row("4.5/Session fields")
def session_fields(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/p", fields=["Authorization: Bearer admin"])
        same((told.uid, told.is_admin, told.completed, told.readonly), ("u1", 1, 1, 0), module)
        check(told.session_end > time.time(), module)
        same((told.token, told.token_type), ("admin", "Bearer"), module)
        _, told = world.tell(module, "GET", "/p")
        same((told.uid, told.is_admin, told.token), ("", 0, ""), f"{module}, nobody")


@row("4.5/Session fields", "from the query, from X-API-Token")
def session_elsewhere(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/p?access_token=good")
        same((told.uid, told.token, told.token_type), ("u7", "good", "Bearer"), module)
        _, told = world.tell(module, "GET", "/p", fields=["X-API-Token: key"])
        same((told.uid, told.token, told.token_type), ("u6", "key", "ApiToken"), module)


@row("4.5/Session fields", "C: completed in auth.meta")
def completed_c(world):
    _, told = world.tell("echoc", "GET", "/p", fields=GOOD)
    same(told.message.auth.meta["completed"], "1")


@row("4.5/IR.Param stream")
def inner_param(world):
    for module in ("echo", "echoa"):
        _, told = world.tell(module, "POST", "/p", {})
        check(told.inner is None, f"{module}: a call has IR {told.inner}")
    world.put("echo", b"x")
    for message in world.stubs["echo"].streams[-1]:
        same(message.IR.Param, "stream")


@row("4.5/Language TimeStamp")
def language(world):
    for module in ("echo", "echoa", "echoc"):
        _, told = world.tell(module, "GET", "/p", fields=["Accept-Language: de-AT,de;q=0.9"])
        same(told.language, "de", module)
        _, told = world.tell(module, "GET", "/p")
        same(told.language, "english", f"{module}: server.lang")
        check(abs(told.time - time.time()) < 10, f"{module}: TimeStamp is {told.time}")


@row("4.5/SID Action Files")
def not_filled(world):
    _, told = world.tell("echo", "GET", "/p?Action=x&Files=y", fields=GOOD)
    check(not told.message.Files, "Files are filled")
    check(not told.has("Action"), "Action is filled")
    check(not told.has("SID"), "a SID that nobody told")


@row("4.5/C request id")
def request_id(world):
    reply, told = world.tell("echoc", "GET", "/p", fields=["X-Request-ID: abc-123"])
    same((told.request_id, reply.headers.get("x-request-id")), ("abc-123", "abc-123"))
    reply, told = world.tell("echoc", "GET", "/p")
    check(told.request_id and told.request_id == reply.headers["x-request-id"], told.request_id)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@row("4.5/C trace id")
def trace_id(world):
    field = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01"
    _, told = world.tell("echoc", "GET", "/p", fields=[field])
    same(told.trace_id, TRACE)


def says(world, answer, module="echo", path="/p", fields=()):
    """What a client gets when the stub answers so."""
    stub = world.stubs[module]
    stub.says = answer
    try:
        return world.ask("GET", f"/api/v3/{module}{path}", fields=fields)
    finally:
        stub.says = None


@row("4.6/1 Data flat")
def data(world):
    for module in ("echo", "echoa", "echoc"):
        raw = {"n": "12345678901234567890", "f": "1.10", "o": '{"a":[1,{"b":null}]}', "t": '"\\u00e4"'}
        reply = says(world, Answer(raw=raw), module)
        for key, text in raw.items():
            check(f'"{key}":{text}'.encode() in reply.body, f"{module} {key}: {reply}")


@row("4.6/1 Data flat", "other types of Any")
def other_types(world):
    for module in ("echo", "echoa", "echoc"):
        kind = world.stubs[module].dialect
        answer = Answer(anys={"text": kind.text("x"), "struct": kind.struct({"a": True}),
                              "odd": kind.Any(type_url="type.googleapis.com/x.Y", value=b"\x01")})
        reply = says(world, answer, module)
        same(reply.data, {"text": "x", "struct": {"a": True}}, module)


@row("4.6/2 file")
def file(world):
    reply = says(world, {"file": "abc", "filetype": "text/plain", "isbase64": True})
    same((reply.status, reply.body), (200, b"abc"))


@row("4.6/3 httpcode")
def httpcode(world):
    for value, status in (("201", 201), (202, 202), (403.0, 403), ("404", 404), ("x", 500),
                          (0, 500), (None, 200)):
        for module in ("echo", "echoa", "echoc"):
            reply = says(world, {"httpcode": value, "a": 1}, module)
            same((reply.status, reply.data), (status, {"a": 1}), f"{module} {value!r}")
    same(says(world, {"a": 1}).status, 200, "none")


@row("4.6/4 Content-Type")
def content_type(world):
    reply = says(world, {"Content-Type": "application/vnd.x+json"})
    same(reply.headers["content-type"], "application/vnd.x+json")
    same(says(world, {}).headers["content-type"], "application/json")
    reply = says(world, {"Content-Type": "text/html\r\nX-Evil: 1"})
    check("x-evil" not in reply.headers, "a field was smuggled in")


@row("4.6/5 lang")
def lang(world):
    reply = says(world, {"lang": "deu"})
    same((reply.json["lang"], reply.data["lang"]), ("deu", "deu"))
    same(says(world, {}).json["lang"], "eng")


@row("4.6/6 session in the envelope")
def session(world):
    same(says(world, {}, fields=GOOD).json["session"]["uid"], "u7")
    same(says(world, {}).json["session"], None)


@row("4.6/7 RequestBack")
def request_back(world):
    # Services give the request back as it came: its language is not that of the answer (item 5).
    back = {"UID": "u77", "IsAdmin": 1, "Completed": 1, "Readonly": 0, "SessionEnd": 1999999999,
            "Language": "english"}
    for module in ("echo", "echoa"):
        reply = says(world, Answer({"a": 1}, back=back), module)
        want = {"uid": "u77", "isAdmin": 1, "Sesionexp": 1999999999, "completed": 1, "readonly": 0}
        same(reply.json["session"], want, module)
        same(reply.json["lang"], "eng", module)
    reply = says(world, Answer({"a": 1}, back={"IsAdmin": 1}), fields=GOOD)
    session = reply.json["session"]
    same((session["uid"], session["isAdmin"]), ("u7", 1), "the rest stays")


@row("4.6/7 RequestBack", "dialect C")
def request_back_c(world):
    back = {"auth": {"uid": "u77", "is_admin": True, "session_end": 1999999999,
                     "meta": {"completed": "1"}}, "context": {"language": "english"}}
    reply = says(world, Answer({"a": 1}, back=back), "echoc")
    want = {"uid": "u77", "isAdmin": 1, "Sesionexp": 1999999999, "completed": 1, "readonly": 0}
    same((reply.json["session"], reply.json["lang"]), (want, "eng"))


@row("4.6/8 C error and meta")
def error_c(world):
    error = {"code": 409, "key": "late", "message": "too late", "retryable": True}
    meta = {"status": 202, "trace_id": "t1", "request_id": "r1", "node": "n1"}
    reply = says(world, Answer({"a": 1}, error=error, meta=meta), "echoc")
    same(reply.json["error"], error)
    same(reply.json["meta"], meta)
    same(reply.status, 202, "meta.status")
    same(says(world, Answer({"a": 1}, error=error), "echoc").status, 409, "error.code")
    check("meta" not in says(world, Answer({"a": 1}), "echoc").json, "meta that nobody told")


@row("4.6/9 B error")
def error_b(world):
    reply = says(world, Answer({"a": 1}, error={"code": 404, "message": "not here"}))
    same(reply.json["error"], {"code": 404, "message": "not here"})
    same(reply.status, 404)
