#!/usr/bin/env python3
"""Memory of uploads: many at once, and one that is very large.

    upload_memory.py [--parallel N] [--mib M] [--large GIB] [--workers N] [--io DRIVER]
                     [--service HOST:PORT] [--stalled]

Starts Otus (release build, or $OTUS), sends sparse files by sendfile, so that nothing is read
from a disk, into a gRPC service that counts and forgets. Reports one JSON line for each scenario:
resident memory idle and at its peak (VmHWM), the throughput and whether the bound was kept.
--service names a Reverse service to use instead of the one in tests/interop. --stalled adds a
scenario in which the service stops reading and every upload is held by backpressure.
"""
import argparse
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/interop"))
import gateway  # noqa: E402

MIB = 1 << 20
PEAK_PARALLEL_MIB = 128
GROWTH_LARGE_MIB = 32


def upload(port, size, file, secs):
    """One PUT of `size` bytes; returns the status of its answer, or the fault."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            # A Python timeout would make the descriptor non-blocking, which sendfile is not for.
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", secs, 0))
            sock.sendall((f"PUT /api/v3/storage/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                          f"X-Filename: sparse\r\nContent-Length: {size}\r\n\r\n").encode())
            at = 0
            while at < size:
                sent = os.sendfile(sock.fileno(), file, at, min(size - at, 8 * MIB))
                if sent == 0:
                    return "the file ended"
                at += sent
            got = b""
            while b"\r\n\r\n" not in got:
                piece = sock.recv(65536)
                if not piece:
                    return "closed without an answer"
                got += piece
            return int(got.split(b" ", 2)[1])
    except OSError as fault:
        return str(fault)


def service(behaviour, *options):
    """tests/interop's service. Returns its process and host:port."""
    port = gateway.free_port()
    process = subprocess.Popen(
        [sys.executable, ROOT / "tests/interop/service.py", "--port", str(port), *options,
         behaviour], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if '"ready"' not in process.stdout.readline():
        sys.exit("the service did not start")
    threading.Thread(target=lambda: [None for _ in process.stdout], daemon=True).start()
    return process, f"127.0.0.1:{port}"


def scenario(name, options, at, count, size, bound):
    """Runs `count` uploads of `size` bytes at once. `bound` judges (idle KiB, peak KiB)."""
    port, admin = gateway.free_port(), gateway.free_port()
    stalled = name == "stalled"
    lines = f'stream_timeout = "{"5s" if stalled else "120s"}"'
    text = gateway.settings(port, admin, {"storage": (int(at.rpartition(":")[2]), lines)},
                            io=options.io, workers=options.workers)
    with tempfile.TemporaryFile() as file, \
            gateway.Gateway(gateway.binary(), text, port, admin) as otus:
        file.truncate(size)
        time.sleep(1)
        idle, results = otus.status_kib("VmRSS"), []
        began = time.monotonic()
        threads = [threading.Thread(
            target=lambda: results.append(upload(port, size, file.fileno(), 600)))
            for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        secs = time.monotonic() - began
        peak = otus.status_kib("VmHWM")
    good = [result == 200 for result in results]
    kept = bound(idle, peak) and not (any(good) if stalled else not all(good))
    strange = sorted({str(result) for result in results if result != 200})
    print(json.dumps({
        "scenario": name, "uploads": count, "mib_each": size // MIB, "idle_mib": idle / 1024,
        "peak_mib": peak / 1024, "mib_s": None if stalled else round(count * size / MIB / secs),
        "other_answers": strange, "kept": kept}), flush=True)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parallel", type=int, default=64)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--large", type=float, default=20, metavar="GIB", help="0 leaves it out")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--io", default="auto")
    parser.add_argument("--service", metavar="HOST:PORT")
    parser.add_argument("--stalled", action="store_true")
    options = parser.parse_args()
    processes, at, kept = [], options.service, True
    try:
        if at is None:
            process, at = service("sink")
            processes.append(process)
        if options.parallel:
            kept &= scenario("parallel", options, at, options.parallel, options.mib * MIB,
                             lambda _idle, peak: peak <= PEAK_PARALLEL_MIB * 1024)
        if options.large:
            kept &= scenario("large", options, at, 1, int(options.large * 1024) * MIB,
                             lambda idle, peak: peak - idle <= GROWTH_LARGE_MIB * 1024)
        if options.stalled:
            process, stall = service("stall", "--after", str(MIB))
            processes.append(process)
            kept &= scenario("stalled", options, stall, options.parallel, options.mib * MIB,
                             lambda _idle, peak: peak <= PEAK_PARALLEL_MIB * 1024)
    finally:
        for process in processes:
            process.stdin.close()
            process.wait(10)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
