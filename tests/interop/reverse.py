"""The three dialects of the Reverse protocol, as Python sees them: each from its .proto, each in a
pool of its own, because A and B use the same names for different messages. Nothing is generated.

`Told` is what a service was told, in one form for all dialects; `Answer` is what it says.
"""
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf import (descriptor_pb2, descriptor_pool, message_factory, struct_pb2,
                             wrappers_pb2)
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[2] / "proto"
URL = "type.googleapis.com/"
METHODS = {"": 0, "GET": 1, "POST": 2, "PUT": 3, "PATCH": 4, "DELETE": 5}


class Dialect:
    """`a`, `b` or `c`: its messages, and the paths of its methods."""

    def __init__(self, name):
        self.name = name
        self.package = "gufo." if name == "c" else ""
        file = {"a": "reverse_a.proto", "b": "reverse.proto", "c": "reverse_c.proto"}[name]
        pool = descriptor_pool.DescriptorPool()
        for described in compiled(file).file:
            pool.Add(described)
        find = pool.FindMessageTypeByName
        get = message_factory.GetMessageClass
        self.Any = get(find("google.protobuf.Any"))
        for known in ("Request", "Response", "Error", "FileChunk", "StringMap", "ResponseMeta",
                      "RequestContext", "InternalRequest"):
            try:
                setattr(self, known, get(find(self.package + known)))
            except KeyError:
                setattr(self, known, None)  # Not every dialect has it.
        self.service = self.package + "Reverse"

    def path(self, method):
        return f"/{self.service}/{method}"

    def value(self, value):
        """A JSON value as the protocol carries it."""
        return self.raw(json.dumps(value))

    def raw(self, text):
        inner = wrappers_pb2.BytesValue(value=text.encode())
        return self.any("google.protobuf.BytesValue", inner)

    def any(self, name, message):
        return self.Any(type_url=URL + name, value=message.SerializeToString())

    def text(self, value):
        return self.any("google.protobuf.StringValue", wrappers_pb2.StringValue(value=value))

    def struct(self, value):
        out = struct_pb2.Struct()
        out.update(value)
        return self.any("google.protobuf.Struct", out)

    def stub(self, channel, method="Do"):
        """A caller of this dialect."""
        make = channel.unary_unary if method == "Do" else channel.stream_stream
        return make(self.path(method), request_serializer=self.Request.SerializeToString,
                    response_deserializer=self.Response.FromString)


def compiled(file):
    include = Path(protoc.__file__).parent / "_proto"
    with tempfile.NamedTemporaryFile(prefix="otus-proto-") as out:
        code = protoc.main(["protoc", f"-I{PROTO}", f"-I{include}", "--include_imports",
                            f"--descriptor_set_out={out.name}", file])
        if code != 0:
            raise RuntimeError(f"protoc ended with {code}")
        return descriptor_pb2.FileDescriptorSet.FromString(Path(out.name).read_bytes())


DIALECTS = {name: Dialect(name) for name in "abc"}


def decoded(value):
    """The text of JSON within an Any, whatever it was wrapped in; `None` for other types."""
    kind = value.type_url.rsplit("/", 1)[-1]
    if kind == "google.protobuf.BytesValue":
        return wrappers_pb2.BytesValue.FromString(value.value).value.decode()
    if kind == "google.protobuf.StringValue":
        return json.dumps(wrappers_pb2.StringValue.FromString(value.value).value)
    if kind == "google.protobuf.Struct":
        from google.protobuf import json_format
        return json_format.MessageToJson(struct_pb2.Struct.FromString(value.value), indent=None)
    return None


