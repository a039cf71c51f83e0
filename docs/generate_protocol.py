"""Write what `docs/protocol.md` takes from the code: the state diagram, and examples in Protobuf.

    python docs/generate_protocol.py            # writes it into the page
    python docs/generate_protocol.py --check    # says whether the page is up to date

After each JSON example of a message stands the same one as a Protobuf frame: its bytes, and above
all of them what they say, in text format. The JSON is written by hand.
"""

import re
import sys
import textwrap
from pathlib import Path

from google.protobuf import text_format

from greenroom.protocol import JSON_CODEC, PROTOBUF_CODEC, TRANSITIONS, Answer, Command
from greenroom.protocol._protobuf import CLIENT_FRAME, SERVER_FRAME

PAGE = Path(__file__).parent / "protocol.md"
SECTION = re.compile(r"^### [A-Z_]+ \((client|node)\)\n.*?(?=^##|\Z)", re.MULTILINE | re.DOTALL)
JSON_EXAMPLE = re.compile(
    r"(```json\n(.*?)^```\n)(?:\n```textproto\n.*?^```\n)?", re.MULTILINE | re.DOTALL
)
DIAGRAM = re.compile(r"(```mermaid\nstateDiagram-v2\n)(.*?)(^```\n)", re.MULTILINE | re.DOTALL)


def textproto(message: Command | Answer, sender: str) -> str:
    """The frame of `message`: name and size, its bytes, and what they say."""
    frame = PROTOBUF_CODEC.encode(message)
    kind = CLIENT_FRAME if sender == "client" else SERVER_FRAME
    hexadecimal = textwrap.wrap(frame.hex(" "), 95)
    lines = [f"# {kind.DESCRIPTOR.name}, {len(frame)} bytes:", *(f"# {h}" for h in hexadecimal)]
    said = text_format.MessageToString(kind.FromString(frame), as_utf8=True)
    return "\n".join(lines) + "\n" + said


def diagram() -> str:
    """The transition table, as Mermaid draws it."""
    lines = ["    [*] --> DISCONNECTED"]
    for (before, event), after in TRANSITIONS.items():
        lines.append(f"    {before.value} --> {after.value}: {event.name}")
    return "\n".join(lines) + "\n"


def generated(page: str) -> str:
    """`page` with everything that comes from the code."""

    def with_protobuf(section: "re.Match[str]") -> str:
        sender = section[1]
        decode = JSON_CODEC.decode_command if sender == "client" else JSON_CODEC.decode_answer

        def both(example: "re.Match[str]") -> str:
            frame = textproto(decode(example[2]), sender)
            return f"{example[1]}\n```textproto\n{frame}```\n"

        return JSON_EXAMPLE.sub(both, section[0])

    page = SECTION.sub(with_protobuf, page)
    return DIAGRAM.sub(lambda found: found[1] + diagram() + found[3], page)


if __name__ == "__main__":
    before = PAGE.read_text()
    after = generated(before)
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if after == before else f"{PAGE} is not up to date")
    PAGE.write_text(after)
