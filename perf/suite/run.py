#!/usr/bin/env python3
"""Measures Otus beside the gateways that are on this machine.

    scripts/perf quick [--runs N] [--secs S] [--rate N] [--only WORKLOAD,...] [--charts]
    scripts/perf full  [the same] [--cc bbr,cubic] [--without PART,...] [--resume FOLDER]

quick takes some three minutes: W1, W2, W5 and W6 of perf/README.md, of Otus on io_uring and on
epoll, of nginx, HAProxy and Caddy where they are in PATH, and of the back end alone (direct).
full adds a sweep of the load from 10 to 110 % of the most that Otus does, system calls, what more
connections, routes and an access log cost, a flame graph, several congestion controls (as root),
and the other parts of scripts/perf: peers (with $PEERS), rtt, memory, crowd, policies, overload.

Wants rustc, which compiles load and back end, and nothing else; what is not here is skipped, and
said. All gateways of a workload run at once and are asked in turns. The folder that is named at the
end has result.json, table.md, charts, and latencies as .hgrm. A run that was cut short goes on with
--resume. --charts puts the pictures into perf/charts as well.
"""
import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/interop"))
import flame  # noqa: E402
import gateway  # noqa: E402
import load  # noqa: E402
import subjects  # noqa: E402
from record import CONTROL, ROOT, Record, facts  # noqa: E402

WORK = Path(os.environ.get("WORK", ROOT / "perf/work")).resolve()
PEERS = Path(os.environ.get("PEERS", ROOT.parent / "shared/peers"))
FOREIGN = 0.08  # Of the gateway's core, used by others: more is noise.
IDLE, CALLS_RATE, CROWD = 5000, 2000, 4096
SHARES = (10, 30, 50, 70, 80, 90, 100, 110)  # Of the knee, in percent.
QUICK, FULL = ["w1", "w5", "w2", "w6"], ["w1", "w5", "w2", "w6", "load", "calls", "growth", "flame"]
PARTS = {
    "peers": ["--", "otus", "direct", "l4", "nginx", "nginx-tuned", "haproxy", "haproxy-splice",
              "caddy", "envoy", "pingora", "bridge", "w1", "w1t", "w1h2", "w1h2t", "w2", "w2t",
              "w3", "w4", "w5", "w6", "w6t", "w7"],
    "rtt": [], "memory": ["--stalled"], "crowd": [], "policies": [], "overload": [],
}
NEEDS = {"policies": ["wrk", "openssl"], "rtt": ["curl"]}


