"""The sibling services of Gufo as stubs: exactly the actions that SPEC 8.1 and 9 name, on grpcio.

Each checks `Sign` first and finds an action by method and Param; by those of `IR` where the call
names another module. What they know is held in memory. `Stub.calls` keeps what was asked.
"""
import hashlib
import hmac
import random
import string
import threading
import time
from concurrent import futures

import grpc

import reverse
from reverse import Answer

SIGN = "interop-sign"
SECRET = "interop-hmac-secret-interop-hmac"
AGE = 120


def refused(status, code, message):
    return Answer({"httpcode": status, "code": code, "message": message})


def hmac_1(module, at, secret=SECRET):
    """A signature of version 1 (SPEC 7.2)."""
    text = f"{module}:{at}".encode()
    return f"{hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}:{at}"


def holds_1(sign, module):
    parts = sign.split(":")
    if len(parts) != 2 or not parts[1].isdigit():
        return False
    at = int(parts[1])
    return abs(time.time() - at) <= AGE and hmac.compare_digest(hmac_1(module, at), sign)


class Stub:
    """A service on a port of the system. `actions` are `(method, param) -> function of Told`."""

    name = ""
    description = "a stub"

    def __init__(self, dialect="a", name=None, mode="sign", credentials=None, port=0):
        self.name = name or type(self).name
        self.dialect, self.mode = reverse.DIALECTS[dialect], mode
        self.calls, self.changed = [], threading.Condition()
        self.streams, self.metadata = [], {}
        self.actions = {("GET", "info"): self.info, ("GET", "health"): self.health,
                        **self.own_actions()}
        self.server = grpc.server(futures.ThreadPoolExecutor(8),
                                  options=[("grpc.so_reuseport", 0)])
        kind = self.dialect
        calls = {"Do": grpc.unary_unary_rpc_method_handler(
            self.do, kind.Request.FromString, kind.Response.SerializeToString)}
        if kind.name != "a":
            calls["Stream"] = grpc.stream_stream_rpc_method_handler(
                self.stream, kind.Request.FromString, kind.Response.SerializeToString)
        handler = grpc.method_handlers_generic_handler(kind.service, calls)
        self.server.add_generic_rpc_handlers((handler,))
        address = f"127.0.0.1:{port}"
        self.port = (self.server.add_secure_port(address, credentials) if credentials
                     else self.server.add_insecure_port(address))
        self.server.start()

    def own_actions(self):
        return {}

    def info(self, _told):
        return {"name": self.name, "version": "1.0.0", "description": self.description}

    def health(self, _told):
        return {"health": "OK"}

    def other(self, _told):
        return refused(404, "00004", "Wrong Method")

    def is_trusted(self, told):
        if self.mode == "hmac":
            return holds_1(told.sign, told.module)
        return self.mode == "mtls" or hmac.compare_digest(told.sign, SIGN)

    def do(self, request, context):
        told = reverse.told(self.dialect, request)
        with self.changed:
            self.calls.append(told)
            self.changed.notify_all()
        if not self.is_trusted(told):
            return refused(401, "00001", "You are not authorized").message(self.dialect)
        method, param = told.method or "GET", told.param
        if told.module != self.name and told.inner:
            method, param = told.inner[2] or "GET", told.inner[0]
        self.metadata = dict(context.invocation_metadata())
        self.context = context
        said = self.actions.get((method, param), self.other)(told)
        if not isinstance(said, Answer):
            said = Answer(said)
        return said.message(self.dialect)

    def stream(self, requests, context):
        """The form of a template service: `ok` for each marker."""
        seen = []
        self.streams.append(seen)
        for request in requests:
            seen.append(request)
            if "meta" in getattr(request, "Args", {}):
                yield Answer(anys={"status": self.dialect.text("ok")}).message(self.dialect)
        yield Answer({"messages": len(seen)}).message(self.dialect)

    def last(self):
        """What was told last."""
        with self.changed:
            return self.calls[-1]

    def stop(self):
        self.server.stop(0)


