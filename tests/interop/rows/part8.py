"""SPEC 8.1, 8.2, 8.4, 8.5 and 9: the masterservice, heartbeats, and every action of the siblings."""
import time

import gateway
import siblings
from reverse import DIALECTS, channel, decoded
from rows.part4 import GOOD
from table import check, row, same
from world import until

SIGNED = (f"X-Sign: {siblings.SIGN}",)
ADMIN = ("Authorization: Bearer admin",)


class Through:
    """Calls of a masterservice over REST."""

    def __init__(self, world, on):
        self.world, self.on = world, on

    def __call__(self, method, path, body=None):
        # An embedded master is a module of the kind `internal`.
        return self.world.ask(method, f"/api/v3/masterservice/{path}", body, SIGNED, self.on)

    def checkin(self, **more):
        port = str(gateway.free_port())
        args = {"name": siblings.token(), "host": "127.0.0.1", "port": port, **more}
        reply = self("POST", "checkin", args)
        same(reply.status, 200, repr(reply))
        return args, reply.data["uuid"]


def embedded(world):
    world.gateway("embedded", server__masterservice="embedded", server__heartbeat=2,
                  master__groups=["known"],
                  **{f"microservices.masterservice.{key}": None
                     for key in ("host", "port", "dialect", "timeout", "connect_timeout")})
    return "embedded"


def both(name):
    """Declares a test for the stub behind the gateway, and for the embedded master."""

    def keep(test):
        row(name, "stub")(lambda world: test(Through(world, "main")))
        row(name, "embedded", waits="embedded master")(
            lambda world: test(Through(world, embedded(world))))
        return test

    return keep


@both("8.1/GET health")
def health(ask):
    same(ask("GET", "health").data, {"health": "OK"})


@both("8.1/GET list")
def listed(ask):
    for _ in range(3):
        ask.checkin()
    reply = ask("GET", "list?offset=1&limit=2")
    same(reply.status, 200, repr(reply))
    same(len(reply.data["microservices"]), 2)
    check(reply.data["mccount"] >= 3, reply)
    keys = {"uuid", "name", "host", "port", "group", "isinternal", "issession", "isactive",
            "masterid", "echo", "description", "author", "version"}
    same(keys - set(reply.data["microservices"][0]), set(), "keys of a row")
    check(len(ask("GET", "list").data["microservices"]) <= 25, "limit is 25 unless told")


@both("8.1/GET getsessionhost")
def session_host(ask):
    args, uuid = ask.checkin(issession=True)
    reply = ask("GET", "getsessionhost")
    got = {key: str(reply.data[key]) for key in ("host", "port", "name")}
    ask("POST", "checkout", {"uuid": uuid})
    same(got, {key: args[key] for key in ("host", "port", "name")})
    check("isinternal" in reply.data, reply)


@both("8.1/GET checkbyuuid")
def by_uuid(ask):
    args, uuid = ask.checkin()
    same(ask("GET", f"checkbyuuid/{uuid}").data["answer"], True)
    ask("POST", "checkout", {"uuid": uuid})
    data = ask("GET", f"checkbyuuid/{uuid}").data
    same(data["answer"], False)
    same((data["name"], str(data["port"]), data["host"]),
         (args["name"], args["port"], args["host"]))
    check("isinternal" in data, data)


@both("8.1/POST checkin")
def checkin(ask):
    args, uuid = ask.checkin(description="d", author="a", version="1")
    check(len(uuid) == 24 and uuid.isalnum() and uuid == uuid.lower(), uuid)
    for missing in ("name", "host", "port"):
        less = {**args, "name": siblings.token(), missing: ""}
        same(ask("POST", "checkin", less).code, (406, "000012"), missing)
    same(ask("POST", "checkin", args).code, (500, "000013"), "already active")
    alone = {**args, "name": siblings.token(), "group": "no-such-group"}
    same(ask("POST", "checkin", alone).code, (500, "000013"), "no such group")


@both("8.1/POST checkout")
def checkout(ask):
    _, uuid = ask.checkin()
    same(ask("POST", "checkout", {"uuid": uuid}).data["answer"], "Done")
    check(ask("POST", "checkout", {}).status >= 400, "no uuid")