def core_busy(core):
    """Busy and all seconds of a core since the start of the machine."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(word) for word in line.split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) / 100, sum(ticks) / 100
    return 0.0, 0.0


class Suite:
    """One run of it."""

    def __init__(self, options, record, program):
        self.options, self.record, self.program = options, record, program
        cores = sorted(os.sched_getaffinity(0))
        two = len(cores) > 1 and shutil.which("taskset")
        self.core, other = (cores[-1], cores[0]) if two else (None, None)
        self.load = load.Load(load.compiled(WORK), other)
        self.others, missing = subjects.peers()
        for name, why in missing:
            record.skip(name, why)
        if self.core is None:
            record.skip("cores of their own", "this machine has one, or no taskset")
        self.uring = subjects.has_uring(program)
        if not self.uring:
            record.skip("otus-epoll beside io_uring", "io_uring is denied here, otus is on epoll")
        self.control, self.back = CONTROL.read_text().strip(), 0
        self.full = set()  # Who could not do what a step of the sweep asked for.
        self.plan, self.at, self.measured, self.began = 0, 0, 0, time.monotonic()

    # --- who is measured ---

    def otus(self, name="otus", **fill):
        return subjects.otus(name, self.program, **fill)

    def subjects(self, workload):
        direct, floor = subjects.Subject("direct"), subjects.floor(self.load.program)
        polls = self.otus("otus-busy-poll", extra='busy_poll = "200us"')
        epoll = [self.otus("otus-epoll", io="epoll")] if self.uring else []
        if workload == "growth":
            # Their sockets alone cost more the more of them are busy: what others pay for it.
            many, rivals = f"-{CROWD}-connections", [floor, *subjects.peers(8192)[0]]
            rivals += [subjects.floor(self.load.program, f"l4{many}"),
                       *subjects.peers(8192, many)[0]]
            return [self.otus(pool=8192), self.otus(f"otus{many}", pool=8192), *rivals,
                    *([self.otus("otus-2-shards", pool=8192, workers=2)] if self.core else []),
                    self.otus("otus-10000-routes", pool=8192, routes=10_000),
                    self.otus("otus-access-log", pool=8192, log="./access.log")]
        if workload == "w1":
            return [direct, floor, self.otus(), *epoll, *self.others]
        if workload == "w5":
            return [direct, self.otus(), polls, *epoll, *self.others]
        if workload == "calls":
            return [self.otus(), polls, *epoll, *self.others]
        if workload == "load":
            return [self.otus(), *self.others]
        if workload == "flame":
            return [self.otus()]
        if workload == "w2":
            return [floor, self.otus(), *epoll, *self.others]
        return [self.otus(), *epoll, *self.others]

    # --- what is asked ---

    def words(self, workload, subject, share=None):
        address, secs = f"127.0.0.1:{subject.port}", self.options.secs
        if workload == "w2":
            return ["put", address, "/upload/a", 4, self.options.mib]
        if workload == "w6":
            return ["idle", address, "/fixed", min(IDLE, subjects.most_connections() - 100)]
        if workload == "calls":
            return ["get", address, "/fixed", 64, CALLS_RATE, 0, 2]
        connections = CROWD if subject.name.endswith(f"-{CROWD}-connections") else 64
        rate = {"w5": self.options.rate, "load": self.knee() * (share or 0) / 100}.get(workload, 0)
        warm = 1 + connections / 1000  # Until all have their connections to the back end.
        return ["get", address, "/fixed", connections, rate, warm, secs]

    def knee(self):
        """The most that Otus answered in a second in W1, of this run."""
        return max(self.record.values("w1", self.control, "otus", "rps"), default=1)

    def measure(self, workload, subject, share=None):
        """Figures of one run."""
        before = subject.kib("VmRSS") if subject.pids else 0

        def sample():
            busy, whole = core_busy(self.core)
            return subject.cpu_s(), busy, whole, subject.kib("VmRSS") if subject.pids else 0

        got = self.load.run(self.words(workload, subject, share), sample)
        (cpu, busy, whole, _), (cpu_end, busy_end, whole_end, rss) = got["begin"], got["end"]
        cpu = cpu_end - cpu
        foreign = (busy_end - busy - cpu) / max(whole_end - whole, 0.01)
        row = {"noisy": self.core is not None and bool(subject.pids) and foreign > FOREIGN,
               "foreign": round(max(0, foreign), 3), "errors": got["errors"]}
        if not got["answers"]:
            why = f"{got['unasked']:.0f} were not asked in time, {got['errors']:.0f} broke"
            raise RuntimeError(f"{subject.name} gave no answer that counts: {why}")
        if workload == "w6":
            row["idle_bytes"] = (rss - before) * 1024 / got["answers"] if subject.pids else None
            row["noisy"] = False
            return row, None
        latencies = got["latencies"]
        if workload == "w2":
            row["mib_s"] = got["bytes"] / 2**20 / got["secs"]
            row["cpu_s_gib"] = cpu / (got["bytes"] / 2**30)
        else:
            row["rps"] = got["answers"] / got["secs"]
            row["unasked"] = got["unasked"]
            row["cpu_us"] = cpu * 1e6 / got["answers"] if subject.pids else None
            for name, part in (("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)):
                row[name] = latencies.at(part)
        if share:
            row["rate"] = self.knee() * share / 100
        row["peak_mib"] = subject.kib("VmHWM") / 1024 if subject.pids else None
        return row, latencies if workload in ("w5", "load") else None

    def calls(self, subject):
        """System calls of one request, by what the kernel counts."""
        program = shutil.which("strace")
        pids = [word for pid in subject.pids for word in ("-p", str(pid))]
        out = Path(subject.folder.name) / "calls"
        tracer = subprocess.Popen([program, "-f", "-c", "-o", out, *pids],
                                  stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            got = self.load.run(self.words("calls", subject), lambda: 0)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(20)
        total = next(line.split() for line in out.read_text().splitlines()
                     if line.endswith(" total"))
        numbers = [int(word) for word in total if word.isdigit()]
        return {"noisy": False, "errors": got["errors"],
                "calls": max(numbers, default=0) / got["answers"]}, None

    # --- in which order ---

    def rounds(self, workload):
        """(name of the workload, share of the knee, round) of one subject's turns."""
        if workload == "load":
            return [(f"load-{share:03}", share, turn) for turn in range(1 + self.options.runs // 4)
                    for share in SHARES]
        count = 1 if workload in ("calls", "flame") else self.options.runs
        return [(workload, None, turn) for turn in range(count)]

    def steps(self, workload, chosen):
        return [(f"{name}/{self.control}/{one.name}/{turn}", name, share, turn, one)
                for name, share, turn in self.rounds(workload) for one in chosen]

    def group(self, workload, control):
        """A workload: everyone at once, one turn after the other."""
        self.control = control
        chosen = self.subjects(workload)
        steps = self.steps(workload, chosen)
        left = [step for step in steps if step[0] not in self.record.done]
        self.at += len(steps) - len(left)
        if not left:
            return
        back, self.back = self.load.serve()
        well = []
        try:
            for one in chosen:
                try:
                    one.start(self.back, self.core)
                    well.append(one)
                except RuntimeError as fault:
                    self.record.skip(f"{workload} of {one.name}", str(fault))
            for name, label, share, turn, one in left:
                self.at += 1
                if one in well and (label[:4], control, one.name) not in self.full:
                    self.step(workload, (name, label, share, turn), one)
        finally:
            for one in well:
                one.stop()
            back.kill()
            back.wait()

    def step(self, workload, place, one):
        name, label, share, turn = place
        try:
            if workload == "calls":
                row, latencies = self.calls(one)
            elif workload == "flame":
                row, latencies = flame.draw(self, one), None
            else:
                row, latencies = self.measure(workload, one, share)
                if workload == "w6":  # Memory that was touched once tells nothing more.
                    one.stop()
                    one.start(self.back, self.core)
        except (RuntimeError, OSError) as fault:
            self.record.skip(name, str(fault))
            self.full.add(("load", self.control, one.name))
            return
        row.update(id=name, workload=label, control=self.control, peer=one.name, round=turn)
        self.record.add(row, latencies)
        self.progress(f"{label} {one.name}", row)

    def progress(self, what, row):
        """A line with a bar, what was found, and how long the rest takes as things go."""
        told = next((f"{key} {row[key]:.3f}" for key in
                     ("cpu_us", "cpu_s_gib", "idle_bytes", "calls", "p99_ms") if row.get(key)), "")
        took, full = time.monotonic() - self.began, round(20 * self.at / max(1, self.plan))
        self.measured += 1
        rest = took / self.measured * (self.plan - self.at)
        print(f"[{'#' * full}{'.' * (20 - full)}] {self.at}/{self.plan} {what}: {told}"
              f"{' (noisy)' if row['noisy'] else ''}, some {rest:.0f} s left", flush=True)

    def run(self, workloads, controls):
        before = CONTROL.read_text().strip()
        for control in controls:
            self.control = control
            for workload in workloads:
                self.plan += len(self.steps(workload, self.subjects(workload)))
        try:
            for control in controls:
                if CONTROL.read_text().strip() != control:
                    CONTROL.write_text(control)
                for workload in workloads:
                    self.group(workload, control)
        finally:
            if CONTROL.read_text().strip() != before:
                CONTROL.write_text(before)

    def parts(self, wanted):
        """The other commands of scripts/perf, whose tables are kept as they are."""
        for name, words in PARTS.items():
            if name not in wanted or name in self.record.data["parts"]:
                continue
            missing = [tool for tool in NEEDS.get(name, []) if not shutil.which(tool)]
            if name == "peers" and not (PEERS / "run.py").exists():
                missing = [f"the harness in {PEERS} (set PEERS)"]
            if missing:
                self.record.skip(name, f"{', '.join(missing)} is not here")
                continue
            print(f"scripts/perf {name} …", flush=True)
            more = ["--cc", self.options.cc] if name == "peers" and self.options.cc else []
            ended = subprocess.run([ROOT / "scripts/perf", name, *more, *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, "OTUS": str(self.program)}, check=False)
            if ended.returncode == 77:
                self.record.skip(name, (ended.stdout.strip().splitlines() or ["?"])[-1])
                continue
            said = ended.stdout + (f"\nended with {ended.returncode}" if ended.returncode else "")
            self.record.data["parts"][name] = said
            self.record.save()


def controls(options, record):
    """The congestion controls to measure under."""
    now = CONTROL.read_text().strip()
    wanted = [name for name in (options.cc or now).split(",") if name]
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    out = []
    for name in wanted:
        if name not in known:
            record.skip(f"congestion control {name}", f"the kernel has {', '.join(known)}")
        elif name != now and not os.access(CONTROL, os.W_OK):
            record.skip(f"congestion control {name}", "only root may set it")
        else:
            out.append(name)
    return out


def read():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["quick", "full"])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--secs", type=float, help="of a run that is bounded by time")
    parser.add_argument("--rate", type=int, default=4000, help="requests a second of w5")
    parser.add_argument("--mib", type=int, help="of one upload")
    parser.add_argument("--only", help=f"workloads, of {','.join(FULL)}")
    parser.add_argument("--without", default="", help=f"parts, of {','.join(PARTS)}")
    parser.add_argument("--cc", help="congestion controls, such as bbr,cubic")
    parser.add_argument("--resume", metavar="FOLDER")
    parser.add_argument("--charts", action="store_true", help="into perf/charts as well")
    options = parser.parse_args()
    is_full = options.kind == "full"
    options.runs = options.runs or (5 if is_full else 3)
    options.secs = options.secs or (5 if is_full else 2)
    options.mib = options.mib or (512 if is_full else 128)
    options.workloads = options.only.split(",") if options.only else FULL if is_full else QUICK
    if unknown := set(options.workloads) - set(FULL):
        parser.error(f"no such workload: {', '.join(unknown)}")
    if "load" in options.workloads and "w1" not in options.workloads:
        options.workloads.insert(0, "w1")  # It says how much can be done at most.
    options.parts = []
    if is_full and not options.only:
        options.parts = [name for name in PARTS if name not in options.without.split(",")]
    return options


