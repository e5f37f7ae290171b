#!/usr/bin/env python3
"""More than can be done: what is served, how fast, and whether health is still told.

    overload.py [service|gateway ...] [--secs S] [--connections N] [--times N,N,...]
                [--share CORES] [--io DRIVER]

service: Otus before a service that does eight requests at once, of 20 ms each, on a route with
`concurrency` and a queue. gateway: Otus with one shard is the bottleneck itself, on a core of its
own of which it gets a fifth (--share; a cgroup, as root), so that load and back end on another core
are faster; before another Otus that answers at once, on a route with `shed_delay`. The same load
goes to a route without either.

The capacity is what N connections get that ask one request after the other; of the service, as
many as it can serve at once, since more only wait in it. (A shard needs more CPU for a request the
more connections there are: their sockets are not in the cache. What fewer would get is told, too.)
Then perf/openloop.rs asks so many times as much, on N connections by the clock: a connection that
waits or rests asks nothing else, so that less than that may be offered, and the table says how much
was. Nobody heeds Retry-After. Goodput is what was answered with 200, beside the capacity; p50 and
p99 are of those, from the request to the end of its answer; shed is what was answered with 503.
Health is the slowest GET /healthz on the same listener, by new connections, and on the admin's.

Exits with 1 if at three times the capacity or more goodput is below 0.90, the p99 of what was
admitted is above its bound, or health was not told within half a second; with 77 without rustc.
"""
import argparse
import asyncio
import http.client
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

GOODPUT_MIN, HEALTH_MAX_MS, JUDGED_FROM = 0.90, 500, 3
# Of the service: requests at once, and how long one takes.
PLACES, WORK = 8, 0.02
QUEUE_MS, SHED_MS = 100, 20
# What a refused connection rests at most (policy/shed.rs): three times what it takes to serve each
# connection once, and a half more.
RESTS = 4.5
BACK = '\n[[route]]\nid = "back"\nmatch = { prefix = "/" }\nreply = 200\n'
FRONT = """
[upstreams.back]
endpoints = ["127.0.0.1:{port}"]
pool = {{ connections = 512 }}

[[route]]
id = "guarded"
match = {{ prefix = "/guarded" }}
upstream = "back"
{guard}

[[route]]
id = "bare"
match = {{ prefix = "/bare" }}
upstream = "back"
"""
GUARDS = {
    "service": f'concurrency = {{ max_in_flight = {PLACES}, queue = 100, '
               f'queue_timeout = "{QUEUE_MS}ms" }}',
    "gateway": f'shed_delay = "{SHED_MS}ms"',
}