@both("8.1/POST getcronmandate")
def mandate(ask):
    _, uuid = ask.checkin()
    first = ask("POST", "getcronmandate", {"uuid": uuid}).data
    same(first["mandate"], True)
    again = ask("POST", "getcronmandate", {"uuid": uuid, "masterid": first["masterid"]}).data
    same((again["mandate"], again["masterid"]), (True, first["masterid"]), "refreshed")
    same(ask("POST", "getcronmandate", {"uuid": uuid}).data["mandate"], False, "within 5 s")
    wrong = ask("POST", "getcronmandate", {"uuid": uuid, "masterid": "another"}).data
    same(wrong["mandate"], False)


@both("8.1/PATCH checkin")
def move(ask):
    _, uuid = ask.checkin()
    port = str(gateway.free_port())
    same(ask("PATCH", "checkin", {"uuid": uuid, "port": port}).data["uuid"], uuid)
    same(ask("PATCH", "checkin", {"uuid": uuid}).code, (400, "000007"))
    rows = ask("GET", "list?limit=1000").data["microservices"]
    same([str(one["port"]) for one in rows if one["uuid"] == uuid], [port])


@both("8.1/other")
def other(ask):
    for method, path in (("GET", "nothing"), ("POST", "list"), ("DELETE", "checkin")):
        same(ask(method, path, {} if method != "GET" else None).code, (404, "000012"), path)


@both("8.1/Module or IR")
def own_module(ask):
    # Over REST the module is the masterservice itself: Method and Param count.
    same(ask("GET", "health").data, {"health": "OK"})


@both("8.1/no rights without Sign")
def unsigned(ask):
    if ask.on == "main":
        world = ask.world
        world.gateway("other_sign", server__sign="another-sign-another-sign")
        reply = world.ask("GET", "/api/v3/masterservice/list", on="other_sign")
    else:
        same(ask("GET", "list").status, 200)
        # The port is known to the gateway alone; it is asked for in what an operator sees.
        port = master_port(ask.world)
        kind = DIALECTS["a"]
        request = kind.Request(Module="masterservice", Param="list", Method="GET", Sign="wrong")
        with channel(port) as line:
            answer = kind.stub(line)(request, timeout=5)
        same(decoded(answer.Data["code"]), '"00001"')
        return
    same(reply.code, (401, "00001"))


def master_port(world):
    """Where the embedded master listens."""
    import json
    import urllib.request

    from world import ADMIN_KEY
    gate = world.gateway(embedded(world))
    request = urllib.request.Request(f"http://127.0.0.1:{gate.admin}/-/config",
                                     headers={"X-Admin-Key": ADMIN_KEY})
    with urllib.request.urlopen(request, timeout=5) as got:
        found = json.load(got)
    return found["microservices.masterservice.port"]["value"]


def registered(world, **more):
    """A gateway that finds its modules through the stub of the masterservice."""
    stub = world.stubs["masterservice"]
    if "registry" not in world.running:
        for name, port in (("found", world.stubs["echo"].port), ("gone", world.down)):
            stub.add(name, port)
        gone = {}
        for name in [*world.stubs, "down"]:
            if name != "masterservice":
                gone.update({f"microservices.{name}.{key}": None
                             for key in ("host", "port", "dialect", "timeout", "type",
                                         "connect_timeout")})
        world.gateway("registry", server__masterservice=True, **gone)
    return stub


@row("8.1/GET getmicroservicebypath")
def by_path(world):
    stub = registered(world)
    since = len(stub.calls)
    same(world.ask("GET", "/api/v3/found/p", on="registry").status, 200)
    asked = [told for told in stub.calls[since:] if "getmicroservicebypath" in
             (told.param, told.inner and told.inner[0])]
    told = asked[0]
    # The form that a master of dialect A answers (SPEC 8.2).
    same((told.module, told.method, told.sign), ("found", "GET", siblings.SIGN))
    same(told.inner, ("getmicroservicebypath", "", "GET"))
    same(world.ask("GET", "/api/v3/nobody/p", on="registry").code, (500, "0000501"))


