#!/usr/bin/env python3
"""Otus ÷ peer, from rows of the comparison harness.

    ratios.py LABEL=ROWS.jsonl ...

For each workload and peer: the median of the quiet runs' CPU cost (of all runs where none was
quiet), and Otus's median over it. Exits with 1 when a ratio is above its bound or a row is missing.
"""
import json
import statistics
import sys
from pathlib import Path

FIGURE = {"bytes": ("cpu_s_per_gib", "CPU s/GiB"), "n": ("cpu_us_per_req", "CPU µs/request")}
# What the product promises against the axum and tonic bridge.
BOUNDS = {("w3", "bridge"): 0.60, ("w4", "bridge"): 0.80}


def medians(path):
    """(workload, peer) → (figure's name, median, spread, runs, peak MiB, quiet)."""
    groups = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        groups.setdefault((row["workload"], row["peer"]), []).append(row)
    out = {}
    for key, rows in groups.items():
        quiet = [row for row in rows if not row["noisy"]]
        used = quiet or rows
        field, name = FIGURE["bytes" if "bytes" in used[0] else "n"]
        values = [row[field] for row in used if row.get(field)]
        if not values or any(row.get("errors") for row in used):
            continue
        middle = statistics.median(values)
        spread = (max(values) - min(values)) / 2 / middle
        peak = max(row.get("peak_rss_kib", 0) for row in rows) / 1024
        out[key] = (name, middle, spread, len(values), peak, bool(quiet))
    return out


def main():
    failed = False
    print("\n| workload | under | figure | otus | peer | its figure | otus ÷ peer | bound "
          "| spread, runs | peak RSS MiB |\n|" + "---|" * 10)
    for argument in sys.argv[1:]:
        label, _, path = argument.rpartition("=")
        found = medians(Path(path)) if Path(path).exists() else {}
        for (workload, peer), theirs in sorted(found.items()):
            ours = found.get((workload, "otus"))
            if peer == "otus" or ours is None:
                continue
            ratio, bound = ours[1] / theirs[1], BOUNDS.get((workload, peer))
            failed = failed or (bound is not None and ratio > bound)
            noisy = "" if ours[5] and theirs[5] else " noisy"
            print(f"| {workload} | {label} | {ours[0]} | {ours[1]:.3f} | {peer} | {theirs[1]:.3f} "
                  f"| **{ratio:.2f}** | {bound or '–'} "
                  f"| ±{ours[2]:.0%} of {ours[3]}, ±{theirs[2]:.0%} of {theirs[3]}{noisy} "
                  f"| {ours[4]:.1f}, {theirs[4]:.1f} |")
        if not any(peer == "otus" for _, peer in found):
            print(f"no figure of otus without errors in {path}", file=sys.stderr)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