def needs(told, *names):
    """The first of these arguments that is missing or empty."""
    return next((name for name in names if not told.args.get(name)), None)


def token(size=24):
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=size))


class Master(Stub):
    """The masterservice (SPEC 8.1)."""

    name = "masterservice"
    FLAGS = ("isinternal", "issession")

    def own_actions(self):
        self.rows = []
        self.beats = []
        return {
            ("GET", "list"): self.list, ("GET", "getmicroservicebypath"): self.by_path,
            ("GET", "getsessionhost"): self.session_host, ("GET", "checkbyuuid"): self.by_uuid,
            ("POST", "checkin"): self.checkin, ("POST", "checkout"): self.checkout,
            ("POST", "getcronmandate"): self.mandate, ("PATCH", "checkin"): self.move,
            ("POST", "heartbeat"): self.heartbeat,
        }

    def other(self, _told):
        return refused(404, "000012", "Wrong action")

    def row(self, uuid):
        return next((row for row in self.rows if row["uuid"] == uuid), None)

    def add(self, name, port, host="127.0.0.1", **more):
        row = {"uuid": token(), "name": name, "host": host, "port": str(port), "group": "",
               "isinternal": False, "issession": False, "isactive": True, "masterid": "",
               "echo": int(time.time()), "description": "", "author": "", "version": "", **more}
        self.rows.append(row)
        return row

    def list(self, told):
        args = told.args
        offset, limit = int(args.get("offset", 0)), int(args.get("limit", 25))
        return {"microservices": self.rows[offset:offset + limit], "mccount": len(self.rows)}

    def by_path(self, told):
        wanted = told.module
        found = [row for row in self.rows if row["name"] == wanted]
        if told.param_id:
            inside = [row for row in self.rows
                      if row["name"] == told.param and row["group"] == wanted]
            found = inside or found
        row = found[0] if found else {"host": "", "port": ""}
        return {"host": row["host"], "port": row["port"]}

    def session_host(self, _told):
        row = next((row for row in self.rows if row["issession"] and row["isactive"]), None)
        if row is None:
            return refused(404, "000012", "no session service")
        return {key: row[key] for key in ("host", "port", "name", "isinternal")}

    def by_uuid(self, told):
        row = self.row(told.param_id)
        if row and row["isactive"]:
            return {"answer": True}
        more = {key: row[key] for key in ("name", "port", "host", "isinternal")} if row else {}
        return {"answer": False, **more}

    def checkin(self, told):
        args = told.args
        if needs(told, "name", "host", "port"):
            return refused(406, "000012", "Missing argument")
        if args.get("group") and all(row["name"] != args["group"] for row in self.rows):
            return refused(500, "000013", "No such group")
        if any(row["name"] == args["name"] and row["host"] == args["host"]
               and row["port"] == str(args["port"]) and row["isactive"] for row in self.rows):
            return refused(500, "000013", "Already active")
        keep = {key: args[key] for key in ("group", "issession", "isinternal", "description",
                                           "author", "version") if key in args}
        row = self.add(args["name"], args["port"], args["host"], **keep)
        return {"uuid": row["uuid"]}

    def checkout(self, told):
        row = self.row(told.args.get("uuid"))
        if row is None:
            return refused(406, "000012", "Missing argument")
        row["isactive"] = False
        return {"answer": "Done"}

    def mandate(self, told):
        row = self.row(told.args.get("uuid"))
        if row is None:
            return refused(406, "000012", "Missing argument")
        named, now = told.args.get("masterid"), time.time()
        if named:
            held = named == row["masterid"]
            row["echo"] = now if held else row["echo"]
            return {"mandate": held, **({"masterid": named} if held else {})}
        if row["masterid"] and now - row["echo"] <= 5:
            return {"mandate": False}
        row["masterid"], row["echo"] = token(), now
        return {"mandate": True, "masterid": row["masterid"]}

    def move(self, told):
        args = told.args
        row = self.row(args.get("uuid"))
        if row is None:
            return refused(406, "000012", "Missing argument")
        if not args.get("port") and not args.get("host"):
            return refused(400, "000007", "Missing argument")
        for key in ("host", "port"):
            row[key] = str(args.get(key) or row[key])
        return {"uuid": row["uuid"]}

    def heartbeat(self, told):
        self.beats.append(told)
        return {"leader": True, "cron": True, "ttl": 30, "epoch": 7, "ts": int(time.time())}


