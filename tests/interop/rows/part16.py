"""SPEC 16: where values come from, what keys are called, and the command line."""
import json
import signal
import subprocess
import urllib.request

import client
import gateway
import siblings
from table import check, row, same
from world import ADMIN_KEY, toml, until

BASE = {"server.ip": "127.0.0.1", "server.port": 0, "server.admin": "127.0.0.1:0",
        "server.sign": siblings.SIGN, "server.session": False, "server.masterservice": False,
        "security.mode": "sign"}


def effective(gate):
    """What an operator is shown: key to value and origin."""
    request = urllib.request.Request(f"http://127.0.0.1:{gate.admin}/-/config",
                                     headers={"X-Admin-Key": ADMIN_KEY})
    with urllib.request.urlopen(request, timeout=5) as got:
        return json.load(got)


def said(done):
    return done.stdout + done.stderr


def started(world, env=None, files=None, **more):
    """A gateway that is stopped by the `with`."""
    return world.start(world.settings(**more), env, files)


@row("16.1/env over .env")
def env_first(world):
    with started(world, {"GUFO_SERVER_LANG": "from-env"},
                 {".env": "GUFO_SERVER_LANG=from-dotenv\n"}, server__lang="from-file") as gate:
        same(effective(gate)["server.lang"]["value"], "from-env")


@row("16.1/.env over file")
def dotenv_second(world):
    with started(world, None, {".env": "GUFO_SERVER_LANG=from-dotenv\n"},
                 server__lang="from-file") as gate:
        same(effective(gate)["server.lang"]["value"], "from-dotenv")


@row("16.1/file over defaults")
def file_third(world):
    with started(world, server__lang="from-file") as gate:
        same(effective(gate)["server.lang"]["value"], "from-file")


@row("16.1/config/ before .")
def config_first(world):
    done, _ = world.otus("check", text="[server\n", files={"config/settings.toml": toml(BASE)})
    same(done.returncode, 0, said(done))
    done, _ = world.otus("check", text=toml(BASE))
    same(done.returncode, 0, said(done))


@row("16.1/created when missing")
def created(world):
    flat = world.settings()
    env = {"GUFO_SERVER_PORT": str(flat["server.port"]), "GUFO_SERVER_IP": "127.0.0.1",
           "GUFO_SERVER_ADMIN": flat["server.admin"],
           "GUFO_SERVER_GRPC_PORT": str(flat["server.grpc_port"])}
    with world.start(flat, env, {"settings.toml": None}) as gate:
        made = next(path for path in (gate.here / "config/settings.toml",
                                      gate.here / "settings.toml") if path.exists())
        same(made.stat().st_mode & 0o777, 0o600)
        text = made.read_text()
        check('mode = "sign"' in text and "\nsign = " in text, "no mode and sign (SPEC 20, 9)")
        sign = text.split("\nsign = ")[1].split('"')[1]
        check(len(sign) >= 32, "the sign is not random")
    with world.start(flat, env, {"settings.toml": None}) as gate:
        check(sign not in (next(gate.here.rglob("settings.toml"))).read_text(), "the same sign")


@row("16.1/GUFO_ and the key")
def env_names(world):
    env = {"GUFO_SERVER_LANG": "a", "GUFO_TIMEOUTS_IDLE": "7s",
           "GUFO_MICROSERVICES_ECHO_TIMEOUT": "9s", "GUFO_SETTINGS_REGISTRATION": "true"}
    with started(world, env) as gate:
        found = effective(gate)
        for key, value in (("server.lang", "a"), ("timeouts.idle", "7s"),
                           ("microservices.echo.timeout", "9s"), ("settings.registration", True)):
            same(found[key]["value"], value, key)


