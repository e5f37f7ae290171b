//! Draws the settings of a gateway, and says what follows from them.

use std::net::SocketAddr;
use std::time::Duration;

use otus::gufo::dialect::EndMarker;
use otus::snapshot::Snapshot;
use otus::snapshot::gufo::{Module, Rate, UploadRoute};
use otus::snapshot::timeouts::Timeouts;
use otus::snapshot::upstream::{Endpoint, Pool, Upstream, UpstreamId};

use crate::dice::Dice;
use crate::town::Weather;

pub fn host_of(address: SocketAddr) -> Endpoint {
    Endpoint::new(address.ip().to_string(), address)
}

pub fn snapshot(
    dice: &mut Dice,
    weather: Weather,
    marker: EndMarker,
    addresses: &[SocketAddr],
) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    snapshot.timeouts = Timeouts {
        head: dice.millis(2000, 5000),
        idle: dice.millis(3000, 60_000),
        body_idle: dice.millis(3000, 10_000),
        write: dice.millis(3000, 10_000),
        body_rate_bytes: 1024,
        body_rate_window: dice.millis(2000, 8000),
        linger: dice.millis(500, 2000),
    };
    snapshot.limits.read_buffer_bytes = 16_384 << dice.between(0, 4);
    if !weather.is_calm && dice.one_in(4) {
        snapshot.limits.connections = dice.pick(&[1, 3, 10]);
    }
    let http2 = &mut snapshot.server.http2;
    http2.streams = dice.pick(&[1, 5, 100]);
    http2.stream_window = dice.pick(&[20_000, 65_536, http2.stream_window]);
    http2.window_budget = dice.pick(&[0, 100_000, http2.window_budget]);
    snapshot.gufo.legacy_status = dice.one_in(2);
    let mut upstream = Upstream::grpc("all", addresses[0]);
    upstream.endpoints = addresses.iter().copied().map(host_of).collect();
    upstream.connect_timeout = dice.millis(1000, 5000);
    upstream.pool = Pool {
        connections_max: dice.pick(&[1, 2, 4]),
        streams_per_connection_max: if weather.is_quiet() { 100 } else { dice.pick(&[1, 5, 100]) },
        keep_alive_interval: dice.one_in(2).then(|| dice.millis(1000, 30_000)),
        keep_alive_timeout: dice.millis(2000, 10_000),
        idle: dice.millis(1000, 60_000),
    };
    upstream.retry.attempts_max = dice.pick(&[1, 2, 4]);
    snapshot.upstreams.push(upstream);
    for name in ["echo", "store"] {
        let mut module = Module::new(name, UpstreamId::at(0));
        module.timeout = dice.millis(2000, 5000);
        module.stream_timeout = dice.millis(4000, 30_000);
        module.upload.end_marker = marker;
        module.upload.chunk_bytes = dice.pick(&[64, 1000, 4096, 65_536, 65_536]);
        module.upload.min_rate =
            dice.one_in(3).then(|| Rate { bytes: 100, window: Duration::from_secs(3) });
        snapshot.gufo.insert(module);
    }
    snapshot.gufo.upload_routes.push(UploadRoute {
        id: "drop".to_owned(),
        path: "/drop".to_owned(),
        module: "store".to_owned(),
        param: "drop".to_owned(),
    });
    snapshot
}

/// The longest that a unary call may take from its first byte, whatever its client does: its head,
/// its body at the slowest pace allowed, the call, and the answer.
pub fn call_max(timeouts: &Timeouts, call: Duration) -> Duration {
    let windows = 130; // 90,000 bytes at 1 KiB for each window, and some.
    let body = timeouts.body_rate_window * windows + timeouts.body_idle;
    timeouts.head + body + call + 2 * timeouts.write + Duration::from_secs(10)
}