@row("8.1/GET getmicroservicebypath", "embedded", waits="embedded master")
def by_path_embedded(world):
    on = embedded(world)
    ask = Through(world, on)
    name = siblings.token()
    ask.checkin(name=name, port=str(world.stubs["echo"].port))
    kind = DIALECTS["a"]
    for wanted, found in ((name, True), ("nobody-knows", False)):
        request = kind.Request(Module=wanted, Param="getmicroservicebypath", Method="GET",
                               Sign=siblings.SIGN)
        request.IR.Param, request.IR.Method = "getmicroservicebypath", "GET"
        with channel(master_port(world)) as line:
            answer = kind.stub(line)(request, timeout=5)
        port = decoded(answer.Data["port"]).strip('"')
        same(port, str(world.stubs["echo"].port) if found else "", wanted)


@row("8.2/static")
def static(world):
    same(world.ask("GET", "/api/v3/echo/p").status, 200)
    world.gateway("dashed", **world.module("a_b", world.stubs["echo"].port, "b"),
                  server__registry_mode="static")
    same(world.ask("GET", "/api/v3/a-b/p", on="dashed").status, 200, "`-` is `_` in the file")


@row("8.2/master, cached")
def cached(world):
    stub = registered(world)
    world.ask("GET", "/api/v3/found/p", on="registry")
    since = len(stub.calls)
    for _ in range(5):
        same(world.ask("GET", "/api/v3/found/p", on="registry").status, 200)
    same(len(stub.calls), since, "asked again within the cache's life")


@row("8.5/getsessionhost")
def session_found(world):
    stub = registered(world)
    stub.add("session", world.stubs["session"].port, issession=True)
    reply = until(lambda: world.ask("GET", "/api/v3/found/p", fields=GOOD,
                                    on="registry").json["session"], 7)
    check(reply and reply["uid"] == "u7", reply)


BEAT = {"name": "worker", "host": "127.0.0.1", "port": "4999", "group": "", "isinternal": False,
        "issession": False, "description": "d", "author": "a", "version": "1"}


def beat(world, dialect="b", on="main", sign=siblings.SIGN):
    """A heartbeat over gRPC; gives the data of its answer."""
    kind = DIALECTS[dialect]
    if dialect == "c":
        request = kind.Request(module="heartbeat", param="send", method=2)
        request.auth.sign = sign
        request.body.CopyFrom(kind.struct(BEAT))
    else:
        request = kind.Request(Module="heartbeat", Param="send", Method="POST", Sign=sign)
        request.Args["payload"].CopyFrom(kind.struct(BEAT))
    with channel(world.gateway(on).grpc) as line:
        answer = kind.stub(line)(request, timeout=6)
    import json
    data = answer.data if dialect == "c" else answer.Data
    return {key: json.loads(decoded(value)) for key, value in data.items()}


def alone(world):
    """A gateway that knows no masterservice."""
    world.gateway("alone", **{f"microservices.masterservice.{key}": None
                              for key in ("host", "port", "dialect", "timeout",
                                          "connect_timeout")})
    return "alone"


@row("8.4/no master", waits="gRPC server")
def no_master(world):
    for dialect in ("b", "c"):
        data = beat(world, dialect, alone(world))
        ts = data.pop("ts")
        same(data, {"leader": True, "cron": True, "ttl": 0, "epoch": 0}, dialect)
        check(abs(ts - time.time()) < 10, ts)


def mastered(world):
    registered(world)
    return "registry"


@row("8.4/forwarded", waits="gRPC server")
def forwarded(world):
    on, stub = mastered(world), world.stubs["masterservice"]
    for dialect in ("b", "c"):
        since = len(stub.beats)
        data = beat(world, dialect, on)
        same((data["leader"], data["cron"], data["ttl"], data["epoch"]), (True, True, 30, 7))
        same(len(stub.beats), since + 1, dialect)
        told = stub.beats[-1]
        same((told.module, told.inner), ("masterservice", ("heartbeat", "", "POST")), dialect)
        args = told.args.get("payload", told.args)
        same({key: args.get(key) for key in BEAT}, BEAT, dialect)
        check(abs(told.args["ts"] - time.time()) < 10, told.args)


@row("8.4/signed only", waits="gRPC server")
def beat_signed(world):
    data = beat(world, sign="wrong")
    same((int(data["httpcode"]), data["code"]), (401, "00001"))