def main():
    options = read()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    WORK.mkdir(parents=True, exist_ok=True)
    record = Record(options.resume or WORK / time.strftime(f"{options.kind}-%Y%m%dT%H%M%S"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program = gateway.binary()
    suite = Suite(options, record, program)
    record.data["facts"] = record.data["facts"] or facts(program, [suite.otus(), *suite.others])
    record.data["options"] = record.data["options"] or {
        name: getattr(options, name)
        for name in ("kind", "runs", "secs", "rate", "mib", "workloads")}
    for tool, workload in (("strace", "calls"), ("perf", "flame")):
        if workload in options.workloads and not shutil.which(tool):
            record.skip(workload, f"{tool} is not here")
            options.workloads.remove(workload)
    try:
        suite.run(options.workloads, controls(options, record))
        suite.parts(options.parts)
    except KeyboardInterrupt:
        print(f"cut short; --resume {record.folder} goes on", flush=True)
        return 130
    finally:
        if record.data["rows"]:
            record.finish(ROOT / "perf/charts" if options.charts else None)
    print((record.folder / "table.md").read_text() if record.data["rows"] else "nothing measured")
    print(f"all of it: {record.folder}")
    return 0 if record.data["rows"] else 1


if __name__ == "__main__":
    sys.exit(main())
