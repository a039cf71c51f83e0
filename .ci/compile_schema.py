"""Compile `protocol/greenroom.proto` into `protocol/_schema.py`; needs grpcio-tools.

python .ci/compile_schema.py            # writes the module
python .ci/compile_schema.py --check    # says whether it is up to date
"""

import base64
import sys
import tempfile
import textwrap
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

PROTOCOL = Path(__file__).parents[1] / "protocol"
TARGET = PROTOCOL / "_schema.py"
MODULE = '''\
"""`greenroom.proto`, compiled. Written by `.ci/compile_schema.py`, not by hand.

A descriptor and not the classes that protoc would write: those only run with the release of the
Protobuf runtime that they were written for and the next one.
"""

import base64
from typing import Final

FILE_DESCRIPTOR: Final = base64.b64decode(
{lines}
)
'''


def compiled() -> FileDescriptorProto:
    """What the compiler makes of the schema, without what every reader works out for itself."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "schema"
        source = str(PROTOCOL / "greenroom.proto")
        status = protoc.main(["protoc", f"-I{PROTOCOL}", f"--descriptor_set_out={out}", source])
        if status:
            raise SystemExit(status)
        (file,) = FileDescriptorSet.FromString(out.read_bytes()).file
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
    return file


def module(file: FileDescriptorProto) -> str:
    """The text of `protocol/_schema.py`."""
    text = base64.b64encode(file.SerializeToString(deterministic=True)).decode()
    lines = [f'    "{line}"' for line in textwrap.wrap(text, 92)]
    return MODULE.format(lines="\n".join(lines))


if __name__ == "__main__":
    text = module(compiled())
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if TARGET.read_text() == text else f"{TARGET} is not up to date")
    TARGET.write_text(text)
