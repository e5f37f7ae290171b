"""The classes of proto/reverse.proto, compiled when they are first asked for. Nothing is kept."""
import importlib
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def load():
    """Returns the modules (messages, services) of the Reverse protocol."""
    include = Path(protoc.__file__).parent / "_proto"
    # Gone before anything is served: whoever is killed leaves nothing behind.
    with tempfile.TemporaryDirectory(prefix="otus-stubs-") as out:
        code = protoc.main([
            "protoc", f"-I{PROTO}", f"-I{include}", f"--python_out={out}",
            f"--grpc_python_out={out}", "reverse.proto",
        ])
        if code != 0:
            raise RuntimeError(f"protoc ended with {code}")
        sys.path.insert(0, out)
        try:
            names = "reverse_pb2", "reverse_pb2_grpc"
            return tuple(importlib.import_module(name) for name in names)
        finally:
            sys.path.remove(out)
