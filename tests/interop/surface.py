#!/usr/bin/env python3
"""The Gufo surface, row by row: real Otus, and stub services that do what its documents say.

    surface.py [--io auto|io_uring|epoll] [--otus PROGRAM] [--pending] [-v] [NAME ...]

One line for each test, named by the row that it holds Otus to: `ok`, `FAIL`, or `pending` with the
capability that it waits for. A NAME picks the rows that begin with it. `--pending` runs those that
wait as well, to see which of them may be switched on; they still count as pending.
The last line is `N rows: N covered, N pending, N failed`.
"""
import argparse
import faulthandler
import importlib
import sys
import threading
import time
import traceback
from pathlib import Path

import gateway
import table
from world import World

# All of it. A row that would begin later fails.
SECS = 90
# Each group has stubs and gateways of its own, and runs beside the other.
GROUPS = [["part4", "part5", "part6", "part7"], ["part8", "part10", "part15", "part16"]]


def run(world, case, options):
    """Runs one test; gives its word."""
    if case.waits and not options.pending:
        print(f"pending {case.name}: waits for {case.waits}", flush=True)
        return "pending"
    began = time.monotonic()
    try:
        if time.monotonic() > world.end:
            raise table.Wrong(f"not begun within {SECS} s")
        case.test(world)
    except Exception as fault:  # One failure must not hide the others.
        word = "pending" if case.waits else "FAIL"
        print(f"{word:7} {case.name}: {fault!r:.700}", flush=True)
        if options.v:
            traceback.print_exc()
        return word if case.waits else "failed"
    secs = time.monotonic() - began
    took = f" ({secs:.1f} s)" if secs > 0.5 else ""
    if case.waits:
        print(f"pending {case.name}: WOULD PASS, waits for {case.waits}{took}", flush=True)
        return "pending"
    print(f"ok      {case.name}{took}", flush=True)
    return "ok"


def run_all(cases, options, end, results):
    """Runs these one after the other; gives (test, word) into `results`."""
    world = World(options)
    world.end = end
    try:
        results += [(case, run(world, case, options)) for case in cases]
        for name, gate in world.running.items():
            if not gate.is_alive():
                print(f"FAIL the gateway {name} ended by itself:\n{gate.said()}", flush=True)
                results.append((table.Case(f"the gateway {name}", "", "", None), "failed"))
    finally:
        world.close()


def summary(results):
    """A row failed if one of its tests did; it is pending if one of them is, and none failed."""
    rows = {}
    for case, word in results:
        rows.setdefault(case.row, set()).add(word)
    failed = [name for name, words in rows.items() if "failed" in words]
    pending = [name for name, words in rows.items() if "pending" in words - {"failed"}
               and "failed" not in words]
    waits = {}
    for case, word in results:
        if word == "pending":
            waits.setdefault(case.waits, set()).add(case.row)
    for name in sorted(waits):
        print(f"pending for {name}: {', '.join(sorted(waits[name]))}")
    for name in failed:
        print(f"failed: {name}")
    covered = len(rows) - len(failed) - len(pending)
    print(f"{len(rows)} rows: {covered} covered, {len(pending)} pending, {len(failed)} failed")
    return not failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    parser.add_argument("--otus", type=Path)
    parser.add_argument("--pending", action="store_true", help="run those that wait, too")
    parser.add_argument("-v", action="store_true", help="with the traces of failures")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.otus = options.otus.resolve() if options.otus else gateway.binary()
    for part in sum(GROUPS, []):
        importlib.import_module(f"rows.{part}")
    if faults := table.faults(table.known()):
        sys.exit("\n".join(faults))
    wanted = [case for case in table.CASES if not options.names
              or any(case.row.startswith(name) for name in options.names)]
    if not wanted:
        return 3  # scripts/interop asks two suites for a name.
    faulthandler.dump_traceback_later(SECS + 30, exit=True)
    began, results = time.monotonic(), []
    groups = [[case for case in wanted if case.test.__module__.split(".")[-1] in parts]
              for parts in GROUPS]
    threads = [threading.Thread(target=run_all, args=(group, options, began + SECS, results))
               for group in groups if group]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A thread that ended by a fault has left tests without a word.
    told = {id(case) for case, _ in results}
    results += [(case, "failed") for case in wanted if id(case) not in told]
    good = summary(results)
    print(f"in {time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
