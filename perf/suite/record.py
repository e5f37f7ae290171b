"""What a run has found: kept after each step, so that it can go on later; tables and charts."""
import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import charts
from load import Histogram

ROOT = Path(__file__).resolve().parents[2]
CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
# Figure: what a table calls it, and how it is written.
FIGURES = {
    "cpu_us": ("CPU µs/request", ".2f"), "cpu_s_gib": ("CPU s/GiB", ".3f"),
    "p50_ms": ("p50 ms", ".3f"), "p99_ms": ("p99 ms", ".3f"), "p999_ms": ("p99.9 ms", ".3f"),
    "idle_bytes": ("bytes/idle connection", ".0f"), "calls": ("system calls/request", ".2f"),
    "rps": ("requests/s", ".0f"), "mib_s": ("MiB/s", ".0f"), "peak_mib": ("peak RSS MiB", ".1f"),
    "unasked": ("not asked in time", ".0f"), "errors": ("errors", ".0f"),
}
# Workload: its title, the figures of its table, the first of which is compared.
WORKLOADS = {
    "w1": ("W1: GET of 1 KiB, HTTP/1.1, 64 connections, each asks as soon as it is answered",
           ["cpu_us", "rps", "peak_mib"]),
    "w2": ("W2: four uploads at once, HTTP/1.1, into an HTTP back end",
           ["cpu_s_gib", "mib_s", "peak_mib"]),
    "w5": ("W5: W1 by the clock, latency from the moment that a request was due",
           ["p50_ms", "p99_ms", "p999_ms", "cpu_us", "unasked"]),
    "w6": ("W6: idle connections that had one answer each", ["idle_bytes"]),
    "calls": ("System calls, as W1 at 2,000 requests a second", ["calls"]),
    "growth": ("Growth: W1 with more of everything", ["cpu_us", "rps"]),
}
# (workload, figure, against whom, congestion control or None): at most so many times its figure.
TARGETS = [
    ("w1", "cpu_us", "best", None, 0.75), ("w1", "cpu_us", "l4", None, 1.15),
    ("w2", "cpu_s_gib", "nginx", "bbr", 0.50), ("w2", "cpu_s_gib", "nginx", "cubic", 0.45),
    ("w5", "p50_ms", "best", None, 1.0), ("w5", "p99_ms", "best", None, 1.0),
    ("w5", "p999_ms", "best", None, 1.0), ("w6", "idle_bytes", 1024, None, 1.0),
    ("growth", "cpu_us", "otus-4096-connections", None, 1.10),
    ("growth", "cpu_us", "otus-2-shards", None, 1.05),
    ("growth", "cpu_us", "otus-10000-routes", None, 1.05),
    ("growth", "cpu_us", "otus-access-log", None, 1.03),
]
# What the hop may add to the median latency of the back end alone, with busy polling.
HOP_MS = 0.015
NO_GATEWAYS = ("otus", "direct", "l4")


def facts(program, subjects):
    """The machine and the programs, as far as figures depend on them."""
    def first(path, key):
        for line in Path(path).read_text().splitlines():
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
        return "?"

    def git(*words):
        if not shutil.which("git"):
            return ""
        got = subprocess.run(["git", "-C", ROOT, *words], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False)
        return got.stdout.strip()

    kernel = platform.uname()
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "commit": git("rev-parse", "--short", "HEAD") or "?",
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
            "program": str(program), "kernel": f"{kernel.system} {kernel.release}",
            "processor": first("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
            "memory": first("/proc/meminfo", "MemTotal"),
            "congestion": CONTROL.read_text().strip(),
            "virtual": "hypervisor" in first("/proc/cpuinfo", "flags"),
            "versions": {one.name: one.version for one in subjects if one.version}}


