"""SPEC 7: how gateway, services and callers know each other."""
import hashlib
import hmac
import os
import ssl
import subprocess
import time
from base64 import urlsafe_b64encode

import grpc

import siblings
from siblings import SECRET, hmac_1
from table import check, row, same

SIGNED = (f"X-Sign: {siblings.SIGN}",)


def hmac_gateway(world):
    """A gateway in mode hmac, with stubs that check what it says."""
    if "hmac" not in world.running:
        for name, dialect in (("hb", "b"), ("ha", "a"), ("hc", "c"), ("h2", "b"), ("hi", "b")):
            world.stubs[name] = siblings.Echo(dialect, name, mode="hmac")
        world.stubs["h2"].mode = "mtls"  # It has a signature of another form; see below.
        extra = {}
        for name in ("hb", "ha", "hc", "h2", "hi"):
            stub = world.stubs[name]
            extra.update(world.module(name, stub.port, stub.dialect.name))
        extra["microservices.h2.sign_version"] = 2
        extra["microservices.hi.type"] = "internal"
        world.gateway("hmac", security__mode="hmac", security__hmac_secret=SECRET,
                      security__max_age=120, **extra)
    return "hmac"


def hmac_rest(world):
    if "hmac_rest" not in world.running:
        hmac_gateway(world)
        stub = world.stubs["hb"]
        world.gateway("hmac_rest", security__mode="hmac", security__hmac_secret=SECRET,
                      security__rest_mode="hmac", **world.module("hb", stub.port, "b"))
    return "hmac_rest"


@row("7/mode lower-cased and closed")
def modes(world):
    from world import toml
    for mode, code in (("sign", 0), ("other", 1)):
        done, _ = world.otus("check", text=toml(world.settings(security__mode=mode)))
        same(done.returncode, code, mode)


@row("7/mode lower-cased and closed", "upper case")
def upper_case(world):
    from world import toml
    done, _ = world.otus("check", text=toml(world.settings(security__mode="Sign")))
    same(done.returncode, 0, done.stderr[:300])


@row("7.1/Request.Sign")
def static(world):
    _, told = world.tell("echo", "GET", "/p")
    same(told.sign, siblings.SIGN)
    stub = world.stubs["echo"]
    world.gateway("other_sign", server__sign="another-sign-another-sign",
                  **{"microservices.echo.port": stub.port})
    reply = world.ask("GET", "/api/v3/echo/p", on="other_sign")
    same(reply.code, (401, "00001"), "the service refuses another sign")


@row("7.1/X-Sign right")
def sign_right(world):
    same(world.ask("GET", "/api/v3/echo/p", fields=SIGNED).status, 200)


@row("7.1/X-Sign wrong")
def sign_wrong(world):
    for value in ("wrong", siblings.SIGN + "x", siblings.SIGN[:-1], ""):
        reply = world.ask("GET", "/api/v3/echo/p", fields=[f"X-Sign: {value}"])
        same(reply.code, (401, "0000234"), repr(value))


@row("7.1/internal modules")
def internal(world):
    stub = world.stubs["inner"]
    since = len(stub.calls)
    for method in ("GET", "POST", "PUT"):
        reply = world.ask(method, "/api/v3/inner/p", {} if method != "GET" else None)
        same(reply.code, (401, "0000234"), method)
    same(len(stub.calls), since, "the service was asked")
    same(world.ask("POST", "/api/v3/inner/p", {}, SIGNED).status, 200)


@row("7.2/v1 towards services")
def v1_out(world):
    on = hmac_gateway(world)
    for module in ("hb", "ha", "hc"):
        reply, told = world.tell(module, "GET", "/p", on=on)
        same(reply.status, 200, f"{module} was told {told.sign}")
        check(siblings.holds_1(told.sign, module), told.sign)


