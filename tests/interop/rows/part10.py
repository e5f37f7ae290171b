"""SPEC 10.1: sessions of Gufo."""
import threading
import time

import siblings
from rows.part4 import says
from table import check, row, same

COUNT = iter(range(1000))


def fresh(world, kind="Bearer", **more):
    """A token that nobody has shown before."""
    value = f"t{next(COUNT)}"
    world.stubs["session"].add(f"{kind} {value}", more.pop("uid", f"of-{value}"), **more)
    return value


def uid(reply):
    session = reply.json["session"]
    return session and session["uid"]


def who(world, *fields, path="/p", on="main", module="echo"):
    return uid(world.ask("GET", f"/api/v3/{module}{path}", fields=fields, on=on))


@row("10.1/Authorization")
def authorization(world):
    token = fresh(world)
    same(who(world, f"Authorization: Bearer {token}"), f"of-{token}")
    token = fresh(world, "APP")
    same(who(world, f"Authorization: APP {token}"), f"of-{token}")


@row("10.1/Authorization", "scheme in any case")
def any_case(world):
    for scheme in ("bearer", "BEARER", "bEaReR"):
        token = fresh(world)
        same(who(world, f"Authorization: {scheme} {token}"), f"of-{token}", scheme)


@row("10.1/Authorization", "malformed is 401")
def malformed(world):
    # The original went on as nobody; SPEC 19 (S7) says what is right.
    for value in ("Bearer", "Bearer a b", "x"):
        reply = world.ask("GET", "/api/v3/echo/p", fields=[f"Authorization: {value}"])
        same(reply.status, 401, value)


@row("10.1/access_token")
def access_token(world):
    token = fresh(world)
    same(who(world, path=f"/p?access_token={token}"), f"of-{token}")
    token = fresh(world, "APP")
    same(who(world, path=f"/p?access_token={token}&token_type=APP"), f"of-{token}")


@row("10.1/nobody")
def nobody(world):
    since = len(world.stubs["session"].calls)
    same(who(world), None)
    same(len(world.stubs["session"].calls), since, "the session service was asked for nothing")


@row("10.1/X-API-Token")
def api_token(world):
    for name in ("X-API-Token", "X-Api-Token"):
        token = fresh(world, "ApiToken")
        same(who(world, f"{name}: {token}"), f"of-{token}", name)


@row("10.1/question")
def question(world):
    for field, path, kind in (("Authorization: Bearer {}", "/p", "Bearer"),
                              ("X-Other: {}", "/p?access_token={}", "Bearer")):
        token = fresh(world, kind)
        who(world, field.format(token), path=path.format(token))
        told = world.stubs["session"].last()
        same((told.module, told.param, told.method, told.token),
             ("session", "checksession", "GET", f"{kind} {token}"), path)
        same(told.sign, siblings.SIGN)


def session_c(world):
    """A gateway whose session service speaks dialect C."""
    if "session_c" not in world.running:
        stub = siblings.Session("c")
        stub.sessions = world.stubs["session"].sessions
        world.stubs["session_c"] = stub
        world.gateway("session_c", **world.module("session", stub.port, "c"),
                      **{f"microservices.session_c.{key}": None
                         for key in ("host", "port", "dialect", "timeout", "connect_timeout")})
    return world.stubs["session_c"]


@row("10.1/question", "dialect C")
def question_c(world):
    stub, token = session_c(world), fresh(world)
    same(who(world, f"Authorization: Bearer {token}", on="session_c"), f"of-{token}")
    told = stub.last()
    same((told.module, told.param, told.token_type), ("session", "checksession", "Bearer"))
    check(told.token in (token, f"Bearer {token}"), told.token)


@row("10.1/answer keys")
def answer_keys(world):
    session, end = world.stubs["session"], int(time.time()) + 1000
    for key in ("sessionend", "session_expired"):
        token = fresh(world, admin=1, completed=1)
        row_of = session.sessions[f"Bearer {token}"]
        row_of.pop("session_expired")
        row_of[key] = end
        reply = world.ask("GET", "/api/v3/echo/p", fields=[f"Authorization: Bearer {token}"])
        want = {"uid": f"of-{token}", "isAdmin": 1, "Sesionexp": end, "completed": 1,
                "readonly": 0}
        same(reply.json["session"], want, key)