class Session(Stub):
    """Sessions (SPEC 9, 10.1)."""

    name = "session"

    def own_actions(self):
        self.sessions, self.refresh = {}, {}
        self.names = {"end": "session_expired"}
        self.delay = 0
        self.aborts = set()
        return {
            ("GET", "checksession"): self.check, ("POST", "setsession"): self.set,
            ("POST", "refresh_token"): self.renew, ("GET", "admin"): self.admin,
            ("POST", "admin"): self.admin,
        }

    def add(self, words, uid, admin=0, completed=1, readonly=0, end=None, **more):
        end = int(time.time()) + 3600 if end is None else end
        self.sessions[words] = {"uid": uid, "isadmin": admin, "session_expired": end,
                                "completed": completed, "readonly": readonly, **more}

    def check(self, told):
        time.sleep(self.delay)
        words = told.token
        if self.dialect.name == "c":
            words = words if " " in words else f"{told.token_type} {told.token}"
        if len(words.split(" ")) != 2:
            return Answer({"error": "Wrong Token initialisation"})
        if words in self.aborts:
            self.context.abort(grpc.StatusCode.INTERNAL, "as asked")
        found = self.sessions.get(words)
        if found is None:
            return Answer({"error": "000011"})
        kind, value = words.split(" ")
        data = {**found, "token": value, "token_type": kind}
        if self.dialect.name == "c":
            back = {"auth": {"uid": found["uid"], "token": value, "token_type": kind}}
        else:
            back = {"UID": found["uid"], "Token": value, "TokenType": kind}
        return Answer(data, back=back)

    def set(self, told):
        args = told.args
        if needs(told, "uid"):
            return refused(406, "000012", "Missing argument")
        access, refresh = token(40), token(40)
        self.add(f"Bearer {access}", args["uid"], args.get("isadm", 0), args.get("iscomp", 0),
                 args.get("readon", 0))
        self.refresh[refresh] = args["uid"]
        return {"access_token": access, "refresh_token": refresh, "at_lifetime": 86400,
                "rt_lifetime": 2592000}

    def renew(self, told):
        uid = self.refresh.get(told.args.get("refresh_token"))
        return {"uid": uid} if uid else refused(401, "000011", "not authorised")

    def admin(self, told):
        if told.param_id == "cronstatus":
            return {"cron": "true"}
        if told.param_id == "cron":
            return {"cron": told.args.get("action", "false")}
        return self.other(told)


class Auth(Stub):
    """Signing in (SPEC 9). Knows one user, and asks for sessions through `ask` if there is one."""

    name = "auth"
    USER = {"uid": "u1", "user": "ada", "pass": "right", "email": "ada@example.org"}

    def own_actions(self):
        self.ask = None
        return {
            ("POST", "signin"): self.signin, ("POST", "forgot"): self.forgot,
            ("POST", "confemail"): lambda _: {"code": "100002", "message": "confirmed"},
            ("POST", "otp"): self.otp, ("POST", "refresh_token"): self.renew,
            ("GET", "getuserbyid"): self.by_id,
        }

    def signin(self, told):
        args = told.args
        if needs(told, "user", "pass"):
            return refused(400, "000007", "Missing argument")
        if (args["user"], args["pass"]) == ("tfa", "right") and not args.get("tfa"):
            return {"tfa": True, "tfatype": "email", "sendto": "a**@example.org"}
        if (args["user"], args["pass"]) != (self.USER["user"], self.USER["pass"]):
            return refused(400, "000008", "Wrong password")
        session = {"access_token": token(40), "refresh_token": token(40), "at_lifetime": 86400,
                   "rt_lifetime": 2592000}
        if self.ask:
            session = self.ask({"uid": self.USER["uid"], "isadm": 0, "iscomp": 1, "readon": 0})
        return {**session, "username": "ada", "email": self.USER["email"],
                "email_confirmed": True}

    def forgot(self, told):
        if needs(told, "email"):
            return refused(400, "000007", "Missing argument")
        done = "100202" if told.args.get("key") else "100201"
        return {"code": done, "message": "done"}

    def otp(self, told):
        return {"otp": "sent", "user": told.param_id}

    def renew(self, told):
        if needs(told, "refresh_token"):
            return refused(400, "000007", "Missing argument")
        return {"access_token": token(40), "refresh_token": token(40)}

    def by_id(self, told):
        if told.args.get("uid") != self.USER["uid"]:
            return refused(400, "000003", "not found")
        return {"uid": "u1", "email": self.USER["email"]}