@row("8.4/HTTP variant", waits="gRPC server")
def over_http(world):
    on, stub = mastered(world), world.stubs["masterservice"]
    since = len(stub.beats)
    said = {"service": "worker", "host": "127.0.0.1", "port": "4999"}
    # Where a master believes it, nobody else may say where services are.
    same(world.ask("POST", "/api/v3/heartbeat", said, on=on).status, 401, "without X-Sign")
    reply = world.ask("POST", "/api/v3/heartbeat", said, SIGNED, on)
    same((reply.status, reply.data.get("cron")), (200, True), repr(reply))
    same(len(stub.beats), since + 1)
    args = stub.beats[-1].args
    args = args.get("payload", args)
    same((args.get("name") or args.get("service"), str(args.get("port"))), ("worker", "4999"))


@row("8.4/failure", waits="gRPC server")
def beat_fails(world):
    world.gateway("masterless", server__masterservice=True,
                  **{"microservices.masterservice.port": world.down})
    reply = world.ask("POST", "/api/v3/heartbeat", {"service": "x"}, SIGNED, "masterless")
    same(reply.code, (500, "0000501"))
    data = beat(world, on="masterless")
    same((int(data["httpcode"]), data["code"]), (500, "0000501"))


@row("8.4/embedded: lease and leader", waits="embedded master")
def lease(world):
    on = embedded(world)
    data = beat(world, on=on)
    same((data["cron"], data["ttl"]), (True, 6), "three heartbeats of 2 s")
    check(data["epoch"] >= 1, data)
    again = beat(world, on=on)
    same(again["epoch"], data["epoch"], "the same leader")


@row("8.4/embedded: found by its heartbeat", waits="embedded master")
def found_by_beat(world):
    on = embedded(world)
    name = "beating"
    BEAT_HERE = {**BEAT, "name": name, "port": str(world.stubs["echo"].port)}
    said = world.ask("POST", "/api/v3/heartbeat", {"service": name, "host": "127.0.0.1",
                                                    "port": BEAT_HERE["port"]}, SIGNED, on)
    same(said.status, 200, repr(said))
    reply = until(lambda: (lambda got: got if got.status == 200 else None)(
        world.ask("GET", f"/api/v3/{name}/p", on=on)), 7)
    check(reply, "the service is not found by its heartbeat")


# SPEC 9: each action of each sibling, through the gateway. (module, method, path, body, fields,
# status, what the data holds: values, or ... for anything)

