"""CPU of one request, compared between cases that take turns of a fraction of a second.

What a virtual machine's core does in a second differs by more than the costs that are looked for, and
drifts. So all cases run at once, each with a wrk of its own that asks only in its turn; turns are so
short that a case and its neighbour meet the same core. The first milliseconds of a turn are not
counted: what the turn before has sent is still being answered.
"""
import mmap
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

TURN = 0.2  # Seconds.
LEAD = 0.02  # Of a turn, seconds that are not counted at its begin ...
TAIL = 0.003  # ... and at its end.

LUA = """
local ffi = require("ffi")
ffi.cdef[[
int open(const char *path, int flags);
void *mmap(void *place, size_t size, int protection, int flags, int fd, long offset);
typedef struct { long seconds; long nanos; } moment;
int clock_gettime(int clock, moment *into);
]]
local counter = ffi.cast("uint64_t *",
    ffi.C.mmap(nil, 4096, 3, 1, ffi.C.open("%(counter)s", 2), 0))
local time, text = ffi.new("moment")
function init() text = wrk.format() end
function delay()
  ffi.C.clock_gettime(1, time)
  local place = (tonumber(time.seconds) + tonumber(time.nanos) / 1e9 - %(origin).6f) %% %(cycle)f
  if place >= %(start)f and place < %(start)f + %(turn)f then return 0 end
  return math.ceil(((%(start)f - place) %% %(cycle)f) * 1000)
end
function request()
  counter[0] = counter[0] + 1
  return text
end
"""


class Case:
    """What is asked, and the process whose CPU counts."""

    def __init__(self, name, pid, url, headers=()):
        self.name, self.pid, self.url, self.headers = name, pid, url, list(headers)


def cpu_ns(pid):
    """CPU time of all threads so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def compare(cases, rounds, connections):
    """The CPU of one request in microseconds, for each case a list with an entry for each round."""
    with tempfile.TemporaryDirectory(prefix="otus-turns-") as folder:
        return measure(cases, rounds, connections, Path(folder))


def measure(cases, rounds, connections, folder):
    cycle = TURN * len(cases)
    origin = time.monotonic() + 2
    counters, runs = [], []
    for number, case in enumerate(cases):
        counter = folder / f"{number}.count"
        counter.write_bytes(bytes(4096))
        with counter.open("r+b") as file:
            counters.append(mmap.mmap(file.fileno(), 4096))
        script = folder / f"{number}.lua"
        script.write_text(LUA % {"counter": counter, "origin": origin, "cycle": cycle,
                                 "start": number * TURN, "turn": TURN})
        headers = [word for header in case.headers for word in ("-H", header)]
        seconds = int(2 + cycle * (rounds + 2)) + 1
        runs.append(subprocess.Popen(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script, *headers, case.url],
            stdout=subprocess.PIPE, text=True))

    def sample(number, at):
        time.sleep(max(0, at - time.monotonic()))
        return cpu_ns(cases[number].pid), int.from_bytes(counters[number][:8], "little")

    costs = {case.name: [] for case in cases}
    for turn in range(len(cases), (rounds + 1) * len(cases)):  # The first round warms up.
        number, start = turn % len(cases), origin + turn * TURN
        before = sample(number, start + LEAD)
        after = sample(number, start + TURN - TAIL)
        asked = after[1] - before[1]
        if not asked:
            raise SystemExit(f"{cases[number].name} was not asked in its turn")
        costs[cases[number].name].append((after[0] - before[0]) / 1000 / asked)
    for case, run in zip(cases, runs):
        out, _ = run.communicate(timeout=60)
        if run.returncode or "Non-2xx" in out or "Socket errors" in out:
            raise SystemExit(f"{case.name} failed:\n{out}")
    return costs


def table(costs, base, targets):
    """Prints the medians beside those of the differences to `base`, with the half width of 95 % of
    where such a median lies. Whether all targets are met."""
    print(f"{'case':10}{'us/request':>12}{'more than ' + base:>20}{'+-':>7}{'target':>9}")
    met = True
    for name, own in costs.items():
        more = sorted(a - b for a, b in zip(own, costs[base]))
        middle, count = statistics.median(more), len(more)
        spread = 0.98 * count ** 0.5  # Ranks of a binomial distribution (n, 1/2).
        low, high = (more[min(count - 1, max(0, round(count / 2 + side * spread)))]
                     for side in (-1, 1))
        target = targets.get(name)
        met &= target is None or middle <= target
        print(f"{name:10}{statistics.median(own):12.2f}{middle:20.2f}{(high - low) / 2:7.2f}"
              f"{target or '':>9}")
    return met