class Rights(Stub):
    """Hashes that are good for a time (SPEC 9)."""

    name = "rights"

    def own_actions(self):
        self.hashes = {}
        return {("GET", "checktimehash"): self.check, ("POST", "settimehash"): self.set,
                ("DELETE", "checktimehash"): self.drop}

    def check(self, told):
        found = self.hashes.get(told.args.get("hash"))
        who = told.args.get("uid") or told.args.get("email")
        if found is None or who not in (found["uid"], found["email"]):
            return refused(400, "000009", "expired")
        return {"hash": found}

    def set(self, told):
        args = told.args
        if needs(told, "hash", "uid"):
            return refused(400, "000007", "Missing argument")
        lifetime = args.get("lifetime", 300)
        self.hashes[args["hash"]] = {
            "uid": args["uid"], "email": args.get("email", ""), "hash": args["hash"],
            "parametr": args.get("parametr", ""), "created": int(time.time()),
            "lifetime": lifetime}
        return {"lifetime": lifetime}

    def drop(self, told):
        found = self.hashes.pop(told.args.get("hash"), None)
        return {"answer": "Done"} if found else refused(400, "000003", "not found")


class Notifications(Stub):
    """Messages (SPEC 9)."""

    name = "notifications"
    POSTS = {"notifyuser": ("users", "message"), "notifyuserbyemail": ("title", "message", "users"),
             "otp_email": ("otp", "email", "lang"), "confirm_email": (),
             "forgot_email": ("password", "email"), "createchat": (), "inviteme": (),
             "roomavatar": ()}

    def own_actions(self):
        self.sent = []
        out = {("POST", param): lambda told, names=names: self.post(told, names)
               for param, names in self.POSTS.items()}
        out["GET", "getnotifications"] = lambda told: {
            "notifications": self.sent[:int(told.args.get("limit", 50))]}
        out["GET", "getmessage"] = lambda told: {"message": told.param_id}
        return out

    def post(self, told, names):
        if needs(told, *names):
            return refused(400, "000007", "Missing argument")
        self.sent.append(told.param)
        return {"answer": "Done", "param": told.param}


class User(Stub):
    """Profiles; each action needs a user (SPEC 9)."""

    name = "user"

    def own_actions(self):
        say = self.say
        out = {("GET", "users"): self.users, ("GET", "profile"): say, ("POST", "api_token"): say}
        for method in ("GET", "PUT", "DELETE"):
            out[method, "avatar"] = say
        for param in ("dateformat", "password", "email", "profile", "enable2fa", "disable2fa",
                      "settings", "api_token"):
            out["PATCH", param] = say
        for method in ("GET", "DELETE"):
            out[method, "api_token"] = say
        for method in ("POST", "PATCH"):
            out[method, "admin"] = self.admin
        return out

    def other(self, told):
        # `<uid>` and `<uid>/avatar|profile`.
        return self.say(told) if told.method == "GET" and told.param else Stub.other(self, told)

    def say(self, told):
        if not told.uid:
            return refused(401, "000011", "not authorised")
        return {"uid": told.uid, "did": f"{told.method} {told.param} {told.param_id}".strip()}

    def users(self, told):
        args = told.args
        if not told.uid:
            return refused(401, "000011", "not authorised")
        everybody = [{"uid": f"u{at}"} for at in range(30)]
        offset, limit = int(args.get("offset", 0)), int(args.get("limit", 25))
        return {"users": everybody[offset:offset + limit], "count": 30}

    def admin(self, told):
        if told.uid and not told.is_admin:
            return refused(401, "000012", "no admin")
        return self.say(told)


