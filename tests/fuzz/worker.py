"""One run of libFuzzer over the target that `FUZZ_TARGET` names; `run.py` starts it."""

import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports(include=["greenroom"]):
    from support.fuzz_targets import TARGETS

if __name__ == "__main__":
    # To merge, libFuzzer has a shell run the words that it was started with.
    itself = f"{sys.executable} {__file__}"
    atheris.Setup([itself, *sys.argv[1:]], TARGETS[os.environ["FUZZ_TARGET"]])
    atheris.Fuzz()
