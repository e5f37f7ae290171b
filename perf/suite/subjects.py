"""What is measured: Otus in several settings, and the gateways that are on this machine.

Each has one worker, one port before the same back end, and the tuning that its own manual
recommends for this: connections to the back end are kept, bodies are not spooled, no access log.
"""
import os
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import load

OTUS = """
[server]
ip = "127.0.0.1"
port = {port}
admin = "127.0.0.1:{admin}"
workers = {workers}
io = "{io}"
access_log = "{log}"
session = false
masterservice = false
sign = "perf-suite-sign"
{extra}
[security]
mode = "sign"

[timeouts]
idle = "10m"

# What the other gateways use is what the system uses; the default would be another.
[listener.transport]
congestion = "system"

[upstreams.back]
endpoints = ["127.0.0.1:{back}"]
pool = {{ connections = {pool} }}
transport = {{ congestion = "system" }}
{routes}
[[route]]
id = "all"
match = {{ prefix = "/" }}
upstream = "back"
"""
ROUTE = """
[[route]]
id = "r{number}"
match = {{ host = "h{number}.test", prefix = "/api/{number}/x" }}
upstream = "back"
"""
NGINX = """
worker_processes 1;
daemon off;
pid {here}/pid;
error_log {here}/error.log warn;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_buffer_size 256k;
  upstream back {{
    server 127.0.0.1:{back};
    keepalive {pool};
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
    }}
  }}
}}
"""
HAPROXY = """
global
  nbthread 1
  maxconn {connections}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 4096
  default_backend back
backend back
  server one 127.0.0.1:{back} pool-max-conn {pool}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{back} {{
    flush_interval -1
    transport http {{
      keepalive_idle_conns_per_host {pool}
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def most_connections():
    """As many as the descriptors of a process allow, two for each and some to spare."""
    return min(16384, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200) // 3)


def descendants(root):
    """The process and all that descend from it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:
                continue
            parents.setdefault(int(stat.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    out, left = [], [root]
    while left:
        out.append(left.pop())
        left += parents.get(out[-1], [])
    return out


class Subject:
    """A gateway under test, or the back end itself where `command` is None."""

    def __init__(self, name, template="", command=None, version=None, env=None,
                 everywhere=False, **fill):
        self.name, self.template, self.command, self.fill = name, template, command, fill
        self.everywhere = everywhere  # On all cores, also where the load is.
        self.env, self.process, self.pids, self.port = env or {}, None, [], 0
        self.version = self.told(version) if version else ""

    @staticmethod
    def told(command):
        """The first line with a number in it."""
        got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             check=False).stdout
        return next((line.strip() for line in got.splitlines() if re.search(r"\d\.\d", line)), "?")

    def start(self, back, core):
        """Serves before the back end on port `back`."""
        if self.command is None:
            self.port = back
            return
        self.folder = tempfile.TemporaryDirectory(prefix=f"otus-perf-{self.name}-")
        here = Path(self.folder.name)
        here.chmod(0o755)
        self.port = free_port()
        text = self.template.format(port=self.port, admin=free_port(), back=back, here=here,
                                    connections=most_connections(), **self.fill)
        (here / "settings.toml").write_text(text)
        (here / "settings.toml").chmod(0o600)
        words = [word.format(settings=here / "settings.toml", here=here, port=self.port, back=back)
                 for word in self.command]
        env = {key: value.format(here=here) for key, value in self.env.items()}
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GUFO_")}
        with open(here / "log", "wb") as log:
            self.process = subprocess.Popen(load.pinned(None if self.everywhere else core,
                                                         words), cwd=here, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env={**clean, **env})
        end = time.monotonic() + 20
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > end:
                said = (here / "log").read_text(errors="replace")[-1500:]
                self.stop()
                raise RuntimeError(f"{self.name} did not start:\n{said}")
            time.sleep(0.05)
        self.pids = descendants(self.process.pid)

    def listens(self):
        with socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process, self.pids = None, []
            self.folder.cleanup()

    def cpu_s(self):
        """CPU time of all its threads so far."""
        total = 0
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    total += int((task / "schedstat").read_text().split()[0])
                except OSError:
                    continue
        return total / 1e9

    def kib(self, key):
        """A line of the kernel's status file, such as VmRSS or VmHWM, of all its processes."""
        found = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                found += int(line.split()[1]) if line.startswith(key + ":") else 0
        return found


def otus(name, program, io="auto", log="off", pool=512, routes=0, workers=1, extra=""):
    """Otus with settings of its own; with more than one worker, each on a core of its own."""
    many = "".join(ROUTE.format(number=number) for number in range(routes))
    return Subject(name, OTUS, [str(program), "start", "-c", "{settings}"], [program, "--version"],
                   everywhere=workers > 1, io=io, log=log, pool=pool, routes=many,
                   workers=workers, extra=extra)


def floor(program, name="l4"):
    """What passes bytes on and looks at none, of load.rs."""
    return Subject(name, "", [str(program), "l4", "127.0.0.1:{port}", "127.0.0.1:{back}"])


def has_uring(program):
    """Whether Otus may use io_uring here."""
    try:
        got = otus("probe", program, io="io_uring")
        got.start(1, None)
        got.stop()
        return True
    except RuntimeError:
        return False


def peers(pool=512, suffix=""):
    """(those that are here, [(name, why)] of those that are not). `pool`: connections to the back
    end that they keep."""
    known = [
        Subject(f"nginx{suffix}", NGINX, ["nginx", "-p", "{here}", "-c", "{settings}"],
                ["nginx", "-v"], pool=pool)
        if shutil.which("nginx") else "nginx",
        Subject(f"haproxy{suffix}", HAPROXY, ["haproxy", "-db", "-f", "{settings}"],
                ["haproxy", "-v"], pool=pool)
        if shutil.which("haproxy") else "haproxy",
        Subject(f"caddy{suffix}", CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config",
                                 "{settings}"], ["caddy", "version"],
                {"GOMAXPROCS": "1", "XDG_DATA_HOME": "{here}", "XDG_CONFIG_HOME": "{here}"},
                pool=pool)
        if shutil.which("caddy") else "caddy",
    ]
    return ([one for one in known if isinstance(one, Subject)],
            [(one, "not in PATH") for one in known if isinstance(one, str)])