class Record:
    """All that was measured, in a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "runs").mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "result.json"
        self.data = {"facts": {}, "options": {}, "skipped": [], "parts": {}, "rows": []}
        if self.path.exists():
            self.data = json.loads(self.path.read_text())
        self.done = {row["id"] for row in self.data["rows"]}

    def save(self):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self.data, indent=1) + "\n")
        fresh.replace(self.path)

    def skip(self, what, why):
        if [what, why] not in self.data["skipped"]:
            print(f"skipped: {what}: {why}", flush=True)
            self.data["skipped"].append([what, why])

    def add(self, row, latencies=None):
        if latencies is not None and latencies.total:
            name = row["id"].replace("/", "-") + ".json"
            (self.folder / "runs" / name).write_text(json.dumps(latencies.counts))
            row["latencies"] = name
        self.data["rows"].append(row)
        self.done.add(row["id"])
        self.save()

    def rows(self, workload, control, peer=None):
        """The quiet ones of each peer; all where none was quiet."""
        found = [row for row in self.data["rows"] if row["workload"] == workload
                 and row["control"] == control and peer in (None, row["peer"])]
        quiet = [row for row in found if not row["noisy"]]
        calm = {row["peer"] for row in quiet}
        return quiet + [row for row in found if row["peer"] not in calm]

    def values(self, workload, control, peer, figure):
        return [row[figure] for row in self.rows(workload, control, peer)
                if row.get(figure) is not None]

    def median(self, workload, control, peer, figure):
        values = self.values(workload, control, peer, figure)
        return statistics.median(values) if values else None

    def peers(self, workload, control):
        return list(dict.fromkeys(row["peer"] for row in self.data["rows"]
                                  if row["workload"] == workload and row["control"] == control))

    def controls(self):
        return list(dict.fromkeys(row["control"] for row in self.data["rows"]))

    def latencies(self, workload, control, peer):
        together = Histogram({})
        for row in self.rows(workload, control, peer):
            if name := row.get("latencies"):
                counts = json.loads((self.folder / "runs" / name).read_text())
                together += Histogram({int(nanos): count for nanos, count in counts.items()})
        return together

    def ratio(self, workload, control, figure, peer):
        """Otus's figure over the peer's: the median of those of the same round, which the machine's
        moods touch least; of the medians where no round is whole."""
        ours = {row["round"]: row.get(figure) for row in self.rows(workload, control, "otus")}
        theirs = {row["round"]: row.get(figure) for row in self.rows(workload, control, peer)}
        both = [ours[key] / theirs[key] for key in ours if ours[key] and theirs.get(key)]
        if both:
            return statistics.median(both)
        one, other = (self.median(workload, control, name, figure) for name in ("otus", peer))
        return one / other if one and other else None

    # --- what people read ---

    def table(self, workload, control):
        """Lines of Markdown."""
        title, figures = WORKLOADS[workload]
        peers = self.peers(workload, control)
        if not peers:
            return []
        heads = [FIGURES[figure][0] for figure in figures]
        out = [f"\n### {title}; {control}\n",
               "| | " + " | ".join([heads[0], "lowest to highest", *heads[1:], "Otus ÷ this",
                                    "runs", "errors"]) + " |", "|---" * (len(heads) + 5) + "|"]
        key = figures[0]
        for peer in sorted(peers, key=lambda name: self.median(workload, control, name, key) or 0):
            rows, cells = self.rows(workload, control, peer), []
            for figure in figures:
                value = self.median(workload, control, peer, figure)
                cells.append("" if value is None else format(value, FIGURES[figure][1]))
            values, written = self.values(workload, control, peer, key), FIGURES[key][1]
            cells.insert(1, f"{min(values):{written}} to {max(values):{written}}" if values else "")
            ratio = None if peer == "otus" else self.ratio(workload, control, key, peer)
            noisy = ", noisy" if any(row["noisy"] for row in rows) else ""
            errors = sum(row.get("errors", 0) for row in rows)
            out.append(f"| {peer} | " + " | ".join(cells) + f" | {f'{ratio:.2f}' if ratio else ''} "
                       f"| {len(rows)}{noisy} | {errors:.0f} |")
        return out

    def targets(self, control):
        """Lines of Markdown: what was aimed at, and what was found."""
        out = []
        for workload, figure, against, only, bound in TARGETS:
            ours = self.median(workload, control, "otus", figure)
            if ours is None or only not in (None, control):
                continue
            name, number = FIGURES[figure][0], against
            if workload == "growth":
                number = self.ratio(workload, control, figure, against)
                number, told = (1 / number if number else None), f"{against} ÷ otus"
            elif isinstance(against, str):
                rivals = [peer for peer in self.peers(workload, control)
                          if against == peer
                          or against == "best" and not peer.startswith(NO_GATEWAYS)]
                rivals = [(peer, self.median(workload, control, peer, figure)) for peer in rivals]
                rivals = [(value, peer) for peer, value in rivals if value]
                if not rivals:
                    continue
                told = f"otus ÷ {min(rivals)[1]}"
                number = self.ratio(workload, control, figure, min(rivals)[1])
            else:
                number, told, bound = ours, "otus", against
            if number is not None:
                said = "met" if number <= bound else "**missed**"
                form = ".0f" if bound > 10 else ".2f"
                out.append(f"| {workload} | {name} | {told} | {number:{form}} | {bound} | {said} |")
        direct, polls = ({row["round"]: row["p50_ms"] for row in self.rows("w5", control, peer)}
                         for peer in ("direct", "otus-busy-poll"))
        if hops := [polls[turn] - direct[turn] for turn in polls if turn in direct]:
            hop = statistics.median(hops)
            said = "met" if hop <= HOP_MS else "**missed**"
            out.append(f"| w5 | p50 ms | otus-busy-poll − direct | {hop:.3f} | {HOP_MS} | {said} |")
        if out:
            out = [f"\n### Targets; {control}\n", "| workload | figure | of | found | at most | |",
                   "|---|---|---|---|---|---|", *out]
        return out

    def markdown(self):
        known = self.data["facts"]
        out = [f"# Otus, measured {known['when']}", "",
               f"Commit {known['commit']}{' and changes' if known['changed'] else ''}, "
               f"`{known['program']}`. {known['processor']}, {known['cores']} cores"
               f"{', virtual' if known['virtual'] else ''}, {known['kernel']}.", "",
               "; ".join(f"{name}: {version}" for name, version in known["versions"].items())
               + ".", "",
               f"Medians of {self.data['options']['runs']} runs that took turns; a run is noisy if "
               "other programs used more than 8 % of the gateway's core. Ratios are medians of "
               "those of each turn. `direct` is the back end without a gateway, `l4` passes bytes "
               "on and looks at none."]
        noisy = sum(row["noisy"] for row in self.data["rows"])
        if noisy * 3 > len(self.data["rows"]):
            out += ["", f"**{noisy} of {len(self.data['rows'])} runs are noisy: this machine was "
                    "busy with other things, and its figures say little.**"]
        for control in self.controls():
            out += self.targets(control)
            for workload in WORKLOADS:
                out += self.table(workload, control)
        if self.data["skipped"]:
            out += ["\n### Skipped\n", *(f"- {what}: {why}" for what, why in self.data["skipped"])]
        for name, said in self.data["parts"].items():
            out += [f"\n### scripts/perf {name}\n", "```", said.strip(), "```"]
        return "\n".join(out) + "\n"

    def pictures(self):
        """{file name: SVG}."""
        out, known = {}, self.data["facts"]
        for control in self.controls():
            note = f"{known['when'][:10]}, {known['commit']}, {known['kernel']}, {control}"
            for workload, title in (("w1", "CPU of a request"), ("w2", "CPU of an upload"),
                                    ("w6", "Memory of an idle connection")):
                figure = WORKLOADS[workload][1][0]
                rows = [(peer, values) for peer in self.peers(workload, control)
                        if (values := self.values(workload, control, peer, figure))]
                rows = sorted((statistics.median(values), peer, values) for peer, values in rows)
                if rows:
                    unit = FIGURES[figure][0]
                    out[f"{workload}-{control}.svg"] = charts.bars(
                        title, note, [(peer, middle, min(values), max(values))
                                      for middle, peer, values in rows], unit)
            series = [(peer, [(1 / (1 - share), value) for value, share, _ in got.points()
                              if share < 1], False)
                      for peer in self.peers("w5", control)
                      if (got := self.latencies("w5", control, peer)).total]
            if series:
                ticks = [(10.0 ** nines, "0" if nines == 0 else f"{100 - 100 / 10 ** nines:g} %")
                         for nines in range(6)]
                out[f"latency-percentiles-{control}.svg"] = charts.lines(
                    "Latency by percentile, open loop", note, series, "percentile", "ms",
                    x_log=True, x_ticks=ticks)
            out.update(self.by_load(control, note))
        out.update(self.by_distance(f"{known['when'][:10]}, {known['commit']}, {known['kernel']}"))
        return out

    def by_distance(self, note):
        """Of the table of scripts/perf rtt."""
        rows = [line.strip("| ").split("|") for line in
                self.data["parts"].get("rtt", "").splitlines() if line.startswith("| ")]
        if len(rows) < 2:
            return {}
        heads, series = [head.strip() for head in rows[0]], []
        for place in range(1, len(heads) - 1):
            points = [(float(row[0]), float(row[place].split()[0])) for row in rows[1:]]
            series.append((heads[place].replace(",", ":"), points, False))
        return {"upload-rtt.svg": charts.lines("Rate of an upload by distance", note, series,
                                               "round trip, ms", "Mbit/s", y_log=False)}

    def by_load(self, control, note):
        shares = [name for name in dict.fromkeys(row["workload"] for row in self.data["rows"])
                  if name.startswith("load-")]
        series = []
        peers = dict.fromkeys(row["peer"] for row in self.data["rows"]
                              if row["workload"] in shares and row["control"] == control)
        for peer in peers:
            for figure, dashed in (("p50_ms", True), ("p99_ms", False)):
                points = [(self.median(name, control, peer, "rate"),
                           self.median(name, control, peer, figure)) for name in shares]
                points = sorted(point for point in points if all(point))
                if points:
                    series.append((f"{peer}, {figure[:3]}", points, dashed))
        if not series:
            return {}
        return {f"latency-load-{control}.svg": charts.lines(
            "Latency by load, 10 to 110 % of what Otus does at most", note, series,
            "requests/s that were due", "ms")}

    def finish(self, charts_to=None):
        """Writes all that is read, and says where."""
        self.save()
        (self.folder / "table.md").write_text(self.markdown())
        kept = dict.fromkeys((row["workload"], row["control"], row["peer"])
                             for row in self.data["rows"] if row.get("latencies"))
        for place in kept:
            workload, control, peer = place
            told = self.latencies(*place).hgrm()
            (self.folder / f"{workload}-{peer}-{control}.hgrm").write_text(told)
        for folder in filter(None, (self.folder, charts_to)):
            Path(folder).mkdir(parents=True, exist_ok=True)
            for name, picture in self.pictures().items():
                (Path(folder) / name).write_text(picture)
        for picture in self.folder.glob("flame-*.svg") if charts_to else ():
            shutil.copy(picture, charts_to)