class Files(Stub):
    """Files; dialect A takes an upload in one call (SPEC 6.2, 9)."""

    name = "files"
    CONTENT = "text of a file, \u00e4"

    def own_actions(self):
        self.files = {"f1": ("a.txt", self.CONTENT)}
        self.path = "/etc/hostname"
        return {("GET", "getfile"): self.get, ("GET", "getfiles"): self.list,
                ("GET", "avatar"): self.get, ("POST", "file"): self.post,
                ("PUT", "file"): self.put, ("DELETE", "file"): self.drop,
                ("GET", "local"): lambda _: {"file": self.path, "filetype": "text/plain",
                                             "filename": "x.txt", "isbase64": False}}

    def get(self, told):
        name, content = self.files.get(told.args.get("fileid", "f1"), (None, None))
        if name is None:
            return refused(404, "000010", "not found")
        return {"file": content, "filetype": "text/plain", "filename": name, "isbase64": True}

    def list(self, told):
        asked = [told.args.get(key) for key in ("ownerid", "group", "type")]
        return {"files": sorted(self.files), "asked": asked}

    def post(self, told):
        if needs(told, "name"):
            return refused(400, "000001", "missing field")
        self.files[told.args["name"]] = (told.args["name"], told.args.get("text", ""))
        return {"fileid": told.args["name"]}

    def put(self, told):
        if told.file is None:
            return refused(400, "0000235", "Missing File")
        return {"name": told.filename, "bytes": len(told.file),
                "sha256": hashlib.sha256(told.file).hexdigest()}

    def drop(self, told):
        found = self.files.pop(told.args.get("fileid"), None)
        done = {"code": "200501", "message": "deleted"}
        return done if found else refused(400, "000003", "not found")


class Reg(Stub):
    """Registration (SPEC 9). The second name is spelt as its documents spell it."""

    name = "reg"

    def own_actions(self):
        return {("POST", "signup"): self.signup,
                ("POST", "Resesendconfemail"): lambda _: {"code": "100201", "message": "sent"}}

    def signup(self, told):
        if needs(told, "user", "pass", "email"):
            return refused(400, "000007", "Missing argument")
        return {"code": "100200", "message": "signed up"}


class Template(Stub):
    """A service as the generator of dialect C makes one (SPEC 9)."""

    name = "template"

    def own_actions(self):
        return {("GET", "info"): self.about, ("GET", "heartbeat"): lambda _: {"status": "alive"},
                ("GET", "admin"): self.admin, ("POST", "admin"): self.admin}

    def about(self, _told):
        return {"pluginname": self.name, "version": "1.0.0", "description": self.description}

    def other(self, _told):
        return refused(404, "000404", "unknown route")

    def admin(self, told):
        if told.param_id == "cronstatus":
            return {"cron": True}
        if told.param_id == "cron":
            return {"cron": told.args.get("action")}
        return self.other(told)


class Echo(Stub):
    """Answers what a test set, or says what it was asked."""

    name = "echo"

    def own_actions(self):
        self.says = None
        self.stream_says = None
        return {}

    def other(self, told):
        if callable(self.says):
            return self.says(told, self.context)
        if self.says is not None:
            return self.says
        return {"param": told.param, "args": told.args}

    def stream(self, requests, context):
        if self.stream_says is not None:
            seen = []
            self.streams.append(seen)
            yield from self.stream_says(seen, requests, context)
            return
        yield from Stub.stream(self, requests, context)
