"""SPEC 15.1: names of metrics, and who may read them."""
import re

import client
import gateway
from table import check, row, same
from world import Reply


def metrics_gateway(world):
    return world.gateway("metrics", server__metrics_token="gufo-metrics", **{
        "compat.metrics": ["gufo", "3x", "fold"]})


def plain(world):
    """A gateway with a token and nothing that is not there yet."""
    return world.gateway("token", server__metrics_token="gufo-metrics")


def scrape(gate, path="/metrics", *fields):
    port = gate if isinstance(gate, int) else gate.admin
    with client.connect(port) as sock:
        start = client.head("GET", path, port, *fields, "Connection: close")
        return Reply(client.exchange(sock, start, secs=6))


TOKEN = "X-Metrics-Token: gufo-metrics"


def samples(world):
    """After some traffic: name with labels, to value."""
    gate = metrics_gateway(world)
    world.ask("GET", "/api/v3/echo/one", on=gate)
    world.ask("GET", "/api/v3/echo/two/2", on=gate)
    world.ask("GET", "/no/such/path", on=gate)
    text = scrape(gate, "/metrics", TOKEN).body.decode()
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            match = re.match(r"([a-z0-9_]+)(?:\{(.*?)\})? (\S+)", line)
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
            found.setdefault(match[1], []).append((labels, float(match[3])))
    return found


def has(found, name, *labels):
    check(name in found, f"no {name}")
    for got, _ in found[name]:
        same(set(labels) - set(got), set(), f"labels of {name}")


WAITS = "metric names"


@row("15.1/gufo_http_requests_total", waits=WAITS)
def gufo_requests(world):
    found = samples(world)
    has(found, "gufo_http_requests_total", "method", "path")
    total = sum(value for got, value in found["gufo_http_requests_total"]
                if got["method"] == "GET")
    check(total >= 3, total)


@row("15.1/gufo_http_request_duration_seconds", waits=WAITS)
def gufo_duration(world):
    found = samples(world)
    has(found, "gufo_http_request_duration_seconds_bucket", "method", "path", "status", "le")
    bounds = {got["le"] for got, _ in found["gufo_http_request_duration_seconds_bucket"]}
    default = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10",
               "+Inf"}
    same(default - bounds, set(), "the default buckets")
    texts = {got["status"] for got, _ in found["gufo_http_request_duration_seconds_count"]}
    # Always this one in the original; dashboards ask for it.
    check("OK" in texts and not any(text.isdigit() for text in texts), texts)


@row("15.1/gufo_grpc_pool", waits=WAITS)
def gufo_pool(world):
    found = samples(world)
    has(found, "gufo_grpc_pool_hits_total")
    has(found, "gufo_grpc_pool_misses_total")
    check(found["gufo_grpc_pool_misses_total"][0][1] >= 1, "a first call is a miss")
    check(found["gufo_grpc_pool_hits_total"][0][1] >= 1, "a second call is a hit")


@row("15.1/gufo_grpc_retries_total", waits=WAITS)
def gufo_retries(world):
    has(samples(world), "gufo_grpc_retries_total")


@row("15.1/apigw_http_requests_total", waits=WAITS)
def apigw_requests(world):
    has(samples(world), "apigw_http_requests_total", "route", "method", "code")


@row("15.1/apigw_http_request_duration_seconds", waits=WAITS)
def apigw_duration(world):
    has(samples(world), "apigw_http_request_duration_seconds_bucket", "route", "method", "le")


@row("15.1/foldforge_gateway_http_requests_total", waits=WAITS)
def fold_requests(world):
    has(samples(world), "foldforge_gateway_http_requests_total", "method", "path", "status")


@row("15.1/foldforge_gateway_http_request_duration_seconds", waits=WAITS)
def fold_duration(world):
    has(samples(world), "foldforge_gateway_http_request_duration_seconds_bucket", "le")


@row("15.1/gateway_base_ha gateway_base_network", waits="cluster-aware back ends")
def hanzo(world):
    found = samples(world)
    check(any(name.startswith("gateway_base_ha_") for name in found), "no gateway_base_ha_*")
    check(any(name.startswith("gateway_base_network_") for name in found), "no base_network")


@row("15.1/bounded path", waits=WAITS)
def bounded(world):
    gate = metrics_gateway(world)
    for at in range(30):
        world.ask("GET", f"/no/such/path/{at}", on=gate)
    paths = {got["path"] for got, _ in samples(world)["gufo_http_requests_total"]}
    check("other" in paths and not any("such" in path for path in paths), paths)
    check(len(paths) < 30, len(paths))


@row("15.1/token needed")
def token(world):
    gate = plain(world)
    same(scrape(gate, "/metrics", TOKEN).status, 200)
    for fields in ((), ("X-Metrics-Token: wrong",), ("X-Metrics-Token: gufo-metric",)):
        reply = scrape(gate, "/metrics", *fields)
        same((reply.status, reply.body.strip()), (403, b"Forbidden"), fields)


@row("15.1/token unset", waits="metrics port")
def token_unset(world):
    # SPEC 20, 4: an empty token is 403.
    port = gateway.free_port()
    world.gateway("untold", server__metrics_port=port)
    reply = scrape(port, "/metrics")
    same((reply.status, reply.body.strip()), (403, b"Metrics endpoint disabled"))


@row("15.1/both paths", waits="metrics port")
def both_paths(world):
    port = gateway.free_port()
    world.gateway("told", server__metrics_port=port, server__metrics_token="gufo-metrics")
    for path in ("/metrics", "/api/v3/metrics"):
        same(scrape(port, path, TOKEN).status, 200, path)
        same(scrape(port, path).status, 403, path)


@row("15.1/open on the main port")
def main_port(world):
    # 3xpluto and FoldForge serve it there; here only where that is asked for, and only their names.
    same(world.ask("GET", "/metrics", on=metrics_gateway(world)).status, 404)
    gate = world.gateway("open", server__metrics_token="gufo-metrics", **{
        "compat.metrics": ["gufo", "3x", "fold"], "compat.open_metrics": True})
    reply = world.ask("GET", "/metrics", on=gate)
    check(reply.status == 200 and b"apigw_" in reply.body and b"foldforge_" in reply.body, reply)
    check(b"\ngufo_" not in reply.body and b"\notus_" not in reply.body, reply)


@row("15.1/__stats")
def stats(world):
    gate = world.gateway("lura", server__metrics_token="gufo-metrics",
                         **{"compat.metrics": ["hanzo"]})
    world.ask("GET", "/api/v3/echo/one", on=gate)
    same(scrape(gate, "/__stats").status, 403)
    reply = scrape(gate, "/__stats", TOKEN)
    same(reply.json["Counters"]["krakend.router.response./api/v3/echo.status.200.count"], 1)
    check(reply.json["Counters"]["krakend.router.connected-total"] >= 1, reply)
    same(scrape(metrics_gateway(world), "/__stats", TOKEN).status, 404, "nobody asked for it")