@row("10.1/no readonly in the answer")
def no_readonly(world):
    token = fresh(world)
    world.stubs["session"].sessions[f"Bearer {token}"].pop("readonly")
    same(who(world, f"Authorization: Bearer {token}"), f"of-{token}")


@row("10.1/error is nobody")
def error(world):
    reply = world.ask("GET", "/api/v3/echo/p", fields=["Authorization: Bearer unknown"])
    same((reply.status, uid(reply)), (200, None))


@row("10.1/on_error")
def on_error(world):
    session = world.stubs["session"]
    session.aborts.add("Bearer broken")
    fields = ["Authorization: Bearer broken"]
    reply = world.ask("GET", "/api/v3/echo/p", fields=fields)
    same((reply.status, uid(reply)), (200, None), "anonymous")
    world.gateway("on_error", session__on_error="503")
    same(world.ask("GET", "/api/v3/echo/p", fields=fields, on="on_error").status, 503)


@row("10.1/read only")
def read_only(world):
    token = fresh(world, readonly=1)
    fields = [f"Authorization: Bearer {token}"]
    for method in ("GET", "POST"):
        body = {} if method == "POST" else None
        reply = world.ask(method, "/api/v3/echo/p", body, fields)
        same((reply.code, reply.data["message"]), ((401, "0000235"), "Read Only User"), method)


@row("10.1/read only", "writes alone")
def writes(world):
    world.gateway("writes", session__readonly="writes")
    token = fresh(world, readonly=1)
    fields = [f"Authorization: Bearer {token}"]
    same(world.ask("GET", "/api/v3/echo/p", fields=fields, on="writes").status, 200)
    reply = world.ask("POST", "/api/v3/echo/p", {}, fields, on="writes")
    same(reply.code, (401, "0000235"))


def asked(world, token):
    return sum(told.token == token for told in world.stubs["session"].calls)


@row("10.1/cache")
def cache(world):
    token = fresh(world)
    for _ in range(4):
        who(world, f"Authorization: Bearer {token}")
    same(asked(world, f"Bearer {token}"), 1)


@row("10.1/cache", "never beyond the end")
def cache_end(world):
    token = fresh(world, end=int(time.time()) + 2)
    field = f"Authorization: Bearer {token}"
    same(who(world, field), f"of-{token}")
    del world.stubs["session"].sessions[f"Bearer {token}"]
    time.sleep(2.2)
    same(who(world, field), None)


@row("10.1/cache", "five seconds at most")
def cache_old(world):
    token = fresh(world)
    field = f"Authorization: Bearer {token}"
    who(world, field)
    del world.stubs["session"].sessions[f"Bearer {token}"]
    same(who(world, field), f"of-{token}", "at once")
    time.sleep(5.3)
    same(who(world, field), None, "after five seconds")


@row("10.1/cache", "nobody for a second")
def negative(world):
    field = "Authorization: Bearer later"
    same(who(world, field), None)
    world.stubs["session"].add("Bearer later", "u-later")
    same(who(world, field), None, "at once")
    time.sleep(1.3)
    same(who(world, field), "u-later", "after a second")


@row("10.1/cache", "asked once by many")
def single_flight(world):
    session, token, found = world.stubs["session"], fresh(world), []
    session.delay = 0.5

    def one():
        found.append(who(world, f"Authorization: Bearer {token}"))

    threads = [threading.Thread(target=one) for _ in range(6)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(8)
    finally:
        session.delay = 0
    same(found, [f"of-{token}"] * 6)
    same(asked(world, f"Bearer {token}"), 1)


@row("10.1/server.session false")
def off(world):
    world.gateway("off", server__session=False)
    since = len(world.stubs["session"].calls)
    same(who(world, "Authorization: Bearer good", on="off"), None)
    same(len(world.stubs["session"].calls), since, "the session service was asked")


@row("10.1/no session service")
def absent(world):
    gone = {f"microservices.session.{key}": None
            for key in ("host", "port", "dialect", "timeout", "connect_timeout")}
    world.gateway("absent", **gone)
    reply = world.ask("GET", "/api/v3/echo/p", fields=["Authorization: Bearer good"], on="absent")
    same((reply.status, uid(reply)), (200, None))


@row("10.1/services decide")
def services_decide(world):
    same(world.ask("GET", "/api/v3/user/profile").code, (401, "000011"))
    check(says(world, {"a": 1}).status == 200, "a call of nobody")