class Service:
    """A service that can do so much at once; what is beyond that waits in it, without end."""

    def __init__(self):
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        self.ready.wait()

    def run(self):
        async def start():
            self.places = asyncio.Semaphore(PLACES)
            server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=4096)
            self.port = server.sockets[0].getsockname()[1]
            self.ready.set()

        self.loop.run_until_complete(start())
        self.loop.run_forever()

    async def serve(self, reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                async with self.places:
                    await asyncio.sleep(WORK)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


class Health(threading.Thread):
    """Asks for /healthz again and again; how long that takes, in milliseconds."""

    def __init__(self, ports):
        super().__init__(daemon=True)
        self.ports, self.over, self.times = ports, threading.Event(), []

    def run(self):
        while not self.over.wait(0.05):
            for port in self.ports:
                began = time.monotonic()
                try:
                    ask = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    ask.request("GET", "/healthz")
                    well = ask.getresponse().status == 200
                    ask.close()
                except OSError:
                    well = False
                took = (time.monotonic() - began) * 1000
                self.times.append(took if well else float("inf"))

    def worst(self):
        self.over.set()
        self.join()
        return max(self.times, default=float("inf"))


class Throttle:
    """A group of processes that gets a part of a core, in slices of five milliseconds."""

    PERIOD = 5000

    def __init__(self, pid, share):
        self.folder, quota = None, int(self.PERIOD * share)
        name = f"otus-overload-{os.getpid()}"
        try:
            if Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists():
                folder = Path("/sys/fs/cgroup/cpu") / name
                folder.mkdir()
                (folder / "cpu.cfs_period_us").write_text(str(self.PERIOD))
                (folder / "cpu.cfs_quota_us").write_text(str(quota))
            else:
                folder = Path("/sys/fs/cgroup") / name
                folder.mkdir()
                (folder / "cpu.max").write_text(f"{quota} {self.PERIOD}")
            self.folder = folder
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError as fault:
            print(f"gateway: gets its whole core, no group can be made: {fault}")

    def remove(self):
        """When its processes have ended."""
        if self.folder is not None:
            self.folder.rmdir()


def generator(folder):
    """The compiled perf/openloop.rs."""
    program = Path(folder) / "openloop"
    subprocess.run(["rustc", "-O", "--edition", "2021", "-o", program, ROOT / "perf/openloop.rs"],
                   check=True)
    return program


def load(program, port, path, connections, secs, rate=0, core=None):
    """Rows of (start in seconds, status, milliseconds) of the time after the first second."""
    pin = ["taskset", "-c", str(core)] if core is not None else []
    done = subprocess.run(
        [*pin, program, f"127.0.0.1:{port}", path, str(connections), str(rate), str(secs + 1)],
        stdout=subprocess.PIPE, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    rows = [(int(start) / 1e6, int(status), int(took) / 1000) for start, status, took in rows]
    return [row for row in rows if row[0] >= 1]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def bound(case, connections, capacity):
    """Of the p99 of what is admitted, in milliseconds: what may be waited for, and as much again
    for the machine."""
    if case == "service":
        return 2 * (QUEUE_MS + WORK * 1000)
    return 2 * (2 * SHED_MS + min(1000, RESTS * connections / capacity * 1000))


def measure(case, options, otus, cores):
    span = options.secs
    for busy in [PLACES] if case == "service" else [64, options.connections]:
        rows = load(options.program, otus.port, "/bare", busy, span, core=cores[1])
        capacity = len([row for row in rows if row[1] == 200]) / span
        print(f"{case}: capacity {capacity:.0f}/s with {busy} connections, "
              f"p99 {percentile([row[2] for row in rows], 0.99):.1f} ms", flush=True)
    print(f"  {'route':8}{'asked':>7}{'offered':>9}{'goodput':>9}{'p50 ms':>9}{'p99 ms':>9}"
          f"{'shed/s':>9}{'health ms':>11}", flush=True)
    met = True
    for times in options.times:
        routes = ["guarded", "bare"] if times >= JUDGED_FROM else ["guarded"]
        for route in routes:
            health = Health([otus.port, otus.admin])
            health.start()
            rows = load(options.program, otus.port, f"/{route}", options.connections, span,
                        times * capacity, cores[1])
            worst = health.worst()
            good = [row[2] for row in rows if row[1] == 200]
            shed = len([row for row in rows if row[1] == 503]) / span
            other = len(rows) - len(good) - round(shed * span)
            goodput, p99 = len(good) / span / capacity, percentile(good, 0.99)
            print(f"  {route:8}{times:6g}x{len(rows) / span / capacity:8.2f}x{goodput:9.2f}"
                  f"{percentile(good, 0.5):9.1f}{p99:9.1f}{shed:9.0f}{worst:11.1f}"
                  f"{f'  {other} neither' if other else ''}", flush=True)
            if route == "guarded" and times >= JUDGED_FROM:
                allowed = bound(case, options.connections, capacity)
                missed = [told for told, is_missed in (
                    (f"goodput {goodput:.2f} < {GOODPUT_MIN}", goodput < GOODPUT_MIN),
                    (f"p99 {p99:.0f} > {allowed:.0f} ms", not p99 <= allowed),
                    (f"health {worst:.0f} > {HEALTH_MAX_MS} ms", worst > HEALTH_MAX_MS),
                    (f"{other} answers of other kinds", other > 0)) if is_missed]
                for told in missed:
                    print(f"  MISSED: {told}")
                met &= not missed
            time.sleep(1)  # What was refused rests, and queues run empty.
    return met


def run(case, options, program):
    cores = sorted(os.sched_getaffinity(0))
    cores = (cores[0], cores[-1]) if len(cores) > 1 else (None, None)
    ports = [gateway.free_port() for _ in range(4)]
    guard = GUARDS[case]
    if case == "service":
        text = FRONT.format(port=Service().port, guard=guard)
        front = gateway.settings(ports[0], ports[1], {}, io=options.io, workers=1, modules=text)
        with gateway.Gateway(program, front, ports[0], ports[1], core=cores[0]) as otus:
            return measure(case, options, otus, (None, None))
    back = gateway.settings(ports[2], ports[3], {}, workers=1, modules=BACK)
    front = gateway.settings(ports[0], ports[1], {}, io=options.io, workers=1,
                             modules=FRONT.format(port=ports[2], guard=guard))
    with gateway.Gateway(program, back, ports[2], ports[3], core=cores[1]), \
            gateway.Gateway(program, front, ports[0], ports[1], core=cores[0]) as otus:
        throttle = Throttle(otus.process.pid, options.share)
        try:
            return measure(case, options, otus, cores)
        finally:
            otus.stop()
            throttle.remove()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="service, gateway; default: both")
    parser.add_argument("--secs", type=int, default=10)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--times", default="1,2,3", help="of the capacity")
    parser.add_argument("--share", type=float, default=0.2, help="of a core, for the gateway")
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    options = parser.parse_args()
    options.times = [float(times) for times in options.times.split(",")]
    if unknown := set(options.cases) - set(GUARDS):
        parser.error(f"no such case: {', '.join(unknown)}")
    if not shutil.which("rustc"):
        print("rustc is not here", file=sys.stderr)
        return 77
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    program = gateway.binary()
    with tempfile.TemporaryDirectory(prefix="otus-overload-") as folder:
        options.program = generator(folder)
        met = [run(case, options, program) for case in options.cases or GUARDS]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
