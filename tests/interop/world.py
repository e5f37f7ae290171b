"""What all tests of the table share: the stub services, and gateways of several configurations.

A gateway is started when the first test asks for its configuration by name.
"""
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import client
import gateway
import siblings

ADMIN_KEY = "interop-admin-key-interop"
# What a reply of the gateway must bring within; a hanging one fails its row and no other.
SECS = 8.0


def toml(flat):
    """Keys such as `microservices.echo.port` and their values as TOML."""
    tables = {}
    for key, value in flat.items():
        if value is not None:
            table, _, name = key.rpartition(".")
            tables.setdefault(table, {})[name] = value
    lines = []
    for table in sorted(tables):
        lines.append(f"[{table}]" if table else "")
        # TOML writes such values as JSON does.
        lines += [f"{name} = {json.dumps(value)}" for name, value in tables[table].items()]
    return "\n".join(lines) + "\n"


class Running(gateway.Gateway):
    """Otus with a folder, an environment and arguments of its own."""

    def __init__(self, program, text, port, admin, env=None, files=None, grpc=0, before=""):
        self.port, self.admin, self.grpc = port, admin, grpc
        self.folder = tempfile.TemporaryDirectory(prefix="otus-run-")
        self.here = Path(self.folder.name)
        for name, content in {"settings.toml": text, **(files or {})}.items():
            if content is not None:
                path = self.here / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                path.chmod(0o600)
        self.log = self.here / "log"
        self.env = environment(env)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(program), "start"], cwd=self.here, env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)


def environment(more=None):
    """No setting of whoever runs the tests may reach the program under test."""
    ours = ("GUFO_", "SERVER_", "SECURITY_", "MICROSERVICES_", "APIGW_", "OTEL_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return {**clean, **(more or {})}


class Reply:
    """An answer with the words that the tests use."""

    def __init__(self, reply):
        self.status, self.headers, self.body = reply.status, reply.headers, reply.body
        self.closed = reply.closed

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def data(self):
        return self.json["data"]

    @property
    def code(self):
        """Status and code, as the tables of faults have them."""
        return self.status, self.data.get("code")

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class World:
    def __init__(self, options):
        self.options = options
        self.running, self.stubs, self.processes = {}, {}, []
        self.folder = Path(tempfile.mkdtemp(prefix="otus-table-"))
        for stub in (siblings.Master(), siblings.Session(), siblings.Auth(), siblings.Rights(),
                     siblings.Notifications(), siblings.User(), siblings.Files(), siblings.Reg(),
                     siblings.Template("c"), siblings.Echo("b"), siblings.Echo("a", "echoa"),
                     siblings.Echo("c", "echoc"), siblings.Echo("b", "inner")):
            self.stubs[stub.name] = stub
        session = self.stubs["session"]
        session.add("Bearer good", "u7")
        session.add("Bearer admin", "u1", admin=1)
        session.add("Bearer reader", "u9", readonly=1)
        session.add("APP key", "u8")
        session.add("ApiToken key", "u6")
        self.down = gateway.free_port()

    def settings(self, **more):
        """The usual configuration; `more` with `__` for dots changes it, `None` takes away."""
        flat = {
            "server.ip": "127.0.0.1", "server.port": gateway.free_port(),
            "server.grpc_port": gateway.free_port(), "server.admin": gateway.free_port(),
            "server.workers": 1, "server.io": self.options.io, "server.session": True,
            "server.masterservice": False, "server.sign": siblings.SIGN,
            "server.access_log": "off", "server.admin_key": ADMIN_KEY,
            "server.shutdown_grace": "2s", "server.upload_grace": "2s", "security.mode": "sign",
        }
        for name, stub in self.stubs.items():
            flat.update(self.module(name, stub.port, stub.dialect.name))
        flat["microservices.inner.type"] = "internal"
        flat.update(self.module("down", self.down, "b"))
        for key, value in more.items():
            flat[key.replace("__", ".")] = value
        flat["server.admin"] = f"127.0.0.1:{flat['server.admin']}"
        return flat

    @staticmethod
    def module(name, port, dialect):
        key = f"microservices.{name}"
        return {f"{key}.host": "127.0.0.1", f"{key}.port": port, f"{key}.dialect": dialect,
                f"{key}.timeout": "3s", f"{key}.connect_timeout": "1s"}

    def start(self, flat, env=None, files=None, text=None):
        """Starts a gateway that whoever asks for it keeps or stops."""
        admin = int(flat["server.admin"].rpartition(":")[2])
        found = Running(self.options.otus, text or toml(flat), flat["server.port"], admin, env,
                        files, flat.get("server.grpc_port", 0))
        return found.__enter__()

    def gateway(self, name="main", **more):
        """The gateway of this name, which the first who asks for it configures."""
        if name not in self.running:
            self.running[name] = self.start(self.settings(**more))
        return self.running[name]

    def otus(self, *words, text=None, env=None, files=None, cwd=None):
        """Runs a command in a folder of its own; gives its result and the folder."""
        here = Path(cwd or tempfile.mkdtemp(prefix="otus-command-", dir=self.folder))
        for name, content in {"settings.toml": text, **(files or {})}.items():
            if content is not None:
                (here / name).parent.mkdir(parents=True, exist_ok=True)
                (here / name).write_text(content)
                (here / name).chmod(0o600)
        done = subprocess.run([str(self.options.otus), *words], cwd=here, env=environment(env),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
        return done, here

    def ask(self, method, path, body=None, fields=(), on="main", secs=SECS):
        """One request on a connection of its own. `body` is bytes, or what JSON is made of."""
        port = (self.gateway(on) if isinstance(on, str) else on).port
        fields = list(fields)
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            fields.append(f"Content-Length: {len(body)}")
        with client.connect(port) as sock:
            start = client.head(method, path, port, *fields, "Connection: close")
            return Reply(client.exchange(sock, start, client.pieces(body or b""), secs=secs))

    def tell(self, module, method, path, body=None, fields=(), on="main"):
        """A call of a stub: the answer, and what the stub was told."""
        stub = self.stubs[module]
        since = len(stub.calls)
        reply = self.ask(method, f"/api/v3/{module}{path}", body, fields, on)
        if len(stub.calls) == since:
            raise AssertionError(f"{module} was not called: {reply}")
        return reply, stub.calls[-1]

    def put(self, module, data, *fields, path="/file", on="main", **options):
        port = (self.gateway(on) if isinstance(on, str) else on).port
        options.setdefault("secs", SECS)
        return Reply(client.put(port, f"/api/v3/{module}{path}", data, *fields, **options))

    def close(self):
        for gate in self.running.values():
            gate.process.terminate()
        for gate in self.running.values():
            gate.stop()
            gate.folder.cleanup()
        for process in self.processes:
            process.kill()
            process.wait()
        for stub in self.stubs.values():
            stub.stop()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)


def until(condition, secs=5.0):
    """Waits until `condition` gives something true, and gives that."""
    end = time.monotonic() + secs
    while True:
        found = condition()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.02)