@row("7.2/v1 towards services", "uploads")
def v1_upload(world):
    on = hmac_gateway(world)
    world.put("hb", b"abc", on=on)
    check(siblings.holds_1(world.stubs["hb"].streams[-1][0].Sign, "hb"), "no signature")
    world.put("hc", b"abc", on=on)
    for message in world.stubs["hc"].streams[-1]:
        check(siblings.holds_1(message.auth.sign, "hc"), message.auth.sign)


def shown(world, sign, path="/p", module="hb", on=None):
    """The status and code for a request that shows this signature, where one is needed."""
    reply = world.ask("GET", f"/api/v3/{module}{path}", fields=[f"X-Sign: {sign}"],
                      on=on or hmac_rest(world))
    return (reply.status, reply.data.get("code")) if reply.status != 200 else 200


@row("7.2/v1 in X-Sign")
def v1_in(world):
    now = int(time.time())
    same(shown(world, hmac_1("hb", now)), 200)
    same(shown(world, hmac_1("hb", now - 100)), 200, "within max_age")


@row("7.2/two parts, digits")
def form(world):
    now = int(time.time())
    good = hmac_1("hb", now)
    mac = good.split(":")[0]
    bare = hmac.new(SECRET.encode(), b"hb", hashlib.sha256).hexdigest()
    for sign in (mac, bare, good + ":x", f"{mac}:", f"{mac}:now", f":{now}", mac[:-2] + f":{now}",
                 f"{mac}:{now}.0", f"{mac}:-{now}", siblings.SIGN):
        same(shown(world, sign), (401, "00001"), sign)


@row("7.2/max_age")
def age(world):
    same(shown(world, hmac_1("hb", int(time.time()) - 130)), (401, "00001"))


@row("7.2/not from the future")
def future(world):
    now = int(time.time())
    same(shown(world, hmac_1("hb", now + 20)), 200, "a clock that is ahead")
    same(shown(world, hmac_1("hb", now + 60)), (401, "00001"))


@row("7.2/module and secret covered")
def covered(world):
    now = int(time.time())
    same(shown(world, hmac_1("ha", now)), (401, "00001"), "another module")
    same(shown(world, hmac_1("hb", now, "another secret")), (401, "00001"), "another secret")


def hmac_2(module, path, method="GET", query="", body=b"", at=None, nonce=None):
    """A signature of version 2, as docs/gufo.md writes it down."""
    at = at or int(time.time())
    nonce = nonce or urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
    digest = hashlib.sha256(query.encode() + b"\0" + body).hexdigest()
    text = f"v2\n{at}\n{nonce}\n{module}\n{path}\n{method}\n{digest}".encode()
    return f"v2:{at}:{nonce}:{hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()}"


@row("7.2/v2 in X-Sign")
def v2_in(world):
    hmac_rest(world)
    time.sleep(1.1)  # Signatures from before the start of the process are refused.
    good = hmac_2("hb", "p/7", query="a=1")
    same(shown(world, good, "/p/7?a=1"), 200)
    for sign, path in ((hmac_2("hb", "p/7"), "/p/8"), (hmac_2("hb", "p"), "/p?a=1"),
                       (hmac_2("hb", "p", "POST"), "/p"), (hmac_2("ha", "p"), "/p")):
        same(shown(world, sign, path), (401, "00001"), path)


@row("7.2/v2 nonce counts once")
def v2_once(world):
    hmac_rest(world)
    # One that is ahead waits for its second, and what is of the second of the start is refused.
    sign = hmac_2("hb", "p", at=int(time.time()) + 1)
    same(shown(world, sign), 200)
    same(shown(world, sign), (401, "00001"), "the second time")


@row("7.2/v2 towards services")
def v2_out(world):
    on = hmac_gateway(world)
    _, told = world.tell("h2", "GET", "/p/7?b=2&a=1", on=on)
    version, at, nonce, mac = told.sign.split(":")
    digest = hashlib.sha256()
    for name in sorted(told.texts):
        for part in (name.encode(), told.texts[name].encode()):
            digest.update(len(part).to_bytes(4, "big") + part)
    text = f"v2\n{at}\n{nonce}\nh2\np/7\nGET\n{digest.hexdigest()}".encode()
    want = hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest()
    same((version, mac), ("v2", want))