# Variable, its value, the key that it means, what is shown (`None`: it is secret).
ALIASES = [
    ("GUFO_SIGN", "a-sign-that-is-long", "server.sign", None),
    ("GUFO_DB_PASS", "pass", "database.password", None),
    ("GUFO_DB_HOST", "dbhost", "database.host", "dbhost"),
    ("GUFO_DB_PORT", "3307", "database.port", 3307),
    ("GUFO_DB_USER", "dbuser", "database.user", "dbuser"),
    ("GUFO_DB_NAME", "dbname", "database.dbname", "dbname"),
    ("GUFO_DB_TYPE", "postgres", "database.type", "postgres"),
    ("GUFO_EMAIL_HOST", "mail", "email.host", "mail"),
    ("GUFO_EMAIL_PORT", "2525", "email.port", 2525),
    ("GUFO_EMAIL_USER", "mailer", "email.user", "mailer"),
    ("GUFO_EMAIL_PASS", "pass", "email.password", None),
    ("GUFO_EMAIL_SUPPORT", "a@b", "email.support", "a@b"),
    ("GUFO_REDIS_URL", "redis://r", "redis.host", None),
    ("GUFO_MEMCACHED_HOST", "mc", "memcached.host", "mc"),
    ("GUFO_MEMCACHED_PORT", "11212", "memcached.port", 11212),
    ("GUFO_SENTRY_DSN", "http://k@127.0.0.1:9/1", "sentry.dsn", None),
    ("GUFO_SENTRY_ENABLED", "false", "server.sentry", False),
    ("GUFO_SENTRY_TRACE", "0.5", "sentry.trace", 0.5),
    ("GUFO_JWT_SECRET", "jwt", "security.jwt_secret", None),
    ("GUFO_RATE_LIMIT_RPS", "1000", "gufo.rate_limit_rps", 1000),
    ("GUFO_RATE_LIMIT_BURST", "2000", "gufo.rate_limit_burst", 2000),
    ("GUFO_LOG_TO_FILE", "false", "server.log_to_file", False),
    ("GUFO_ENV", "stage", "server.env", "stage"),
    ("GUFO_OTEL_ENDPOINT", "127.0.0.1:9", "otel.endpoint", "127.0.0.1:9"),
    ("GUFO_OTEL_SERVICE_NAME", "named", "otel.service_name", "named"),
    ("GUFO_MCP_PATH", "/mcp", "mcp.path", "/mcp"),
    ("GUFO_MCP_MODULE", "echoc", "mcp.module", "echoc"),
]
# The un-prefixed ones; SERVER_SIGN means what GUFO_SIGN means.
BARE = [
    ("SERVER_MASTERSERVICE", "false", "server.masterservice", False),
    ("MICROSERVICES_MASTERSERVICE_HOST", "127.0.0.1", "microservices.masterservice.host",
     "127.0.0.1"),
    ("MICROSERVICES_MASTERSERVICE_PORT", "5300", "microservices.masterservice.port", 5300),
    ("SERVER_SIGN", "a-sign-that-is-long", "server.sign", None),
    ("SECURITY_MODE", "sign", "security.mode", "sign"),
]


def aliased(world, which):
    """What a gateway shows that was told these variables; asked once for all rows."""
    kept = world.__dict__.setdefault("aliased", {})
    if which not in kept:
        names = {"ALIASES": ALIASES, "BARE": BARE}[which]
        keys = {key.replace(".", "__"): None for _, _, key, _ in names
                if not key.startswith("server.sign")}
        with started(world, {name: value for name, value, *_ in names}, server__sign=None,
                     **keys) as gate:
            kept[which] = effective(gate)
    return kept[which]


def alias_test(which, name, key, want):
    def test(world):
        found = aliased(world, which)
        check(key in found, f"no {key} is shown")
        same(found[key]["origin"], f"variable {name}")
        same(found[key]["value"], "***" if want is None else want)
    return test


for variable, _, key, shown in ALIASES:
    row(f"16.1/{variable} alias")(alias_test("ALIASES", variable, key, shown))
for variable, _, key, shown in BARE:
    row(f"16.1/{variable} alias")(alias_test("BARE", variable, key, shown))


NAMED = {"database.password_env": "DP", "server.sign_env": "SI", "sentry.dsn_env": "DS",
         "security.jwt_secret_env": "JW", "email.password_env": "EP"}


