"""The corpus of each target: what reached new code, and every input that once found a bug.

One file for each target, one input a line, in base64: small, and a diff shows what came.
"""

import base64
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "fuzz" / "corpus"


def read_corpus(target: str) -> list[bytes]:
    path = FOLDER / f"{target}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [base64.b64decode(line) for line in lines]


def write_corpus(target: str, inputs: Iterable[bytes]) -> None:
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    lines = [base64.b64encode(data).decode() + "\n" for data in ordered]
    (FOLDER / f"{target}.txt").write_text("".join(lines))