@row("7.2/internal modules")
def hmac_internal(world):
    on = hmac_gateway(world)
    same(world.ask("GET", "/api/v3/hi/p", on=on).code, (401, "0000234"))
    same(shown(world, hmac_1("hi", int(time.time())), module="hi", on=on), 200)


def certificates(world):
    folder = world.folder / "certs"
    if not folder.exists():
        done, _ = world.otus("cert", "init", str(folder))
        same(done.returncode, 0, done.stderr)
    return folder


def mtls_gateway(world):
    if "mtls" not in world.running:
        folder = certificates(world)
        read = lambda name: (folder / name).read_bytes()
        credentials = grpc.ssl_server_credentials(
            [(read("server-key.pem"), read("server.pem"))], read("ca.pem"), True)
        world.stubs["sealed"] = siblings.Echo("b", "sealed", mode="mtls", credentials=credentials)
        tables = {}
        for name in list(world.stubs):
            # In mode mtls each module needs TLS.
            if name != "sealed":
                tables.update({f"microservices.{name}.{key}": None
                               for key in ("host", "port", "dialect", "timeout", "type",
                                           "connect_timeout")})
        tables.update({f"microservices.down.{key}": None
                       for key in ("host", "port", "dialect", "timeout", "connect_timeout")})
        tls = {"on": True, "ca": f"{folder}/ca.pem", "name": "localhost",
               "cert": f"{folder}/client.pem", "key": f"{folder}/client-key.pem"}
        tables.update(world.module("sealed", world.stubs["sealed"].port, "b"))
        tables.update({f"microservices.sealed.tls.{key}": value for key, value in tls.items()})
        front = {"tls.cert": f"{folder}/server.pem", "tls.key": f"{folder}/server-key.pem",
                 "tls.client_ca": f"{folder}/ca.pem", "tls.client_auth": "optional",
                 "security.rest_mode": "mtls", "server.session": False,
                 "server.grpc_port": None}
        world.gateway("mtls", security__mode="mtls", **tables, **front)
    return world.running["mtls"]


