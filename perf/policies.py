#!/usr/bin/env python3
"""What policies and Gufo's trust cost: CPU of Otus for each request, beside one without any.

    policies.py [http|gufo] [--rounds N] [--connections N] [--io DRIVER]
                [--instructions [--keep FOLDER]]

http: routes of one Otus, with one shard, before another Otus that answers by itself: one without
policies, one with a rate limit by address, one that asks for a token (RS256, verified once and then
known), and one with both. gufo: calls of a service, from one Otus that signs them with the word of
all, one that makes a signature (version 1) of each, and one that asks a session service (once).

wrk asks for all of them in turns of a fifth of a second (perf/turns.py), N rounds. The table gives
the median CPU of each, and of its differences to the first in the same round. Exits with 1 if one
costs more than its target, with 77 where wrk, openssl or valgrind is missing.

--instructions counts instructions instead, by callgrind and over epoll, with one connection: the same
on each machine to one in a thousand, and without the kernel. Hashes count as what they are without
instructions of their own, which callgrind does not know.
"""
import argparse
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import turns

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

TARGETS = {"limit": 0.3, "token": 0.6, "hmac": 1.0, "session": 0.5}
BACK = '\n[[route]]\nid = "back"\nmatch = { prefix = "/" }\nreply = 200\n'
LIMIT = 'rate_limit = { rate = "1000000/s", burst = 1000000, by = "address" }'
TOKEN = 'auth = ["main"]'
KINDS = {"plain": "", "limit": LIMIT, "token": TOKEN, "both": f"{TOKEN}\n{LIMIT}"}
HMAC = 'mode = "hmac"\nhmac_secret = "a secret of the bench, long enough"'
FEW, MANY = 500, 2500  # Requests of the two counts of instructions.


def front(port, keys):
    text = (f'\n[upstreams.back]\nendpoints = ["127.0.0.1:{port}"]\n'
            f'\n[auth.main]\nkind = "jwt"\nfile = "{keys}"\n')
    for kind, policy in KINDS.items():
        text += (f'\n[[route]]\nid = "{kind}"\nmatch = {{ prefix = "/{kind}" }}\n'
                 f'upstream = "back"\n{policy}\n')
    return text


def issuer(program, folder):
    """Writes a key and its set. Returns the file of the set and a token."""
    key, keys = folder / "key.pem", folder / "keys.json"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                    "-out", key], stderr=subprocess.DEVNULL, check=True)
    said = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-modulus"],
                          capture_output=True, text=True, check=True).stdout
    modulus = bytes.fromhex(said.strip().partition("=")[2])
    n = base64.urlsafe_b64encode(modulus).rstrip(b"=").decode()
    keys.write_text(json.dumps(
        {"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB"}]}))
    token = subprocess.run(
        [program, "dev", "token", "--key", key, "--kid", "k1", "--sub", "user-of-the-bench",
         "--iss", "https://id.example", "--aud", "https://api.example"],
        capture_output=True, text=True, check=True).stdout.strip()
    return keys, token


