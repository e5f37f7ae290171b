#!/usr/bin/env python3
"""What policies of a route cost: CPU of Otus for each request, beside a route without any.

    policies.py [--rounds N] [--secs S] [--connections N] [--io DRIVER]

Starts Otus (release build, or $OTUS) with one shard before another Otus that answers by itself, and
asks with wrk for four routes in turn, N rounds of S seconds each: one without policies, one with a
rate limit by address, one that asks for a token (RS256, verified once and then known), and one with
both. The table gives the median CPU of each, and the median of its differences to the plain route of
the same round. Exits with 1 if a token costs more than 0.6 us or a limit more than 0.3 us, with 77
where wrk or openssl is missing.
"""
import argparse
import base64
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

TARGETS = {"limit": 0.3, "token": 0.6}
BACK = '\n[[route]]\nid = "back"\nmatch = { prefix = "/" }\nreply = 200\n'
LIMIT = 'rate_limit = { rate = "1000000/s", burst = 1000000, by = "address" }'
TOKEN = 'auth = ["main"]'
KINDS = {"plain": "", "limit": LIMIT, "token": TOKEN, "both": f"{TOKEN}\n{LIMIT}"}


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


def cpu_ns(pid):
    """CPU time of all threads so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def ask(kind, port, token, pid, options):
    """CPU of one request in microseconds."""
    before = cpu_ns(pid)
    out = subprocess.run(
        ["wrk", "-t1", f"-c{options.connections}", f"-d{options.secs}s",
         "-H", f"Authorization: Bearer {token}", f"http://127.0.0.1:{port}/{kind}/x"],
        capture_output=True, text=True, check=True).stdout
    used = cpu_ns(pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{kind} failed:\n{out}")
    return used / 1000 / int(re.search(r"(\d+) requests in", out)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--secs", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    options = parser.parse_args()
    if missing := [tool for tool in ("wrk", "openssl") if not shutil.which(tool)]:
        print(f"not measured: {', '.join(missing)} is missing", file=sys.stderr)
        return 77
    program = gateway.binary()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="otus-policies-") as folder:
        keys, token = issuer(program, Path(folder))
        ports = [gateway.free_port() for _ in range(4)]
        back = gateway.settings(ports[0], ports[1], {}, workers=1, modules=BACK)
        own = gateway.settings(ports[2], ports[3], {}, io=options.io, workers=1,
                               modules=front(ports[0], keys))
        with gateway.Gateway(program, back, ports[0], ports[1], core=cores[0]), \
                gateway.Gateway(program, own, ports[2], ports[3], core=cores[-1]) as otus:
            os.sched_setaffinity(0, {cores[0]})  # What is measured has the other core alone.
            costs = {kind: [] for kind in KINDS}
            for kind in KINDS:
                ask(kind, ports[2], token, otus.process.pid, options)
            for _ in range(options.rounds):
                for kind in KINDS:
                    costs[kind].append(ask(kind, ports[2], token, otus.process.pid, options))
    print(f"{'route':8}{'us/request':>12}{'more than plain':>18}{'target':>9}")
    failed = False
    for kind, own in costs.items():
        more = statistics.median(a - b for a, b in zip(own, costs["plain"]))
        target = TARGETS.get(kind)
        failed |= target is not None and more > target
        print(f"{kind:8}{statistics.median(own):12.2f}{more:18.2f}{target or '':>9}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