def over_tls(world, with_certificate):
    """The status of a request over TLS, with the client's certificate or without."""
    gate, folder = mtls_gateway(world), certificates(world)
    words = ["curl", "-sS", "--max-time", "6", "--cacert", f"{folder}/ca.pem", "-o", "-", "-w",
             "\n%{http_code}", f"https://localhost:{gate.port}/api/v3/sealed/p"]
    if with_certificate:
        words += ["--cert", f"{folder}/client.pem", "--key", f"{folder}/client-key.pem"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    body, _, status = done.stdout.rpartition("\n")
    same(done.returncode, 0, done.stderr)
    return int(status), body


@row("7.3/no Sign, the certificate proves")
def mtls(world):
    status, body = over_tls(world, True)
    same(status, 200, body)
    same(world.stubs["sealed"].last().sign, "")
    common = [value for key, value in world.stubs["sealed"].context.auth_context().items()
              if key == "x509_common_name"]
    same(common, [[b"gufo-client"]])


@row("7.3/REST demands a certificate")
def mtls_rest(world):
    status, body = over_tls(world, False)
    same(status, 401, body)
    check('"00001"' in body, body)


ALIASES = [("ca_path", "cert_path", "key_path"), ("ca_cert", "cert", "key")]


@row("7.3/key aliases", waits="configuration keys")
def aliases(world):
    mtls_gateway(world)
    folder = certificates(world)
    for names in ALIASES:
        files = dict(zip(names, ("ca.pem", "client.pem", "client-key.pem")))
        flat = {"server.ip": "127.0.0.1", "server.port": 0, "server.admin": "127.0.0.1:0",
                "security.mode": "mtls", "server.sign": siblings.SIGN, "server.session": False,
                "server.masterservice": False}
        flat.update({f"security.{name}": f"{folder}/{file}" for name, file in files.items()})
        flat.update(world.module("sealed", world.stubs["sealed"].port, "b"))
        flat["microservices.sealed.tls.on"] = True
        from world import toml
        done, _ = world.otus("check", text=toml(flat))
        same(done.returncode, 0, done.stdout + done.stderr)
        unused = [line for line in (done.stdout + done.stderr).splitlines() if "OT0301" in line]
        check(not any("security." in line for line in unused), unused)


@row("7.4/mode governs services only")
def outside(world):
    for on in ("main", hmac_gateway(world)):
        module = "echo" if on == "main" else "hb"
        same(world.ask("GET", f"/api/v3/{module}/p", on=on).status, 200, on)


@row("7.4/rest_mode")
def rest_modes(world):
    world.gateway("rest_sign", **{"security.rest_mode": "sign"})
    for fields, status in (((), 401), (("X-Sign: no",), 401), (SIGNED, 200)):
        same(world.ask("GET", "/api/v3/echo/p", fields=fields, on="rest_sign").status, status)
    reply = world.ask("GET", "/api/v3/hb/p", on=hmac_rest(world))
    same(reply.code, (401, "00001"))


def openssl(*words):
    return subprocess.run(["openssl", *words], capture_output=True, text=True, timeout=10).stdout


@row("7.5/files of cert init")
def cert_files(world):
    folder = certificates(world)
    for name, common, organisation, use, years in (
            ("ca", "Gufo Root CA", "Gufo CA", None, 10),
            ("server", "gufo-server", "Gufo Server", "TLS Web Server Authentication", 2),
            ("client", "gufo-client", "Gufo Client", "TLS Web Client Authentication", 2)):
        text = openssl("x509", "-in", str(folder / f"{name}.pem"), "-noout", "-text",
                       "-nameopt", "oneline")
        for part in (f"CN = {common}", f"O = {organisation}", "NIST CURVE: P-256", use or ""):
            check(part in text, f"{name}: no {part} in {text[:900]}")
        seconds = [ssl.cert_time_to_seconds(line.split(": ", 1)[1].strip())
                   for line in text.splitlines() if line.strip().startswith("Not ")]
        check(abs((seconds[1] - seconds[0]) / 86400 - years * 365.25) < 5, f"{name}: {seconds}")


@row("7.5/keys")
def cert_keys(world):
    folder = certificates(world)
    for name in ("ca", "server", "client"):
        path = folder / f"{name}-key.pem"
        same(path.stat().st_mode & 0o777, 0o600, name)
        check("PRIVATE KEY" in path.read_text(), name)


@row("7.5/keys", "as EC PRIVATE KEY")
def cert_ec(world):
    for name in ("ca", "server", "client"):
        path = certificates(world) / f"{name}-key.pem"
        text = path.read_text()
        check(text.startswith("-----BEGIN EC PRIVATE KEY-----\n"), f"{name}: {text[:32]}")
        read = openssl("ec", "-in", str(path), "-check", "-noout", "-text")
        check("NIST CURVE: P-256" in read, f"{name}: {read!r}")
        same(openssl("ec", "-in", str(path), "-pubout"),
             openssl("x509", "-in", str(path.parent / f"{name}.pem"), "-pubkey", "-noout"), name)


@row("7.5/names and serials")
def cert_names(world):
    folder = certificates(world)
    text = openssl("x509", "-in", str(folder / "server.pem"), "-noout", "-text")
    check("DNS:localhost" in text and "IP Address:127.0.0.1" in text, text[:1500])
    serials = {openssl("x509", "-in", str(folder / f"{name}.pem"), "-noout", "-serial")
               for name in ("ca", "server", "client")}
    check(len(serials) == 3 and all(len(text) > 15 for text in serials), serials)
    named = world.folder / "named"
    world.otus("cert", "init", str(named), "--name", "gw.example.org")
    text = openssl("x509", "-in", str(named / "server.pem"), "-noout", "-text")
    check("DNS:gw.example.org" in text, "a name from a flag")
