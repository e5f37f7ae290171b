"""The load (load.rs), compiled with rustc alone, and what it has to say. Standard library only."""
import math
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def compiled(folder):
    """The generator, compiled anew where its source is newer. Ends the program without rustc."""
    if not shutil.which("rustc"):
        raise SystemExit("rustc is not here: it compiles the load generator (perf/suite/load.rs)")
    program = Path(folder) / "load"
    changed = max((HERE / name).stat().st_mtime for name in ("load.rs", "wire.rs"))
    if not program.exists() or program.stat().st_mtime < changed:
        subprocess.run(["rustc", "-O", "--edition", "2024", "-o", program, HERE / "load.rs"],
                       check=True)
    return program


def pinned(core, words):
    """A command line on a core of its own, if there is one."""
    return [*(["taskset", "-c", str(core)] if core is not None else []), *map(str, words)]


class Load:
    """Runs the generator on a core."""

    def __init__(self, program, core):
        self.program, self.core = program, core

    def serve(self):
        """A back end; (its process, its port)."""
        process = subprocess.Popen(pinned(self.core, [self.program, "serve"]),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        return process, int(process.stdout.readline().split()[1])

    def run(self, words, sample):
        """Runs it to its end. Figures, with `sample()` of when what counts began and ended."""
        process = subprocess.Popen(pinned(self.core, [self.program, *words]), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        figures, counts = {}, {}
        try:
            for line in process.stdout:
                name, *rest = line.split() or [""]
                if name in ("begin", "end"):
                    figures[name] = sample()
                    if name == "end" and words[0] == "idle":
                        process.stdin.close()
                elif name == "ns":
                    counts[int(rest[0])] = int(rest[1])
                elif name:
                    figures[name] = float(rest[0])
        finally:
            process.kill()
            process.wait()
        if "secs" not in figures:
            raise RuntimeError(f"the load generator ended early: {' '.join(map(str, words))}")
        figures["latencies"] = Histogram(counts)
        return figures


class Histogram:
    """Latencies in buckets: {upper end in nanoseconds: count}."""

    def __init__(self, counts):
        self.counts = dict(sorted(counts.items()))
        self.total = sum(counts.values())

    def __add__(self, other):
        both = dict(self.counts)
        for nanos, count in other.counts.items():
            both[nanos] = both.get(nanos, 0) + count
        return Histogram(both)

    def at(self, share):
        """The latency in milliseconds that this share of requests did not exceed."""
        wanted, seen = share * self.total, 0
        for nanos, count in self.counts.items():
            seen += count
            if seen >= wanted:
                return nanos / 1e6
        return float("nan")

    def points(self, ticks=5):
        """(milliseconds, share, count so far), finer towards the end, as HdrHistogram has them:
        so many for each halving of what is left."""
        out, seen, goal = [], 0, 0.0
        for nanos, count in self.counts.items():
            seen += count
            reached = seen / self.total
            while reached >= goal and goal < 1:
                out.append((nanos / 1e6, goal, seen))
                halvings = 2 ** (int(math.log2(1 / (1 - goal))) + 1)
                goal += 1 / (halvings * ticks)
                if seen == self.total and 1 - goal < 1 / (2 * self.total):
                    break
        if out:
            out.append((next(reversed(self.counts)) / 1e6, 1.0, self.total))
        return out

    def hgrm(self):
        """The text that plotters of HdrHistogram read; values in milliseconds."""
        lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}\n"]
        for value, share, seen in self.points():
            inverse = f"{1 / (1 - share):14.2f}" if share < 1 else f"{'inf':>14}"
            lines.append(f"{value:12.6f} {share:2.12f} {seen:10} {inverse}")
        mean = sum(nanos * count for nanos, count in self.counts.items()) / self.total / 1e6
        square = sum((nanos / 1e6 - mean) ** 2 * count for nanos, count in self.counts.items())
        most = next(reversed(self.counts)) / 1e6
        deviation = math.sqrt(square / self.total)
        lines += [f"#[Mean    = {mean:12.6f}, StdDeviation   = {deviation:12.6f}]",
                  f"#[Max     = {most:12.6f}, Total count    = {self.total:12}]",
                  f"#[Buckets = {len(self.counts):12}, SubBuckets     = {1024:12}]"]
        return "\n".join(lines) + "\n"
