#!/usr/bin/env python3
"""Clients of the world over TLS: curl, Node's http2, grpcio and, where it is installed, Chromium.

    clients.py [--io auto|io_uring|epoll] [--otus PROGRAM] [NAME ...]

The certificates are those of `otus cert init`. A client that is not installed is skipped, and said.
A NAME picks the tests that hold it. The last line is `N passed, N failed, N skipped`.
"""
import argparse
import hashlib
import json
import os
import queue
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

import gateway
import origin
from run import Service, check

HERE = Path(__file__).resolve().parent
BROWSERS = ["chromium", "chromium-browser", "google-chrome", "headless_shell"]
ROUTES = """
[tls]
port = {secure}
cert = "{certs}/server.pem"
key = "{certs}/server-key.pem"
client_ca = "{certs}/ca.pem"
client_auth = "optional"

[upstreams.web]
endpoints = ["127.0.0.1:{web}"]

[upstreams.echo]
endpoints = ["127.0.0.1:{echo}"]
protocol = "grpc"

[[route]]
id = "echo"
match = {{ prefix = "/test.Echo" }}
upstream = "echo"

[[route]]
id = "web"
upstream = "web"
"""


class Skipped(Exception):
    """A client is not here."""


class World:
    """Otus with TLS, what lies behind it, and what clients have to know."""

    def __init__(self, options, folder):
        self.otus, self.folder = options.otus, Path(folder)
        self.certs = self.make_certs("certs")
        self.ca = self.folder / "ca.pem"
        shutil.copy(self.certs / "ca.pem", self.ca)
        self.store = Service("store")
        self.store.wait("ready", 60)
        web, self.reports = origin.serve_http()
        echo, self.echo = origin.serve_grpc()
        port, admin, self.secure = (gateway.free_port() for _ in range(3))
        more = ROUTES.format(secure=self.secure, certs=self.certs, web=web, echo=echo)
        text = gateway.settings(port, admin, {"store": (self.store.port, "")}, io=options.io,
                                modules=more)
        self.gateway = gateway.Gateway(options.otus, text, port, admin)
        self.random = random.Random(11)

    def make_certs(self, name):
        folder = self.folder / name
        subprocess.run([self.otus, "cert", "init", folder], check=True, stdout=subprocess.DEVNULL)
        return folder

    def url(self, path):
        return f"https://localhost:{self.secure}{path}"

    def file(self, size):
        """A file with so many bytes, and their sum."""
        data = self.random.randbytes(size)
        path = self.folder / f"data-{size}"
        path.write_bytes(data)
        return path, hashlib.sha256(data).hexdigest()

    def close(self):
        self.store.stop()
        self.echo.stop(0)


def need(*names):
    """The first of these programs that is installed."""
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        raise Skipped(f"{names[0]} is not installed")
    return found


# curl.