def named_test(key, variable):
    def test(world):
        plain = key.removesuffix("_env")
        flat = {**BASE, key: variable, plain: "value-in-the-file"}
        done, _ = world.otus("check", text=toml(flat), env={variable: "value-of-the-variable"})
        same(done.returncode, 0, said(done))
        gone, _ = world.otus("check", text=toml({**BASE, key: variable}))
        check(variable in said(gone), f"nothing is said of the missing {variable}")
    return test


for key, variable in NAMED.items():
    row(f"16.1/{key}")(named_test(key, variable))


@row("16.1/security.sign_env", waits="configuration keys")
def security_sign_env(world):
    flat = {**BASE, "server.sign": None, "security.sign_env": "MY_SIGN"}
    done, _ = world.otus("check", text=toml(flat), env={"MY_SIGN": "a-sign-that-is-long"})
    same(done.returncode, 0, said(done))


@row("16.1/server.sign_env", "is read")
def sign_env(world):
    # The original never read it (SPEC 19, C10).
    with started(world, {"MY_SIGN": siblings.SIGN}, server__sign="wrong-sign-in-the-file",
                 server__sign_env="MY_SIGN") as gate:
        same(world.ask("GET", "/api/v3/echo/p", on=gate).status, 200)


KEYS = {
    "server": {"port": "0", "grpc_port": "4890", "ip": "127.0.0.1", "debug": False,
               "sentry": False, "session": False, "masterservice": False,
               "registry_mode": "static", "domain": "d", "internal_host": "gateway",
               "internal_ssl": False, "lang": "english", "multiple_db_mode": False,
               "dbcheck": False, "sysdir": "/var/gufo/", "tempdir": "/var/gufo/templates/",
               "filedir": "/var/gufo/files/", "plugindir": "/var/gufo/lib/",
               "logdir": "/var/gufo/log/", "metrics_token": "t", "heartbeat": 10,
               "grpc_timeout": "5s", "grpc_tls_enabled": False, "grpc_mtls_enabled": False,
               "telemetry": False},
    "security": {"hmac_secret": "s", "max_age": 120, "jwt_secret_env": "J", "ca_cert": "c",
                 "cert": "c", "key": "k"},
    "token": {"expiretime": 86400, "refresh_token_expiration": 2592000, "secretKey": "k"},
    "database": {"type": "mysql", "host": "h", "port": "3306", "dbname": "d", "user": "u",
                 "password": "p", "charset": "utf8mb4", "protocol": "tcp", "sslmode": "disable",
                 "connectionssize": 10, "poolsize": 5},
    "redis": {"host": "redis://redis", "password": "p", "tls": False, "max_idle": 5,
              "max_active": 20, "idle_timeout": 240},
    "memcached": {"host": "m", "port": 11211},
    "email": {"host": "m", "port": 587, "user": "u", "address": "a", "reply": "r",
              "support": "s", "title": "t", "insecureskipverify": False, "password": "p"},
    "microservices.a": {"host": "127.0.0.1", "port": "4801", "type": "server", "timeout": "5s",
                        "stream_timeout": "2m", "entrypointversion": "1.0.0", "cron": False},
    "settings": {"registration": True, "email_confirmation": True, "change_email": True,
                 "account_creation": True, "activity_creation": True, "user_creation": True},
    "sentry": {"dsn": "http://k@127.0.0.1:9/1", "tracing": False, "debug": False, "trace": 1.0,
               "flush": 5},
    "mcp": {"path": "/mcp", "module": "a"},
    "masterregistry": {"ttl": 60, "refresh_interval": 30, "sweeper_interval": 60},
}


def keys_test(table):
    def test(world):
        flat = {**BASE, "server.admin": "127.0.0.1:0"}
        flat.update({f"{table}.{name}": value for name, value in KEYS[table].items()})
        if table == "mcp":
            flat.update({f"microservices.a.{key}": value
                         for key, value in KEYS["microservices.a"].items()})
            flat["microservices.a.dialect"] = "c"
        env = {"J": "secret"}
        done, _ = world.otus("check", text=toml(flat), env=env)
        same(done.returncode, 0, said(done)[:600])
    return test


