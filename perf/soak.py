#!/usr/bin/env python3
"""Mixed load for a long time: does anything grow, does anything fail that should not?

    soak.py [--minutes N] [--out DIR] [--workers N] [--io DRIVER]

Otus ($OTUS, or the release build) stands before two HTTP back ends and a gRPC service. Clients ask,
upload, hold WebSockets, are slow, and leave (perf/soak_clients.py). Every ten seconds the settings
change and are read again; in turn, one of the HTTP back ends or the gRPC service is killed, and
started again a second later. Each second memory, descriptors and faults are sampled.

DIR (default target/soak) gets soak.csv, soak.svg and what Otus said. It ends with 0 if, after the
first quarter (two minutes at most), resident memory grew by no more than 1 MiB in ten minutes and
descriptors did not; if nothing failed but what a killed back end explains, of each kind of client
at most twice for each of them and kill; and if Otus met no bug, no panic, and ended well.

What a kill explains: an answer of 502, 503 or 504, or a connection that was cut, of something that
was under way between the kill and three seconds after it.
"""
import argparse
import csv
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import plot
import soak_clients

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

RELOAD, DOWN, EXPLAINED, TIMES_A_KILL = 10, 1.0, 3.0, 2
GROWTH_MIB, NOISE_MIB, DESCRIPTORS_MORE = 1.0, 1.0, 8
ROUTES = """
[upstreams.app]
endpoints = ["127.0.0.1:{one}", "127.0.0.1:{other}"]
outlier = {{ ejection = "500ms", ejection_max = "1s" }}

[[route]]
id = "changes"
match = {{ path = "/changes" }}
reply = {reply}

[[route]]
id = "app"
match = {{ prefix = "/" }}
upstream = "app"
"""


class Backend:
    """A process that is killed now and then, and started again at the same port."""

    def __init__(self, words, port):
        self.words, self.port, self.process = words, port, None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not gateway.answers(self.port):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f"{self.words} does not start")
            time.sleep(0.02)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()


class Trouble(threading.Thread):
    """Reloads, and kills back ends, until it is over."""

    def __init__(self, otus, write, backends, tally):
        super().__init__(daemon=True)
        self.otus, self.write, self.backends, self.tally = otus, write, backends, tally
        self.reloads, self.kills, self.broke = [], [], None

    def run(self):
        try:
            number = 0
            while not self.tally.over.wait(RELOAD / 2):
                number += 1
                self.write(200 + number % 2 * 4)
                self.reloads.append(time.monotonic())
                self.otus.process.send_signal(signal.SIGHUP)
                if self.tally.over.wait(RELOAD / 2):
                    return
                backend = self.backends[number % len(self.backends)]
                began = time.monotonic()
                backend.kill()
                time.sleep(DOWN)
                backend.start()
                self.kills.append((began, time.monotonic() + EXPLAINED - DOWN))
        except (OSError, RuntimeError) as fault:
            self.broke = str(fault)

    def explains(self, fault):
        """Whether a back end was killed while that was tried."""
        _, what, began, ended = fault
        is_kind = what[:3] in ("502", "503", "504") or any(
            word in what.lower() for word in ("closed", "reset", "pipe", "curl"))
        return is_kind and any(began <= until and ended >= at for at, until in self.kills)


def value_of(page, name):
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines()
               if line.split("{")[0].split(" ")[0] == name)


def slope(points):
    """How much is added in a second: the median of all slopes between two halves, which single
    outliers do not bend (Theil and Sen)."""
    half = len(points) // 2
    pairs = zip(points, points[half:])
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs)


def bar(now, end, row, faults):
    share = min(1.0, now / end)
    done = f"{'#' * int(share * 24):24}"
    line = (f"[{done}] {now:4.0f}/{end:.0f} s  rss {row['rss_mib']:.1f} MiB  fds {row['fds']:.0f}  "
            f"done {row['done']:.0f}  faults {faults[0]} explained, {faults[1]} not")
    if sys.stderr.isatty():
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
    elif int(now) % 15 == 0:
        print(line, file=sys.stderr, flush=True)


def sample(otus, tally, began):
    with tally.lock:
        done, faults = sum(tally.done.values()), len(tally.faults)
    return {"second": time.monotonic() - began, "rss_mib": otus.status_kib("VmRSS") / 1024,
            "fds": sum(1 for _ in Path(f"/proc/{otus.process.pid}/fd").iterdir()),
            "done": done, "faults": faults}


def clean(folder):
    """What was stored is not wanted; what is being stored is left alone."""
    for path in folder.rglob("*"):
        try:
            if path.is_file() and time.time() - path.stat().st_mtime > 10:
                path.unlink()
        except OSError:
            pass


def watch(otus, tally, trouble, secs, stored):
    """Samples until it is over."""
    began, rows = time.monotonic(), []
    while (now := time.monotonic() - began) < secs:
        if not otus.is_alive() or trouble.broke:
            print(f"\nit ended early: {trouble.broke or otus.said()}", file=sys.stderr)
            break
        rows.append(sample(otus, tally, began))
        with tally.lock:
            faults = list(tally.faults)
        known = sum(trouble.explains(fault) for fault in faults)
        bar(now, secs, rows[-1], (known, len(faults) - known))
        if len(rows) % 20 == 0:
            clean(stored)
        time.sleep(max(0, began + len(rows) - time.monotonic()))
    print(file=sys.stderr)
    return began, rows


