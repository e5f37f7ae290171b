"""The classes of proto/reverse.proto, compiled when they are first asked for. Nothing is kept."""
import atexit
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"


def load():
    """Returns the modules (messages, services) of the Reverse protocol."""
    out = tempfile.mkdtemp(prefix="otus-stubs-")
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    include = Path(protoc.__file__).parent / "_proto"
    code = protoc.main([
        "protoc", f"-I{PROTO}", f"-I{include}", f"--python_out={out}",
        f"--grpc_python_out={out}", "reverse.proto",
    ])
    if code != 0:
        raise RuntimeError(f"protoc ended with {code}")
    sys.path.insert(0, out)
    return importlib.import_module("reverse_pb2"), importlib.import_module("reverse_pb2_grpc")