for table in KEYS:
    named = "microservices.<m>" if table == "microservices.a" else table
    row(f"16.1/{named} keys")(keys_test(table))


DEFAULTS = [
    ("server.lang", "english"), ("server.session", True), ("server.grpc_timeout", "5s"),
    ("security.max_age", "120s"), ("settings.registration", False),
]


@row("16.1/server keys", "defaults")
def defaults(world):
    with started(world, server__session=None) as gate:
        found = effective(gate)
        for key, value in DEFAULTS:
            same((found[key]["value"], found[key]["origin"]), (value, "default"), key)


@row("16.1/validation at start")
def validation(world):
    for key in ("server.port", "server.grpc_port"):
        done, _ = world.otus("check", text=toml({**BASE, key: "none"}))
        same(done.returncode, 1, key)


@row("16.1/validation at start", "a masterservice without an address")
def validation_master(world):
    flat = {**BASE, "server.masterservice": True}
    done, _ = world.otus("check", text=toml(flat))
    same(done.returncode, 1, said(done))


@row("16.1/a table twice")
def twice(world):
    text = toml(BASE) + ('[microservices.session]\nhost = "127.0.0.1"\nport = 1\n'
                         '[microservices.session]\ncron = false\n')
    done, _ = world.otus("check", text=text)
    same(done.returncode, 0, said(done))
    check("twice" in said(done), "no warning")


@row("16.1/Redis is optional")
def redis(world):
    port = gateway.free_port()
    with started(world, **{"redis.host": f"redis://127.0.0.1:{port}"}) as gate:
        same(world.ask("GET", "/api/v3/echo/p", on=gate).status, 200)


KEY = b"0123456789abcdef"
LEGACY = "$2a##" + "pQd4wF0pS2Zk"


def encrypted_start(world, sealed, env=None, files=None):
    """Whether a gateway that has this as `server.sign` signs with what it means."""
    with started(world, env, files, server__sign=sealed) as gate:
        return world.ask("GET", "/api/v3/echo/p", on=gate).status == 200


@row("16.1/encrypted values", waits="encryption")
def encrypted(world):
    import aes
    sealed = aes.seal(KEY, siblings.SIGN.encode())
    check(encrypted_start(world, sealed, {"GUFO_AES_KEY": KEY.decode()}), "the key's raw bytes")
    done, _ = world.otus("check", text=toml({**BASE, "server.sign": sealed}),
                         env={"GUFO_AES_KEY": "fedcba9876543210"})
    same(done.returncode, 1, "another key")
    check(siblings.SIGN not in said(done), "the value is shown")


@row("16.1/encrypted values", "key of 32 bytes, key in a file", waits="encryption")
def encrypted_file(world):
    import aes
    long = b"0123456789abcdef0123456789ABCDEF"
    sealed = aes.seal(long, siblings.SIGN.encode())
    check(encrypted_start(world, sealed, {"GUFO_AES_KEY": long.decode()}), "32 bytes")
    # Raw bytes with blanks at both ends, which the original cut off (SPEC 19, C11).
    raw = world.folder / "secret.key"
    raw.write_bytes(b"\n 23456789abcde ")
    raw.chmod(0o600)
    flat = world.settings(server__sign=aes.seal(raw.read_bytes(), siblings.SIGN.encode()),
                          security__aes_key_file=str(raw))
    with world.start(flat) as gate:
        same(world.ask("GET", "/api/v3/echo/p", on=gate).status, 200)


@row("16.1/encrypted values", "legacy CFB is told where to go", waits="encryption")
def legacy(world):
    import aes
    sealed = aes.seal_cfb(KEY, siblings.SIGN.encode())
    done, _ = world.otus("check", text=toml({**BASE, "server.sign": sealed}),
                         env={"GUFO_AES_KEY": KEY.decode()})
    check(done.returncode == 0 or "migrate config" in said(done), said(done))