def curl(world, *words, ca=None):
    """The exit status, and what was said."""
    command = [need("curl"), "--silent", "--show-error", "--max-time", "20", "--noproxy", "*",
               "--cacert", ca or world.ca, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def curl_versions():
    said = subprocess.run([need("curl"), "--version"], capture_output=True, text=True, check=True)
    return ["--http1.1", "--http2"] if "HTTP2" in said.stdout else ["--http1.1"]


def curl_gets_over_both_protocols_and_versions(world):
    for protocol in curl_versions():
        for version in (["--tls-max", "1.2"], ["--tlsv1.3"]):
            said = curl(world, protocol, *version, "--write-out", " %{http_version}",
                        world.url("/say/hello"))
            want = "2" if protocol == "--http2" else "1.1"
            check(said == (0, f"GET /say/hello https {want}"), f"{protocol} {version}: {said}")


def curl_uploads(world):
    for protocol in curl_versions():
        for size in (0, 100_000, 12 << 20):
            path, digest = world.file(size)
            for form in (["--upload-file", path], ["--request", "PUT", "--form", f"file=@{path}"],
                         ["--upload-file", path, "--header", "Transfer-Encoding: chunked"]):
                # HTTP/2 has no chunks, and curl forgets the last one of a file that is empty.
                if "--header" in form and (protocol == "--http2" or size == 0):
                    continue
                status, said = curl(world, protocol, *form, world.url("/api/v3/store/upload"))
                check(status == 0, f"{protocol} {form}: {said}")
                check('"files"' in said, f"{protocol} {form}: {said}")
                [file] = json.loads(said)["data"]["files"]
                check((file["bytes"], file["sha256"]) == (size, digest), f"{form}: {said}")


def curl_shows_its_certificate_or_none(world):
    for protocol in curl_versions():
        _, said = curl(world, protocol, world.url("/who"))
        check(said == "nobody", said)
        own = ["--cert", world.certs / "client.pem", "--key", world.certs / "client-key.pem"]
        _, said = curl(world, protocol, *own, world.url("/who"))
        pem = (world.certs / "client.pem").read_text()
        der = "".join(line for line in pem.splitlines() if not line.startswith("-"))
        check(said == f":{der}:", said)


def curl_refuses_another_authority(world):
    other = world.make_certs("other")
    status, said = curl(world, world.url("/say/x"), ca=other / "ca.pem")
    check(status == 60, (status, said))


# Node.


def node_speaks_http2(world):
    command = [need("node"), HERE / "clients.mjs", str(world.secure), world.ca]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    lines = done.stdout.splitlines()
    check(len(lines) == 4 and all(line.startswith("ok ") for line in lines),
          (lines, done.stderr[-500:]))


# grpcio.


class Calls:
    """The service of raw messages, through the gateway."""

    def __init__(self, world):
        roots = grpc.ssl_channel_credentials(world.ca.read_bytes())
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0)]
        self.channel = grpc.secure_channel(f"localhost:{world.secure}", roots, options)
        self.unary = self.channel.unary_unary("/test.Echo/Unary")
        self.gather = self.channel.stream_unary("/test.Echo/Gather")
        self.spread = self.channel.unary_stream("/test.Echo/Spread")
        self.chat = self.channel.stream_stream("/test.Echo/Chat")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


def grpcio_calls_in_all_four_kinds(world):
    with Calls(world) as calls:
        back, call = calls.unary.with_call(b"ab", metadata=[("x-tag", "seven")], timeout=10)
        check(back == b"abab", back)
        check(dict(call.trailing_metadata()).get("x-tag") == "seven", call.trailing_metadata())
        large = world.random.randbytes(3 << 20)
        check(calls.unary(large, timeout=20) == large + large, "a large message is another")
        texts = [b"%d" % at * at for at in range(300)]
        check(calls.gather(iter(texts), timeout=10) == b"".join(texts), "gather")
        many = list(calls.spread(b"2000", timeout=10))
        check(len(many) == 2000 and many[-1] == b"text 1999", many[-1:])
        said = queue.Queue()
        answers = calls.chat(iter(said.get, None), timeout=10)
        for text in (b"one", b"zwei", b""):
            said.put(text)
            check(next(answers) == text.upper(), text)
        said.put(None)
        check(list(answers) == [] and answers.code() == grpc.StatusCode.OK, answers.code())


def grpcio_is_told_of_failures(world):
    with Calls(world) as calls:
        for text, timeout, code in ((b"fail", 10, grpc.StatusCode.FAILED_PRECONDITION),
                                    (b"sleep", 0.3, grpc.StatusCode.DEADLINE_EXCEEDED)):
            try:
                calls.unary(text, timeout=timeout)
                check(False, f"{text} went well")
            except grpc.RpcError as error:
                check(error.code() == code, error)
        nothing = calls.channel.unary_unary("/test.Echo/Nothing")
        try:
            nothing(b"", timeout=10)
            check(False, "an unknown call went well")
        except grpc.RpcError as error:
            check(error.code() == grpc.StatusCode.UNIMPLEMENTED, error)
        check(calls.unary(b"x", timeout=10) == b"xx", "afterwards")