ANY = ...
ACTIONS = [
    ("session", "GET", "info", None, (), 200, {"name": "session", "version": ANY,
                                               "description": ANY}),
    ("session", "GET", "health", None, (), 200, {"health": "OK"}),
    ("session", "POST", "setsession", {"uid": "u5", "isadm": 1, "iscomp": 1, "readon": 0}, (), 200,
     {"access_token": ANY, "refresh_token": ANY, "at_lifetime": 86400, "rt_lifetime": 2592000}),
    ("session", "POST", "refresh_token", {"refresh_token": "none"}, (), 401, {"code": "000011"}),
    ("session", "GET", "admin/cronstatus", None, (), 200, {"cron": "true"}),
    ("session", "POST", "admin/cron", {"action": "true"}, (), 200, {"cron": "true"}),
    ("auth", "POST", "signin", {"user": "ada", "pass": "right"}, (), 200,
     {"access_token": ANY, "refresh_token": ANY, "at_lifetime": ANY, "rt_lifetime": ANY,
      "username": "ada", "email": ANY, "email_confirmed": True}),
    ("auth", "POST", "signin", {"user": "tfa", "pass": "right"}, (), 200,
     {"tfa": True, "tfatype": "email", "sendto": "a**@example.org"}),
    ("auth", "POST", "signin", {"user": "ada", "pass": "wrong"}, (), 400, {"code": "000008"}),
    ("auth", "POST", "forgot", {"email": "a@b"}, (), 200, {"code": "100201"}),
    ("auth", "POST", "forgot", {"email": "a@b", "key": "k"}, (), 200, {"code": "100202"}),
    ("auth", "POST", "confemail", {}, (), 200, {"code": "100002"}),
    ("auth", "POST", "otp/ada", {}, (), 200, {"user": "ada"}),
    ("auth", "POST", "refresh_token", {"refresh_token": "r"}, (), 200, {"access_token": ANY}),
    ("auth", "GET", "getuserbyid?uid=u1", None, (), 200, {"uid": "u1"}),
    ("rights", "POST", "settimehash", {"hash": "h1", "uid": "u1", "parametr": "p",
                                       "email": "a@b"}, (), 200, {"lifetime": 300}),
    ("rights", "GET", "checktimehash?hash=h1&uid=u1", None, (), 200, {"hash": ANY}),
    ("rights", "GET", "checktimehash?hash=h1&email=a@b", None, (), 200, {"hash": ANY}),
    ("rights", "DELETE", "checktimehash", {"hash": "h1"}, (), 200, {"answer": "Done"}),
    ("rights", "GET", "checktimehash?hash=h1&uid=u1", None, (), 400, {"code": "000009"}),
    ("notifications", "POST", "notifyuser", {"users": ["u1"], "message": "m"}, (), 200,
     {"answer": "Done"}),
    ("notifications", "POST", "notifyuserbyemail",
     {"title": "t", "message": ["m"], "users": ["u1"]}, (), 200, {"answer": "Done"}),
    ("notifications", "POST", "otp_email", {"otp": "1", "email": "a@b", "lang": "eng"}, (), 200,
     {"answer": "Done"}),
    ("notifications", "POST", "confirm_email", {}, (), 200, {"answer": "Done"}),
    ("notifications", "POST", "forgot_email", {"password": "p", "email": "a@b"}, (), 200,
     {"answer": "Done"}),
    ("notifications", "POST", "createchat", {}, (), 200, {"answer": "Done"}),
    ("notifications", "POST", "inviteme", {}, (), 200, {"answer": "Done"}),
    ("notifications", "POST", "roomavatar", {}, (), 200, {"answer": "Done"}),
    ("notifications", "GET", "getnotifications?limit=2", None, (), 200, {"notifications": ANY}),
    ("notifications", "GET", "getmessage/7", None, (), 200, {"message": "7"}),
    ("user", "GET", "users?offset=28", None, GOOD, 200, {"users": [{"uid": "u28"}, {"uid": "u29"}],
                                                         "count": 30}),
    ("user", "GET", "users", None, (), 401, {"code": "000011"}),
    ("user", "GET", "u5", None, GOOD, 200, {"did": "GET u5"}),
    ("user", "GET", "u5/avatar", None, GOOD, 200, {"did": "GET u5 avatar"}),
    ("user", "GET", "u5/profile", None, GOOD, 200, {"did": "GET u5 profile"}),
    ("user", "GET", "profile", None, GOOD, 200, {"uid": "u7"}),
    ("user", "GET", "avatar", None, GOOD, 200, {"uid": "u7"}),
    ("user", "DELETE", "avatar", {}, GOOD, 200, {"uid": "u7"}),
    *[("user", "PATCH", f"settings/{name}", {"value": "v"}, GOOD, 200,
       {"did": f"PATCH settings {name}"})
      for name in ("dateformat", "password", "email", "profile", "enable2fa", "disable2fa")],
    ("user", "POST", "api_token", {"name": "n"}, GOOD, 200, {"uid": "u7"}),
    ("user", "GET", "api_token", None, GOOD, 200, {"uid": "u7"}),
    ("user", "PATCH", "api_token/7/switch", {}, GOOD, 200, {"did": "PATCH api_token 7"}),
    ("user", "PATCH", "api_token/7/comment", {}, GOOD, 200, {"did": "PATCH api_token 7"}),
    ("user", "DELETE", "api_token/7", {}, GOOD, 200, {"did": "DELETE api_token 7"}),
    *[("user", method, f"admin/{name}", {}, ADMIN, 200, {"did": f"{method} admin {name}"})
      for method, name in (("POST", "cron"), ("POST", "user"), ("POST", "resendinvitation"),
                           ("PATCH", "user"), ("PATCH", "userblockswitch"))],
    ("user", "POST", "admin/user", {}, GOOD, 401, {"code": "000012"}),
    ("files", "GET", "getfiles?ownerid=u1&group=g&type=t", None, (), 200,
     {"files": ANY, "asked": ["u1", "g", "t"]}),
    ("files", "POST", "file", {"name": "n.txt", "text": "x"}, (), 200, {"fileid": "n.txt"}),
    ("files", "DELETE", "file", {"fileid": "n.txt"}, (), 200, {"code": "200501"}),
    ("files", "GET", "getfile?fileid=none", None, (), 404, {"code": "000010"}),
    ("reg", "POST", "signup", {"user": "u", "pass": "p", "email": "a@b"}, (), 200,
     {"code": "100200"}),
    ("reg", "POST", "Resesendconfemail", {}, (), 200, {"code": "100201"}),
    ("template", "GET", "info", None, (), 200, {"pluginname": "template", "version": ANY,
                                                "description": ANY}),
    ("template", "GET", "health", None, (), 200, {"health": "OK"}),
    ("template", "GET", "heartbeat", None, (), 200, {"status": "alive"}),
    ("template", "GET", "admin/cronstatus", None, (), 200, {"cron": True}),
    ("template", "POST", "admin/cron", {"action": "true"}, (), 200, {"cron": "true"}),
    ("template", "GET", "nothing", None, (), 404, {"code": "000404"}),
]