def judge(rows, trouble, tally, page, secs):
    """All that is not as it should be, as lines."""
    wrong, warm = [], min(120, secs / 4)
    if trouble.broke or rows[-1]["second"] < secs - 5:
        wrong.append(f"it ended after {rows[-1]['second']:.0f} s of {secs:.0f}: {trouble.broke}")
    flat = [row for row in rows if row["second"] >= warm]
    if len(flat) < 30:
        wrong.append(f"only {len(flat)} samples after the first {warm:.0f} s: ask for more minutes")
    else:
        growth = slope([(row["second"], row["rss_mib"]) for row in flat]) * 600
        third = len(flat) // 3
        first, last = (statistics.median(row["fds"] for row in part)
                       for part in (flat[:third], flat[-third:]))
        print(f"memory {growth:+.2f} MiB in ten minutes (at most {GROWTH_MIB:g}), "
              f"descriptors {first:g} and in the end {last:g}")
        # Less than a MiB in all is what a run of a few minutes shows of a flat line.
        if growth > GROWTH_MIB and growth * (secs - warm) / 600 > NOISE_MIB:
            wrong.append(f"memory grows by {growth:.2f} MiB in ten minutes")
        if last > first + DESCRIPTORS_MORE:
            wrong.append(f"descriptors grew from {first:g} to {last:g}")
    explained = Counter(fault[0] for fault in tally.faults if trouble.explains(fault))
    for kind, what, began, _ in tally.faults:
        if not trouble.explains((kind, what, began, _)):
            wrong.append(f"{kind} failed without a reason: {what}")
    for kind, count in explained.items():
        most = TIMES_A_KILL * soak_clients.number_of(kind) * len(trouble.kills)
        if count > most:
            wrong.append(f"{kind} failed {count} times at {len(trouble.kills)} kills")
    for kind in sorted({client.kind for client in soak_clients.NUMBERS}):
        print(f"{kind:12}{tally.done[kind]:8} done{explained[kind]:6} failed at a kill")
        if not tally.done[kind] and (kind != "http2" or shutil.which("curl")):
            wrong.append(f"{kind} did nothing")
    for name in ("otus_panics_total", "otus_bugs_total", "otus_log_dropped_total"):
        if count := value_of(page, name):
            wrong.append(f"{name} is {count:g}")
    if (generation := value_of(page, "otus_config_generation")) < len(trouble.reloads):
        wrong.append(f"{len(trouble.reloads)} reloads made {generation:g} generations")
    return wrong


def write_out(out, rows, trouble, began, otus):
    with (out / "soak.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    line = lambda key: [(row["second"], row[key]) for row in rows]  # noqa: E731
    rate = [(b["second"], b["done"] - a["done"]) for a, b in zip(rows, rows[1:])]
    events = [(at - began, "#cfe0ee") for at in trouble.reloads]
    events += [(at - began, "#f0b090") for at, _ in trouble.kills]
    picture = plot.draw(
        "Otus under mixed load; blue: a reload, red: a back end is killed",
        [("resident memory, MiB", [("rss", line("rss_mib"))]),
         ("descriptors", [("open", line("fds"))]),
         ("done in a second", [("done", rate)]),
         ("faults so far", [("all", line("faults"))])], events)
    (out / "soak.svg").write_text(picture)
    (out / "otus.log").write_text(otus.log.read_text(errors="replace"))


def run(options, program, folder):
    ports = [gateway.free_port() for _ in range(5)]
    stored = folder / "stored"
    python = [sys.executable, str(ROOT / "perf/soak_back.py")]
    backends = [Backend([*python, str(ports[2])], ports[2]),
                Backend([*python, str(ports[3])], ports[3])]
    service = Backend([str(program), "service", "demo", "--listen", f"127.0.0.1:{ports[4]}",
                       "--directory", str(stored)], ports[4])

    def text(reply):
        routes = ROUTES.format(one=ports[2], other=ports[3], reply=reply)
        made = gateway.settings(ports[0], ports[1], {"storage": (ports[4], "")}, io=options.io,
                                workers=options.workers, modules=routes, legacy=False)
        return made.replace('access_log = "off"', f'access_log = "{folder}/access.log"')

    tally = soak_clients.Tally()
    secs = options.minutes * 60
    try:
        with gateway.Gateway(program, text(200), ports[0], ports[1]) as otus:
            settings = Path(otus.folder.name) / "settings.toml"
            # One HTTP back end lives: what may be repeated has somewhere to go.
            trouble = Trouble(otus, lambda reply: settings.write_text(text(reply)),
                              [backends[0], service], tally)
            clients = soak_clients.start(ports[0], tally)
            trouble.start()
            began, rows = watch(otus, tally, trouble, secs, stored)
            tally.over.set()
            for thread in [*clients, trouble]:
                thread.join(30)
            page = otus.metrics() if otus.is_alive() else ""
            ended = otus.stop()
            write_out(options.out, rows, trouble, began, otus)
    finally:
        tally.over.set()
        for backend in [*backends, service]:
            backend.kill()
    wrong = judge(rows, trouble, tally, page, secs)
    if ended != 0:
        wrong.append(f"Otus ended with {ended}")
    return wrong


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--out", type=Path, default=ROOT / "target/soak")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    program = gateway.binary()
    with tempfile.TemporaryDirectory(prefix="otus-soak-") as folder:
        wrong = run(options, program, Path(folder))
    counted = Counter(wrong)
    for line, count in counted.most_common(20):
        print(f"WRONG: {line}" + (f" ({count} times)" if count > 1 else ""))
    print(f"{'failed' if wrong else 'passed'}; see {options.out}/soak.svg")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