@row("16.1/GUFO_AES_KEY alias", waits="encryption")
def aes_key(world):
    import aes
    flat = {**BASE, "server.sign": aes.seal(KEY, siblings.SIGN.encode())}
    for value, code in ((KEY.decode(), 0), ("fedcba9876543210", 1), ("short", 1)):
        done, _ = world.otus("check", text=toml(flat), env={"GUFO_AES_KEY": value})
        same(done.returncode, code, value)


@row("16.2/start")
def start(world):
    flat = world.settings()
    with world.start(flat) as gate:
        same(world.ask("GET", "/api/v3/health", on=gate).status, 200)


@row("16.2/stop", waits="/exit")
def stop(world):
    with started(world, server__debug=True) as gate:
        done = subprocess.run([str(world.options.otus), "stop"], cwd=gate.here, env=gate.env,
                              capture_output=True, text=True, timeout=10)
        same(done.returncode, 0, said(done))
        same(gate.process.wait(8), 0)


@row("16.2/cert init")
def cert_init(world):
    done, here = world.otus("cert", "init")
    same(done.returncode, 0, said(done))
    want = {f"{name}{kind}.pem" for name in ("ca", "server", "client") for kind in ("", "-key")}
    same({path.name for path in (here / "certs").iterdir()}, want)


@row("16.2/key rotate", waits="encryption")
def rotate(world):
    import aes
    key = world.folder / "rotated.key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    flat = world.settings(server__sign=aes.seal(KEY, siblings.SIGN.encode()),
                          security__aes_key_file=str(key))
    done, here = world.otus("key", "rotate", text="# a comment\n" + toml(flat))
    same(done.returncode, 0, said(done))
    text = (here / "settings.toml").read_text()
    check("$2a##" in text and flat["server.sign"] not in text, "the value is not sealed anew")
    check(key.read_bytes() != KEY and "# a comment" in text, "the key or the comments")
    with world.start(flat, text=text) as gate:
        same(world.ask("GET", "/api/v3/echo/p", on=gate).status, 200, "the value means the same")


@row("16.2/migrate config", waits="encryption")
def migrate(world):
    import aes
    flat = {**BASE, "server.sign": aes.seal_cfb(KEY, siblings.SIGN.encode())}
    done, here = world.otus("migrate", "config", "--from", "gufo", "settings.toml",
                            text=toml(flat), env={"GUFO_AES_KEY": KEY.decode()})
    same(done.returncode, 0, said(done))
    check(flat["server.sign"] not in (here / "settings.toml").read_text() + done.stdout,
          "the value is still in the old form")


@row("16.2/--version", waits="configuration keys")
def version(world):
    done, _ = world.otus("--version")
    text = done.stdout.strip()
    # "<ver>  (<commit>, <date>)"
    check("  (" in text and text.endswith(")") and ", " in text, text)


@row("16.2/exit drains", waits="/exit")
def exit_drains(world):
    with started(world, server__debug=True) as gate:
        parts = [b"x" * 1000] * 6
        with client.connect(gate.port) as sock:
            head = client.head("PUT", "/api/v3/echo/p", gate.port, "Content-Length: 6000")
            sock.sendall(head + parts[0])
            same(world.ask("GET", "/exit", on=gate).status, 200)
            for part in parts[1:-1]:
                sock.sendall(part)
            reply = client.exchange(sock, parts[-1], secs=6)
        same(reply.status, 200, "what is under way ends well")
        same(gate.process.wait(8), 0)


@row("16.2/SIGINT SIGTERM")
def signals(world):
    for number in (signal.SIGINT, signal.SIGTERM):
        with started(world) as gate:
            gate.process.send_signal(number)
            same(gate.process.wait(8), 0, number.name)


THREEX = """server:
  addr: "127.0.0.1:{port}"
  max_body_bytes: 100
routes:
  - name: users
    match: {{ path_prefix: "/users" }}
    upstream: "http://127.0.0.1:{up}"
  - name: down
    match: {{ path_prefix: "/down" }}
    upstream: "http://127.0.0.1:{down}"
"""


