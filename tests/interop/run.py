#!/usr/bin/env python3
"""Otus between a real HTTP client and real gRPC services (grpcio), good ones and bad ones.

    run.py [--io auto|io_uring|epoll] [--otus PROGRAM] [-v] [NAME ...]

Each test states what a client sees, and within which time. A NAME picks the tests that hold it.
The last line is `N passed, N failed`.
"""
import argparse
import hashlib
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import client
import gateway

HERE = Path(__file__).resolve().parent

# What a client is answered when a service misbehaves, with gufo.strict_legacy_status = false:
# documented in docs/uploads.md. Several statuses stand where the moment of the fault decides.
STATUS = {
    # service.py, on grpcio:
    "stall": {504},
    "silent": {504},
    # grpcio ends a cancelled call by trailers: CANCELLED, and UNAVAILABLE when the server stops.
    "reset": {499, 502},
    "goaway_now": {502, 503},
    "die": {502},
    "early_ok": {502},
    "early_error": {507},
    "early_status": {429},
    "refuse": {403},
    "late_status": {500, 502},
    "late_error": {422},
    "huge": {502},
    # rude.py, on bare HTTP/2:
    "rude_reset": {502},
    "rude_disown": {502},
    "rude_close": {502},
    "rude_mute": {502, 504},
    "rude_http1": {502},
    "rude_noise": {502},
    # Nobody there, and clients that are at fault themselves:
    "down": {502},
    "truncated": {400},
    "multipart": {400},
}
# The same with its default: the status, and the code in the envelope.
LEGACY = {
    "down": (400, "0000234"),
    "rude_close": (500, "0000500"),
    "rude_reset": (500, "0000500"),
    "refuse": (500, "0000500"),
    "late_status": (500, "0000500"),
    "huge": (500, "0000500"),
    "early_ok": (500, "0000500"),
    "silent": (500, "0000500"),
    # What a service says itself stays as it is.
    "late_error": (422, "000422"),
    "early_error": (507, "000507"),
}
# A fault is told within this time; a stall after the stream_timeout below.
SOON = 3.0
STREAM_TIMEOUT = 2.0
# The gRPC stream of a client that left ends within a second, of which a busy machine makes two.
CANCEL = 2.0
AFTER = 1 << 20
LARGE = 8 << 20


