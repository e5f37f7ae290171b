#!/usr/bin/env python3
"""A session service that knows every token: `session.py PORT`. It ends with its standard input."""
import sys
from concurrent import futures
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/interop"))
import service  # noqa: E402


class Session(service.RPC.ReverseServicer):
    def Do(self, _request, _context):
        return service.answer(uid="42", isadmin=0, session_expired=4_000_000_000, completed=1,
                              readonly=0, token="t", token_type="Bearer")


server = grpc.server(futures.ThreadPoolExecutor(2))
service.RPC.add_ReverseServicer_to_server(Session(), server)
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
sys.stdin.read()