def actions_of(module):
    def test(world):
        for _, method, path, body, fields, status, want in (
                one for one in ACTIONS if one[0] == module):
            reply = world.ask(method, f"/api/v3/{module}/{path}", body, fields)
            same(reply.status, status, f"{method} {path}: {reply}")
            for key, value in want.items():
                check(key in reply.data, f"{method} {path}: no {key} in {reply}")
                if value is not ANY:
                    same(reply.data[key], value, f"{method} {path}")
    return test


for name in ("session", "auth", "rights", "notifications", "user", "files", "reg", "template"):
    row(f"9/{name}", "each action")(actions_of(name))


@row("9/each checks Sign first")
def all_check(world):
    world.gateway("other_sign", server__sign="another-sign-another-sign")
    for module in ("session", "auth", "rights", "notifications", "user", "files", "reg",
                   "template", "masterservice"):
        reply = world.ask("GET", f"/api/v3/{module}/health", on="other_sign")
        same(reply.code, (401, "00001"), module)


@row("9/session", "a new session is a session")
def new_session(world):
    reply = world.ask("POST", "/api/v3/session/setsession", {"uid": "u42", "isadm": 1})
    field = f"Authorization: Bearer {reply.data['access_token']}"
    got = world.ask("GET", "/api/v3/user/profile", fields=[field])
    same((got.data["uid"], got.json["session"]["isAdmin"]), ("u42", 1))
    renewed = world.ask("POST", "/api/v3/session/refresh_token",
                        {"refresh_token": reply.data["refresh_token"]})
    same(renewed.data["uid"], "u42")


@row("9/files", "getfile and avatar are downloads")
def get_file(world):
    for path in ("getfile?fileid=f1", "avatar"):
        reply = world.ask("GET", f"/api/v3/files/{path}")
        same((reply.status, reply.body), (200, siblings.Files.CONTENT.encode()), path)


@row("9/user", "an avatar is put")
def put_avatar(world):
    # A service of dialect A gets it in one call (SPEC 6.2).
    reply = world.put("user", b"png", *GOOD, path="/avatar")
    same((reply.status, reply.data["did"]), (200, "PUT avatar"))


@row("9/auth", "asks for a session through the gateway", waits="gRPC server")
def auth_asks(world):
    stub, kind = world.stubs["auth"], DIALECTS["a"]

    def ask(args):
        request = kind.Request(Module="session", Param="setsession", Method="POST",
                               Sign=siblings.SIGN)
        request.IR.Param, request.IR.Method = "setsession", "POST"
        for key, value in args.items():
            request.Args[key].CopyFrom(kind.value(value))
            request.IR.Args[key].CopyFrom(kind.value(value))
        import json
        with channel(world.gateway().grpc) as line:
            answer = kind.stub(line)(request, timeout=5)
        return {key: json.loads(decoded(value)) for key, value in answer.Data.items()}

    stub.ask = ask
    try:
        reply = world.ask("POST", "/api/v3/auth/signin", {"user": "ada", "pass": "right"})
    finally:
        stub.ask = None
    field = f"Authorization: Bearer {reply.data['access_token']}"
    same(world.ask("GET", "/api/v3/user/profile", fields=[field]).data["uid"], "u1")