def threex(world):
    """A gateway with what was 3xpluto's configuration, and its dev helper behind it."""
    if "3x" not in world.running:
        up, port, admin = (gateway.free_port() for _ in range(3))
        text = THREEX.format(port=port, up=up, down=world.down)
        done, here = world.otus("migrate", "config", "--from", "3x", "config.yaml", "-o",
                                "settings.toml", files={"config.yaml": text})
        same(done.returncode, 0, said(done))
        world.upstream = subprocess.Popen(
            [str(world.options.otus), "dev", "upstream", "--listen", f"127.0.0.1:{up}", "--name",
             "users"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        world.processes.append(world.upstream)
        check(until(lambda: gateway.answers(up)), "no upstream")
        flat = {"server.port": port, "server.admin": f"127.0.0.1:{admin}"}
        world.running["3x"] = world.start(
            flat, {"GUFO_SERVER_ADMIN": f"127.0.0.1:{admin}"},
            text=(here / "settings.toml").read_text())
    return "3x"


@row("16.3/schema is read")
def threex_schema(world):
    reply = world.ask("GET", "/users/1", on=threex(world))
    same(reply.status, 200, repr(reply))


@row("16.3/-config")
def threex_config(world):
    done, here = world.otus("check", "other.toml", files={"other.toml": toml(BASE)})
    same(done.returncode, 0, said(done))
    done, _ = world.otus("start", "-c", "nowhere.toml", cwd=here)
    check(done.returncode != 0, "a file that is not there")


@row("16.3/-validate-config")
def threex_validate(world):
    good, _ = world.otus("migrate", "config", "--from", "3x", "config.yaml",
                         files={"config.yaml": THREEX.format(port=1, up=2, down=3)})
    same(good.returncode, 0, said(good))
    bad = THREEX.format(port=1, up=2, down=3).replace('"/users"', '"users"')
    done, _ = world.otus("migrate", "config", "--from", "3x", "config.yaml",
                         files={"config.yaml": bad})
    same(done.returncode, 1, "a prefix without a slash")
    for text in ("", "server: {addr: ''}\nroutes: []\n",
                 THREEX.format(port=1, up=2, down=3).replace("name: down", "name: users")):
        done, _ = world.otus("migrate", "config", "--from", "3x", "config.yaml",
                             files={"config.yaml": text})
        same(done.returncode, 1, text)


@row("16.3/body limit")
def threex_body(world):
    reply = world.ask("POST", "/users/1", b"x" * 101, on=threex(world))
    same((reply.status, reply.json), (413, {"error": "request_too_large", "max_bytes": 100}))


@row("16.3/upstream failure")
def threex_down(world):
    reply = world.ask("GET", "/down/1", on=threex(world))
    same((reply.status, reply.json), (502, {"error": "bad_gateway"}))


@row("16.3/dev helpers")
def helpers(world):
    same(world.ask("GET", "/users/1", on=threex(world)).status, 200, "upstream")
    done, _ = world.otus("dev", "token", "--secret", "s" * 32, "--sub", "alice")
    same(len(done.stdout.strip().split(".")), 3, said(done))
    done, _ = world.otus("dev", "jwksmock", "--help")
    same(done.returncode, 0)


@row("16.4/FOLDFORGE_GATEWAY__ variables", waits="FoldForge pack")
def fold(world):
    done, _ = world.otus("check", text=toml(BASE),
                         env={"FOLDFORGE_GATEWAY__ORCHESTRATOR_RPC_TIMEOUT_SECONDS": "x"})
    same(done.returncode, 1, "a variable that cannot be read")


@row("16.5/run check audit version", waits="lura engine")
def hanzo_words(world):
    done, _ = world.otus("check", "-c", "krakend.json", files={"krakend.json": '{"version":3}'})
    check("Syntax OK!" in said(done), said(done))


@row("16.5/KRAKEND_ GATEWAY_ FC_ variables", waits="lura engine")
def hanzo_env(world):
    done, _ = world.otus("run", "-c", "krakend.json", files={"krakend.json": '{"version":3}'},
                         env={"FC_ENABLE": "1", "FC_SETTINGS": "."})
    same(done.returncode, 0, said(done))