@dataclass
class Told:
    """What a service was told. `texts` are arguments as raw JSON, `args` the same as values."""

    dialect: str
    message: object
    module: str = ""
    param: str = ""
    param_id: str = ""
    param_idd: str = ""
    path: str = ""
    method: str = ""
    number: int = 0
    sign: str = ""
    token: str = ""
    token_type: str = ""
    sid: str = ""
    ip: str = ""
    agent: str = ""
    language: str = ""
    version: str = ""
    time: int = 0
    request_id: str = ""
    trace_id: str = ""
    uid: str = ""
    is_admin: int = 0
    session_end: int = 0
    completed: int = 0
    readonly: int = 0
    inner: tuple = None  # IR: param, param_id, method.
    texts: dict = field(default_factory=dict)
    body: str = None
    file: bytes = None
    filename: str = ""

    @property
    def args(self):
        """The arguments; of dialect C, query and body together."""
        out = {key: json.loads(text) for key, text in self.texts.items() if text is not None}
        if self.body:
            out.update(json.loads(self.body))
        return out

    def has(self, name):
        """Whether the message holds this field; for those that are optional."""
        return self.message.HasField(name)


def told(dialect, message):
    return told_c(message) if dialect.name == "c" else told_ab(dialect, message)


def told_ab(dialect, m):
    inner = (m.IR.Param, m.IR.ParamID, m.IR.Method) if m.HasField("IR") else None
    args = dict(m.Args)
    args.update(m.IR.Args if inner else {})
    return Told(
        dialect.name, m, m.Module, m.Param, m.ParamID, m.ParamIDD, m.Path, m.Method,
        sign=m.Sign, token=m.Token, token_type=m.TokenType, sid=m.SID, ip=m.IP, agent=m.UserAgent,
        language=m.Language, version=m.APIVersion, time=m.TimeStamp, uid=m.UID,
        is_admin=m.IsAdmin, session_end=m.SessionEnd, completed=m.Completed, readonly=m.Readonly,
        inner=inner, texts={key: decoded(value) for key, value in args.items()},
        file=m.File if m.HasField("File") else None, filename=m.Filename)


def told_c(m):
    names = {number: name for name, number in METHODS.items()}
    auth, context = m.auth, m.context
    return Told(
        "c", m, m.module, m.param, m.param_id, m.param_idd, m.path, names[m.method],
        number=m.method, sign=auth.sign, token=auth.token, token_type=auth.token_type,
        sid=auth.sid, ip=context.ip, agent=context.user_agent, language=context.language,
        version=context.api_version, time=context.timestamp, request_id=context.request_id,
        trace_id=context.trace_id, uid=auth.uid, is_admin=int(auth.is_admin),
        session_end=auth.session_end, completed=int(auth.meta.get("completed", "0") or 0),
        readonly=int(auth.readonly),
        texts={key: json.dumps(value) for key, value in m.query.items()},
        body=decoded(m.body) if m.HasField("body") else None)


@dataclass
class Answer:
    """What a service says. `raw` are values as JSON text, `anys` whole Anys; `back`, `error`,
    `meta` are fields of the messages of that name."""

    data: dict = field(default_factory=dict)
    raw: dict = field(default_factory=dict)
    anys: dict = field(default_factory=dict)
    back: dict = None
    error: dict = None
    meta: dict = None
    code: int = 0

    def message(self, dialect):
        values = {key: dialect.value(value) for key, value in self.data.items()}
        values.update({key: dialect.raw(text) for key, text in self.raw.items()})
        values.update(self.anys)
        if dialect.name == "c":
            out = dialect.Response(data=values, code=self.code)
            fields = {"back": "request_back", "error": "error", "meta": "meta"}
        else:
            out = dialect.Response(Data=values)
            if self.code:
                out.Code = self.code
            fields = {"back": "RequestBack", "error": "error"}
        for name, place in fields.items():
            if (value := getattr(self, name)) is not None:
                fill(getattr(out, place), value)
        return out


def fill(message, values):
    """Sets fields of a message, and of those within it."""
    for name, value in values.items():
        if isinstance(value, dict):
            place = getattr(message, name)
            place.update(value) if hasattr(place, "update") else fill(place, value)
        else:
            setattr(message, name, value)


def channel(port):
    return grpc.insecure_channel(f"127.0.0.1:{port}")