class Scene:
    """What is asked, of which settings, on which port. Backs are running."""

    def __init__(self, program, options, stack, cores):
        self.program, self.options, self.stack, self.cores = program, options, stack, cores
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="otus-costs-")))
        self.gateways = []  # (port, admin, settings)
        self.cases = []  # (name, number of the gateway, path, header)

    def gateway(self, services, session=False, **extra):
        port, admin = gateway.free_port(), gateway.free_port()
        text = gateway.settings(port, admin, services, workers=1, io=self.io(), **extra)
        if session:
            text = text.replace("session = false", "session = true")
        self.gateways.append((port, admin, text))
        return len(self.gateways) - 1

    def io(self):
        return "epoll" if self.options.instructions else self.options.io

    def http(self):
        keys, token = issuer(self.program, self.folder)
        port, admin = gateway.free_port(), gateway.free_port()
        text = gateway.settings(port, admin, {}, workers=1, modules=BACK)
        self.stack.enter_context(
            gateway.Gateway(self.program, text, port, admin, core=self.cores[0]))
        number = self.gateway({}, modules=front(port, keys))
        for kind in KINDS:
            self.cases.append((kind, number, f"/{kind}/x", f"Authorization: Bearer {token}"))

    def gufo(self):
        echo, session = gateway.free_port(), gateway.free_port()
        self.back([self.program, "service", "demo", "--listen", f"127.0.0.1:{echo}",
                   "--directory", self.folder / "demo"], echo)
        packages = (ROOT / "tests/interop/requirements.txt").read_text().split()
        python = subprocess.run([ROOT / "scripts/venv", "interop", *packages],
                                capture_output=True, text=True, check=True).stdout.strip()
        self.back([python, ROOT / "perf/session.py", str(session)], session)
        services = {"echo": (echo, "")}
        sign = self.gateway(services)
        hmac = self.gateway(services)
        self.gateways[hmac] = (*self.gateways[hmac][:2],
                               self.gateways[hmac][2].replace('mode = "sign"', HMAC))
        both = self.gateway({**services, "session": (session, "")}, session=True)
        for name, number in (("call", sign), ("hmac", hmac), ("session", both)):
            self.cases.append((name, number, "/api/v3/echo/hello?name=x", "Authorization: Bearer t"))

    def back(self, command, port):
        """Starts what stands behind; it ends with us."""
        run = subprocess.Popen(
            ["taskset", "-c", str(self.cores[0]), *map(str, command)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stack.callback(end, run)
        wait_for(port)


def end(run):
    run.send_signal(signal.SIGTERM)
    try:
        run.wait(10)
    except subprocess.TimeoutExpired:
        run.kill()
        run.wait()


def wait_for(port):
    until = time.monotonic() + 60
    while not gateway.answers(port):
        if time.monotonic() > until:
            raise SystemExit(f"nobody listens on {port}")
        time.sleep(0.1)


def by_time(scene):
    """CPU of one request in microseconds, by case and round."""
    running = [scene.stack.enter_context(
        gateway.Gateway(scene.program, text, port, admin, core=scene.cores[-1]))
        for port, admin, text in scene.gateways]
    os.sched_setaffinity(0, {scene.cores[0]})  # What is measured has the other core alone.
    cases = [turns.Case(name, running[number].process.pid,
                        f"http://127.0.0.1:{scene.gateways[number][0]}{path}", [header])
             for name, number, path, header in scene.cases]
    return turns.compare(cases, scene.options.rounds, scene.options.connections)


def by_instructions(scene):
    """Instructions of one request, by case: the difference of two counts."""
    counts = {}
    for case in scene.cases:
        few, many = (count(scene, case, requests) for requests in (FEW, MANY))
        counts[case[0]] = (many - few) / (MANY - FEW)
    return counts


def count(scene, case, requests):
    """Instructions of a gateway from its start to its end, with so many requests between."""
    _, number, path, header = case
    port, _, text = scene.gateways[number]
    settings, out = scene.folder / "settings.toml", scene.folder / "callgrind"
    settings.write_text(text)
    settings.chmod(0o600)
    run = subprocess.Popen(
        ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", scene.program,
         "start", "--config", settings], cwd=scene.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        ask(port, path, header, requests)
    finally:
        end(run)
    if scene.options.keep:
        shutil.copy(out, Path(scene.options.keep) / f"{case[0]}.{requests}")
    return int(re.findall(r"^(?:totals|summary): (\d+)", out.read_text(), re.M)[-1])


def ask(port, path, header, requests):
    request = f"GET {path} HTTP/1.1\r\nHost: bench\r\n{header}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        for _ in range(requests):
            sock.sendall(request)
            answer = b""
            while not is_whole(answer):
                got = sock.recv(65536)
                if not got:
                    raise SystemExit(f"{path}: cut off after {answer!r}")
                answer += got
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"{path}: {answer!r}")


def is_whole(answer):
    head, end_of_head, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.I)
    return bool(end_of_head) and len(body) >= int(length[1] if length else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["http", "gufo"], help="both if left out")
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--keep", metavar="FOLDER", help="where what callgrind writes is kept")
    options = parser.parse_args()
    tools = ("valgrind" if options.instructions else "wrk", "openssl")
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        print(f"not measured: {', '.join(missing)} is missing", file=sys.stderr)
        return 77
    met, cores = True, sorted(os.sched_getaffinity(0))
    for what in [options.what] if options.what else ["http", "gufo"]:
        os.sched_setaffinity(0, cores)
        with ExitStack() as stack:
            scene = Scene(gateway.binary(), options, stack, cores)
            getattr(scene, what)()
            base = scene.cases[0][0]
            if options.instructions:
                counts = by_instructions(scene)
                print(f"{'case':10}{'instructions/request':>22}{'more than ' + base:>20}")
                for name, own in counts.items():
                    print(f"{name:10}{own:22.0f}{own - counts[base]:20.0f}")
            else:
                met &= turns.table(by_time(scene), base, TARGETS)
        print()
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
