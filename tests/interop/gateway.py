"""Starts Otus for a test: a configuration in a folder of its own, free ports, stopped by its id.

Standard library only, so that every script of the tree can use it.
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


GIVEN, GIVING = set(), threading.Lock()


def free_port():
    """A port that nobody listens on, and that was not given out before.

    Who was given one may not listen on it yet; gRPC services share a port that two are given, and
    each then answers some of the other's calls."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with GIVING:
            if port not in GIVEN:
                GIVEN.add(port)
                return port


def answers(port):
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def binary():
    """The program under test: $OTUS, or the release build of this tree, built when missing."""
    if named := os.environ.get("OTUS"):
        return Path(named).resolve()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bin", "otus"],
                   cwd=ROOT, check=True)
    return target / "release/otus"


def settings(port, admin, services, io="auto", workers=2, extra="", modules="", legacy=True):
    """A settings.toml. `services` maps module names to (port, lines of that module's table).

    `legacy` is the default of the product: faults have the statuses that Gufo always gave them."""
    tables = "".join(
        f'\n[microservices.{name}]\nhost = "127.0.0.1"\nport = {at}\n{lines}\n'
        for name, (at, lines) in services.items())
    return f"""[server]
ip = "127.0.0.1"
port = {port}
admin = "127.0.0.1:{admin}"
workers = {workers}
io = "{io}"
session = false
masterservice = false
sign = "interop-sign"
access_log = "off"
shutdown_grace = "5s"
upload_grace = "5s"
{extra}
[security]
mode = "sign"

[gufo]
strict_legacy_status = {str(legacy).lower()}
{tables}{modules}"""


class Gateway:
    """A running Otus. Use it in a `with`; its log stays readable until the end."""

    def __init__(self, program, text, port, admin, core=None):
        self.port, self.admin = port, admin
        self.folder = tempfile.TemporaryDirectory(prefix="otus-run-")
        here = Path(self.folder.name)
        path = here / "settings.toml"
        path.write_text(text)
        path.chmod(0o600)
        self.log = here / "log"
        pin = ["taskset", "-c", str(core)] if core is not None else []
        # No setting of whoever runs the test may reach the program under test.
        env = {key: value for key, value in os.environ.items() if not key.startswith("GUFO_")}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*pin, str(program), "start"], cwd=here, env=env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)

    def __enter__(self):
        end = time.monotonic() + 15
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"otus did not start:\n{self.said()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        self.stop()
        self.folder.cleanup()

    def is_ready(self):
        if not answers(self.port):
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/readyz", timeout=1) as got:
                return got.status == 200
        except OSError:
            return False

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as got:
            return got.read().decode()

    def status_kib(self, key):
        """A line of the kernel's status file of the process, such as VmRSS or VmHWM."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1])
        raise RuntimeError(f"no {key}")

    def is_alive(self):
        return self.process.poll() is None

    def said(self):
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self):
        """SIGTERM, then a bounded wait; returns the exit status."""
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                print("otus did not end within 15 s of SIGTERM", file=sys.stderr)
                self.process.kill()
                self.process.wait(5)
        return self.process.returncode