class Service:
    """One process of service.py, or of rude.py (`rude_…`), and what it says."""

    def __init__(self, behaviour, after=AFTER):
        self.behaviour, self.after, self.port = behaviour, after, gateway.free_port()
        self.events, self.changed = [], threading.Condition()
        self.start()

    def start(self):
        rude = self.behaviour.startswith("rude_")
        self.process = subprocess.Popen(
            [sys.executable, HERE / ("rude.py" if rude else "service.py"), "--port", str(self.port),
             "--after", str(self.after), self.behaviour.removeprefix("rude_")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True).start()

    def read(self, stream):
        for line in stream:
            with self.changed:
                self.events.append((time.monotonic(), json.loads(line)))
                self.changed.notify_all()

    def mark(self):
        return len(self.events)

    def wait(self, event, secs, since=0):
        """The first such event from index `since` on, as (moment, facts)."""
        end = time.monotonic() + secs
        with self.changed:
            while True:
                for moment, facts in self.events[since:]:
                    if facts["event"] == event:
                        return moment, facts
                left = end - time.monotonic()
                if left <= 0:
                    seen = [facts for _, facts in self.events[since:]]
                    raise AssertionError(f"{self.behaviour} did not say {event}, only {seen}")
                self.changed.wait(left)

    def restart(self):
        """After the process ended itself."""
        self.process.wait(5)
        since = self.mark()
        self.start()
        self.wait("ready", 20, since)

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class World:
    """Otus and all services; what the tests share."""

    def __init__(self, options):
        misbehaving = [name for name in STATUS if name not in ("down", "truncated", "multipart")]
        self.services = {name: Service(name) for name in ["store", "slow", "goaway", *misbehaving]}
        for service in self.services.values():
            service.wait("ready", 60)
        lines = f'timeout = "2s"\nconnect_timeout = "2s"\nstream_timeout = "{STREAM_TIMEOUT:.0f}s"'
        table = {name: (service.port, lines) for name, service in self.services.items()}
        table["down"] = (gateway.free_port(), lines)
        self.gateway, self.legacy = (self.start(options, table, legacy) for legacy in (False, True))
        self.random = random.Random(7)

    @staticmethod
    def start(options, table, legacy):
        port, admin = gateway.free_port(), gateway.free_port()
        text = gateway.settings(port, admin, table, io=options.io, legacy=legacy)
        return gateway.Gateway(options.otus, text, port, admin)

    def data(self, size):
        return self.random.randbytes(size)

    def put(self, module, data, *fields, **options):
        return client.put(self.gateway.port, f"/api/v3/{module}/upload", data, *fields, **options)

    def connect(self):
        return client.connect(self.gateway.port)

    def head(self, method, path, *fields):
        return client.head(method, f"/api/v3/{path}", self.gateway.port, *fields)

    def close(self):
        self.gateway.stop()
        self.legacy.stop()
        for service in self.services.values():
            service.stop()


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def stored(reply, *files):
    """The answer is a success that names exactly these (name, bytes)."""
    check(reply.status == 200, reply)
    want = [{"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files]
    check(json.loads(reply.body)["data"]["files"] == want, reply)


def refused(reply, name, secs=SOON):
    """The answer is the documented fault, in time, in the envelope, and never a success."""
    check(reply.status in STATUS[name], f"{name}: {reply}, not {sorted(STATUS[name])}")
    check(reply.secs <= secs, f"{name}: {reply}, not within {secs} s")
    check(json.loads(reply.body), reply)


def works(world, module="store"):
    """The next upload is served as if nothing had happened."""
    data = world.data(300_000)
    stored(world.put(module, data, "X-Filename: next"), ("next", data))


# Uploads that go well.


def raw_bodies_of_every_size_arrive(world):
    for size in (0, 1, 10, 65535, 65536, 65537, 131072, 1_000_003, LARGE):
        data = world.data(size)
        stored(world.put("store", data, f"X-Filename: f{size}"), (f"f{size}", data))


def a_body_without_a_name_is_upload_bin(world):
    stored(world.put("store", b"0123456789"), ("upload.bin", b"0123456789"))


def chunked_bodies_of_any_chunk_size_arrive(world):
    for size in (1, 7, 4096, 65536, 300_000):
        data = world.data({1: 40, 7: 7_000}.get(size, 700_001))
        parts = client.pieces(data, size)
        stored(world.put("store", parts, "X-Filename: c", form="chunked"), ("c", data))


def every_part_with_a_filename_is_a_file(world):
    files = [("a.jpg", world.data(200_000)), ("b.jpg", b""), ("c.bin", world.data(1_000_000))]
    body, field = client.multipart(files)
    stored(world.put("store", body, field), *files)


def parts_may_be_cut_anywhere(world):
    files = [("a", b"\r\n--x-otus-" * 40), ("b", b"-- \r\n\r\n--")]
    body, field = client.multipart(files, preamble=b"ignored\r\n")
    for size in (1, 3, 17):
        reply = world.put("store", client.pieces(body, size), field, form="chunked")
        stored(reply, *files)


def a_client_that_expects_100_is_told_to_go_on(world):
    data = world.data(100_000)
    reply = world.put("store", data, "X-Filename: e", "Expect: 100-continue",
                      wait_for_continue=True)
    stored(reply, ("e", data))
    check(reply.continued, "no 100 came")


def uploads_follow_each_other_on_one_connection(world):
    with world.connect() as sock:
        for count in range(5):
            data = world.data(150_000 + count)
            start = world.head("PUT", "store/upload", "X-Filename: k",
                               f"Content-Length: {len(data)}")
            stored(client.exchange(sock, start, client.pieces(data)), ("k", data))


def uploads_beside_each_other_stay_apart(world):
    faults, files = [], [world.data(1_500_000 + index) for index in range(16)]

    def one(index):
        try:
            reply = world.put("store", files[index], f"X-Filename: p{index}")
            stored(reply, (f"p{index}", files[index]))
        except Exception as fault:  # Told by the main thread.
            faults.append(f"{index}: {fault}")

    threads = [threading.Thread(target=one, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    check(not faults, faults)


def the_first_message_says_who_and_where(world):
    service = world.services["store"]
    since = service.mark()
    with world.connect() as sock:
        start = world.head("PUT", "store/upload/7/8?tag=x", "Content-Length: 3")
        stored(client.exchange(sock, start, [b"abc"]), ("upload.bin", b"abc"))
    _, facts = service.wait("first", 2, since)
    want = {"Module": "store", "Param": "upload", "ParamID": "7", "ParamIDD": "8",
            "Method": "PUT", "Sign": "interop-sign", "IP": "127.0.0.1", "APIVersion": "v3",
            "args": {"tag": '"x"'}}
    check({key: facts[key] for key in want} == want, facts)


def a_slow_service_holds_the_client_and_not_the_memory(world):
    before = world.gateway.status_kib("VmHWM")
    data = world.data(24 << 20)
    stored(world.put("slow", data, "X-Filename: s", secs=60), ("s", data))
    grown = world.gateway.status_kib("VmHWM") - before
    check(grown < 16 * 1024, f"the peak grew by {grown} KiB")


# Uploads that end badly.


def put_large(port, name, data):
    """An upload that a service may answer at any time.

    For a service that says OK before the end of a body, the last byte is held back: it could say
    that after the end as well, if all of the body were already on its way."""
    sent = data[:-1] if name == "early_ok" else data
    with client.connect(port) as sock:
        start = client.head("PUT", f"/api/v3/{name}/upload", port, "X-Filename: f",
                            f"Content-Length: {len(data)}")
        return client.exchange(sock, start, client.pieces(sent))


def fault(name, after_it="store", secs=SOON):
    def test(world):
        reply = put_large(world.gateway.port, name, world.data(LARGE))
        refused(reply, name, secs)
        works(world, after_it)
    test.__name__ = f"a_service_that_does_{name}_is_told_in_time"
    return test


def a_goaway_lets_the_upload_finish_and_the_next_one_begin(world):
    data = world.data(LARGE)
    stored(world.put("goaway", data, "X-Filename: g"), ("g", data))
    reply = world.put("goaway", b"next", "X-Filename: n")
    stored(reply, ("n", b"next"))


def a_service_that_dies_and_returns_serves_again(world):
    refused(world.put("die", world.data(LARGE)), "die")
    refused(world.put("die", world.data(LARGE)), "down")
    world.services["die"].restart()
    stored(world.put("die", b"small", "X-Filename: s"), ("s", b"small"))


def a_service_that_is_down_is_told_before_the_body(world):
    reply = world.put("down", world.data(LARGE), "Expect: 100-continue", wait_for_continue=True)
    refused(reply, "down")
    refused(world.put("down", world.data(LARGE)), "down")
    works(world)


def a_stalled_upload_leaves_others_alone_and_memory_flat(world):
    before = world.gateway.status_kib("VmHWM")
    replies = []

    def one():
        replies.append(world.put("stall", bytes(64 << 20)))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    world.services["stall"].wait("stalled", SOON)
    works(world)
    for thread in threads:
        thread.join(20)
    grown = world.gateway.status_kib("VmHWM") - before
    for reply in replies:
        refused(reply, "stall", STREAM_TIMEOUT + SOON)
    check(len(replies) == 4, f"{len(replies)} of 4 were answered")
    check(grown < 16 * 1024, f"the peak grew by {grown} KiB")


def a_client_that_is_killed_ends_the_stream(world):
    for abrupt in (True, False):
        service = world.services["store"]
        since = service.mark()
        sock = world.connect()
        sock.sendall(world.head("PUT", "store/upload", f"Content-Length: {LARGE}"))
        sock.sendall(world.data(1 << 20))
        service.wait("open", SOON, since)
        time.sleep(0.2)  # The upload is in the middle of its body, not at its beginning.
        if abrupt:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        killed = time.monotonic()
        sock.close()
        moment, facts = service.wait("cancelled", CANCEL + 1, since)
        check(moment - killed <= CANCEL, f"the stream ended after {moment - killed:.2f} s")
        check(facts["bytes"] > 0, facts)
    works(world)


def a_truncated_body_is_never_a_success(world):
    service = world.services["store"]
    data = world.data(500_000)
    cut = client.pieces(data)[:3]
    for form, body in (("length", cut), ("chunked", list(client.chunked(cut))[:-1])):
        since = service.mark()
        field = f"Content-Length: {len(data)}" if form == "length" else "Transfer-Encoding: chunked"
        with world.connect() as sock:
            start = world.head("PUT", "store/upload", field)
            reply = client.exchange(sock, start, body, half_close=True, secs=SOON)
        check(reply.status in (None, *STATUS["truncated"]), f"{form}: {reply}")
        service.wait("cancelled", SOON, since)
    works(world)


def broken_chunks_are_refused_and_end_the_stream(world):
    service = world.services["store"]
    since = service.mark()
    body = [b"5\r\nhello\r\n", b"xyz\r\n"]
    with world.connect() as sock:
        start = world.head("PUT", "store/upload", "Transfer-Encoding: chunked")
        reply = client.exchange(sock, start, body, secs=SOON, pace=0.05)
    refused(reply, "truncated")
    service.wait("cancelled", SOON, since)
    works(world)


def wrong_forms_are_refused(world):
    good, field = client.multipart([("a", world.data(70_000))])
    cases = {
        "no boundary": (good, "Content-Type: multipart/form-data"),
        "an empty boundary": (good, 'Content-Type: multipart/form-data; boundary=""'),
        "another boundary": (good, "Content-Type: multipart/form-data; boundary=other"),
        "no last boundary": (good[:-10], field),
        "only a head": (good[:60], field),
        "bare line feeds": (good.replace(b"\r\n", b"\n"), field),
        "nothing": (b"", field),
    }
    for what, (body, content_type) in cases.items():
        reply = world.put("store", body, content_type)
        check(reply.status in STATUS["multipart"], f"{what}: {reply}")
    works(world)


def faults_have_the_statuses_of_gufo_by_default(world):
    for name, (status, code) in LEGACY.items():
        reply = put_large(world.legacy.port, name, world.data(LARGE))
        check(reply.status == status, f"{name}: {reply}, not {status}")
        check(json.loads(reply.body)["data"]["code"] == code, f"{name}: {reply}, not {code}")
        check(reply.secs <= SOON + STREAM_TIMEOUT, f"{name}: {reply}")
    data = world.data(300_000)
    stored(client.put(world.legacy.port, "/api/v3/store/upload", data), ("upload.bin", data))


def an_early_answer_reaches_a_client_that_pauses(world):
    for name in ("early_error", "rude_reset"):
        with world.connect() as sock:
            start = world.head("PUT", f"{name}/upload", f"Content-Length: {LARGE}")
            sent = client.pieces(world.data(2 << 20), 2 << 20)
            reply = client.exchange(sock, start, sent, secs=SOON)
        refused(reply, name)


# Calls.


def get(world, path):
    with world.connect() as sock:
        return client.exchange(sock, world.head("GET", path))


def arguments_of_a_query_come_back(world):
    reply = get(world, "store/hello?name=x&n=1%202")
    check(reply.status == 200, reply)
    data = json.loads(reply.body)["data"]
    check((data["name"], data["n"], data["param"]) == ("x", "1 2", "hello"), reply)


def numbers_survive_untouched(world):
    body = b'{"id":9007199254740993,"e":1.0e2,"deep":{"n":[1.10,-0]},"text":"\\u00e9"}'
    with world.connect() as sock:
        start = world.head("POST", "store/hello", "Content-Type: application/json",
                           f"Content-Length: {len(body)}")
        reply = client.exchange(sock, start, [body])
    check(reply.status == 200, reply)
    for part in (b"9007199254740993", b"1.0e2", b"[1.10,-0]"):
        check(part in reply.body, f"{part!r} is not in {reply.body!r}")


def a_safe_call_is_repeated_and_an_unsafe_one_is_not(world):
    # The module "slow" has not been called yet, "goaway_now" neither: each counts from one.
    reply = get(world, "slow/flaky")
    check(reply.status == 200, reply)
    service = world.services["refuse"]
    since = service.mark()
    with world.connect() as sock:
        start = world.head("POST", "refuse/flaky", "Content-Length: 2")
        reply = client.exchange(sock, start, [b"{}"])
    check(reply.status in (502, 503, 500), reply)
    # What the service tells comes by another way than its answer, and may be later.
    service.wait("do", SOON, since)
    time.sleep(0.2)
    calls = [facts for _, facts in service.events[since:] if facts["event"] == "do"]
    check(len(calls) == 1, calls)


def a_call_that_takes_too_long_is_told(world):
    reply = get(world, "early_ok/sleep")
    check(reply.status == 504 and reply.secs < 2 + SOON, reply)


# Afterwards.


def nothing_is_left_behind(world):
    check(world.gateway.is_alive(), world.gateway.said())
    end = time.monotonic() + 5
    while True:
        text = world.gateway.metrics()
        bad = [line for line in text.splitlines()
               if line.startswith(("otus_panics_total", "otus_bugs_total", "otus_uploads_active"))
               and float(line.rsplit(" ", 1)[1]) != 0]
        if not bad or time.monotonic() > end:
            check(not bad, bad)
            break
        time.sleep(0.1)


TESTS = [
    raw_bodies_of_every_size_arrive,
    a_body_without_a_name_is_upload_bin,
    chunked_bodies_of_any_chunk_size_arrive,
    every_part_with_a_filename_is_a_file,
    parts_may_be_cut_anywhere,
    a_client_that_expects_100_is_told_to_go_on,
    uploads_follow_each_other_on_one_connection,
    uploads_beside_each_other_stay_apart,
    the_first_message_says_who_and_where,
    a_slow_service_holds_the_client_and_not_the_memory,
    fault("refuse"),
    fault("early_ok"),
    fault("early_error"),
    fault("early_status"),
    fault("late_status"),
    fault("late_error"),
    fault("reset"),
    fault("goaway_now"),
    fault("silent", secs=STREAM_TIMEOUT + SOON),
    fault("huge"),
    fault("rude_reset"),
    fault("rude_disown"),
    fault("rude_close"),
    fault("rude_mute", secs=STREAM_TIMEOUT + SOON),
    fault("rude_http1"),
    fault("rude_noise"),
    a_goaway_lets_the_upload_finish_and_the_next_one_begin,
    a_service_that_dies_and_returns_serves_again,
    a_service_that_is_down_is_told_before_the_body,
    a_stalled_upload_leaves_others_alone_and_memory_flat,
    a_client_that_is_killed_ends_the_stream,
    a_truncated_body_is_never_a_success,
    broken_chunks_are_refused_and_end_the_stream,
    wrong_forms_are_refused,
    faults_have_the_statuses_of_gufo_by_default,
    an_early_answer_reaches_a_client_that_pauses,
    arguments_of_a_query_come_back,
    numbers_survive_untouched,
    a_safe_call_is_repeated_and_an_unsafe_one_is_not,
    a_call_that_takes_too_long_is_told,
    nothing_is_left_behind,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--io", default="auto", choices=["auto", "io_uring", "epoll"])
    parser.add_argument("--otus", type=Path)
    parser.add_argument("-v", action="store_true", help="with the traces of failures")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.otus = options.otus.resolve() if options.otus else gateway.binary()
    wanted = [test for test in TESTS
              if not options.names or any(name in test.__name__ for name in options.names)]
    if not wanted:
        return 3  # scripts/interop asks two suites for a name.
    world, passed = World(options), 0
    try:
        with world.gateway, world.legacy:
            for test in wanted:
                began = time.monotonic()
                try:
                    test(world)
                    passed += 1
                    print(f"ok   {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
                except Exception as fault_seen:  # One failure must not hide the others.
                    print(f"FAIL {test.__name__}: {fault_seen!r:.900}", flush=True)
                    if options.v:
                        traceback.print_exc()
            if passed < len(wanted):
                print(world.gateway.said(), world.legacy.said())
    finally:
        world.close()
    print(f"{passed} passed, {len(wanted) - passed} failed")
    return 0 if passed == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
