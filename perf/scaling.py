#!/usr/bin/env python3
"""The model of perf/SCALING.md: `python3 perf/scaling.py` prints its numbers.

Every input is named. MEASURED ones are of perf/README.md, on loopback, for one shard. ASSUMED ones
nobody has measured with Otus: change them to those of the host in question.
"""

import random

# MEASURED: seconds of CPU for each GiB, and microseconds for each request.
PER_GIB = {
    "HTTP to HTTP, spliced, cubic": 0.16,
    "HTTP to HTTP, spliced, BBR": 0.36,
    "upload into gRPC, cubic": 0.35,
    "upload into gRPC, BBR": 0.68,
    "TLS to HTTP, copied, BBR": 0.96,
}
PER_REQUEST = {
    "forwarded GET": 16.5,
    "forwarded GET, TLS": 21.7,
    "forwarded GET, HTTP/2": 13.1,
    "JSON call into gRPC": 16.5,
    "TLS handshake and a GET": 203.0,
}
IDLE = {"plain": 1221, "TLS": 5204}

# ASSUMED: the host, and what a network card costs that loopback does not.
CORES = 64
LINE_BITS = 100e9
GIB = float(1 << 30)
NIC_PER_GIB = 0.15  # driver, interrupts, GRO, both directions; between 0.05 and 0.3
NIC_PER_REQUEST = 4.0  # two segments in and two out, each with its interrupt's share
SHARE = 0.7  # of a core's time that may be used before queues grow
CHANNEL_GB = 38.4  # one channel of DDR5-4800
CHANNELS = 12

# Bytes that cross the memory bus for each byte of payload if no cache holds any of them but the
# buffer that is named. A card that writes into the cache (DDIO) spares two.
BUS = {
    "splice": 2,
    "copied, no cache": 8,
    "copied, the buffer in L2": 5,
    "TLS in place, the buffer in L2": 5,
}


def payload(mtu):
    """GiB/s of TCP payload on the line: 52 bytes of heads, 38 of Ethernet."""
    return LINE_BITS / 8 * (mtu - 52) / (mtu + 38) / GIB


def imbalance(shards, connections, choices, rng, trials=200):
    """The fullest shard against the mean, connections placed by hash (or the emptier of two)."""
    total = 0.0
    for _ in range(trials):
        load = [0] * shards
        for _ in range(connections):
            places = [rng.randrange(shards) for _ in range(choices)]
            load[min(places, key=lambda place: load[place])] += 1
        total += max(load) / (connections / shards)
    return total / trials


def main():
    for mtu in (1500, 9000):
        rate = payload(mtu)
        print(f"MTU {mtu}: {rate:.2f} GiB/s, {rate * GIB / (mtu - 52) / 1e6:.2f} M packets/s")
        for name, cost in PER_GIB.items():
            print(f"  {name:32} {rate * cost / SHARE:5.1f} cores, "
                  f"with the card {rate * (cost + NIC_PER_GIB) / SHARE:5.1f}")
    rate = payload(1500)
    print(f"memory: {CHANNELS * CHANNEL_GB * 1e9 / GIB:.0f} GiB/s in theory")
    for name, crossings in BUS.items():
        print(f"  {name:32} {crossings * rate:5.0f} GiB/s")
    print(f"{CORES} shards, {SHARE:.0%} of each:")
    for name, micros in PER_REQUEST.items():
        bare, card = (CORES * SHARE * 1e6 / (micros + more) for more in (0, NIC_PER_REQUEST))
        print(f"  {name:32} {bare / 1e6:5.2f} M/s, with the card {card / 1e6:5.2f}")
    for name, size in IDLE.items():
        print(f"  a million idle, {name:17} {size * 1e6 / GIB:5.2f} GiB")
    rng = random.Random(7)
    print("fullest shard ÷ mean, by hash and by the emptier of two:")
    for shards, connections in ((8, 64), (16, 1024), (64, 512), (64, 4096), (64, 65536)):
        trials = 200 if connections < 10_000 else 20
        one, two = (imbalance(shards, connections, n, rng, trials) for n in (1, 2))
        print(f"  {shards:3} shards {connections:6} connections  {one:.2f}  {two:.2f}")


if __name__ == "__main__":
    main()