def grpcio_calls_beside_each_other(world):
    with Calls(world) as calls:
        texts = [world.random.randbytes(at * 997) for at in range(100)]
        begun = [calls.unary.future(text, timeout=20) for text in texts]
        for text, call in zip(texts, begun):
            check(call.result() == text + text, len(text))


# Chromium.


def browser():
    return os.environ.get("CHROMIUM") or need(*BROWSERS)


def chromium_fetches_uploads_listens_and_talks(world):
    while not world.reports.empty():
        world.reports.get()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--disable-dev-shm-usage", "--no-proxy-server", "--ignore-certificate-errors",
             f"--user-data-dir={profile}", "--remote-debugging-port=0", world.url("/page")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            results = world.reports.get(timeout=90)
        except queue.Empty as error:
            raise AssertionError("the page reported nothing for 90 s") from error
        finally:
            process.terminate()
            process.wait(10)
    bad = {name: result for name, result in results.items() if result != "ok"}
    check(len(results) == 6 and not bad, bad or results)


# All of them.


def a_sighup_shows_the_new_certificate_and_leaves_connections_alone(world):
    context = ssl.create_default_context(cafile=world.ca)
    with (socket.create_connection(("127.0.0.1", world.secure), 10) as plain,
          context.wrap_socket(plain, server_hostname="localhost") as old, Calls(world) as calls):
        check(calls.unary(b"x", timeout=10) == b"xx", "before")
        fresh = world.make_certs("fresh")
        for name in ("server-key.pem", "server.pem"):
            shutil.copy(fresh / name, world.certs / name)
        world.gateway.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while (said := curl(world, world.url("/say/x"), ca=fresh / "ca.pem"))[0] != 0:
            check(time.monotonic() < end, said)
        check(curl(world, world.url("/say/x"))[0] == 60, "the old authority is still believed")
        old.sendall(b"GET /say/old HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with old.makefile("rb") as stream:
            check(stream.read().endswith(b"GET /say/old https"), "the open connection")
        check(calls.unary(b"y", timeout=10) == b"yy", "the open channel")


def nothing_is_left_behind(world):
    check(world.gateway.is_alive(), world.gateway.said())
    for line in world.gateway.metrics().splitlines():
        if line.startswith(("otus_panics_total", "otus_bugs_total")):
            check(float(line.rsplit(" ", 1)[1]) == 0, line)


TESTS = [
    curl_gets_over_both_protocols_and_versions,
    curl_uploads,
    curl_shows_its_certificate_or_none,
    curl_refuses_another_authority,
    node_speaks_http2,
    grpcio_calls_in_all_four_kinds,
    grpcio_is_told_of_failures,
    grpcio_calls_beside_each_other,
    chromium_fetches_uploads_listens_and_talks,
    # From here on it is another authority.
    a_sighup_shows_the_new_certificate_and_leaves_connections_alone,
    nothing_is_left_behind,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    parser.add_argument("--otus", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.otus = options.otus.resolve() if options.otus else gateway.binary()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory(prefix="otus-clients-") as folder:
        world = World(options, folder)
        try:
            with world.gateway:
                for test in TESTS:
                    if options.names and not any(name in test.__name__ for name in options.names):
                        continue
                    began, said = time.monotonic(), "ok  "
                    try:
                        test(world)
                        counts["passed"] += 1
                        why = f"({time.monotonic() - began:.1f} s)"
                    except Skipped as reason:
                        counts["skipped"] += 1
                        said, why = "skip", f": {reason}"
                    except Exception as fault:  # One failure must not hide the others.
                        counts["failed"] += 1
                        said, why = "FAIL", f": {fault!r:.900}"
                    print(f"{said} {test.__name__} {why}", flush=True)
                if counts["failed"]:
                    print(world.gateway.said())
        finally:
            world.close()
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
