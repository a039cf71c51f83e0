"""Fuzz one target, guided by coverage (atheris, in the extra `fuzz`).

    python tests/fuzz/run.py TARGET [--minutes 5] [--keep]
    python tests/fuzz/run.py TARGET --input crash-1234       run one input again

TARGET is one of those in tests/support/fuzz_targets.py. It begins with the kept corpus. An input
that raises is written to crash-* in the working directory, and ends the run with its traceback.
With --keep, what reached code that the kept corpus does not reach is added to it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fuzz_corpus import read_corpus, write_corpus
from support.fuzz_targets import TARGETS

MOST_BYTES = 2_048
"""Of one input: more finds no more, and takes longer."""
MOST_KEPT_BYTES = 400
"""Of one input that is added to the corpus."""


def main() -> int:
    arguments = parse(sys.argv[1:])
    if find_spec("atheris") is None:
        print("atheris is missing: pip install 'greenroom[fuzz]', or '.[fuzz]'", file=sys.stderr)
        return 2
    if arguments.input is not None:
        return fuzz(arguments.target, [arguments.input], [])
    with tempfile.TemporaryDirectory() as folder:
        kept, found = Path(folder) / "kept", Path(folder) / "found"
        kept.mkdir()
        found.mkdir()
        for number, data in enumerate(read_corpus(arguments.target)):
            (kept / f"{number:05}").write_bytes(data)
        options = [
            f"-max_total_time={round(arguments.minutes * 60)}",
            f"-max_len={MOST_BYTES}",
            "-timeout=5",
            "-print_final_stats=1",
        ]
        status = fuzz(arguments.target, [found, kept], options)
        if status == 0 and arguments.keep:
            # Merging adds to `kept` what reaches more than is there, the shortest first.
            fuzz(arguments.target, [kept, found], ["-merge=1"])
            inputs = [path.read_bytes() for path in kept.iterdir()]
            old = set(read_corpus(arguments.target))
            write_corpus(
                arguments.target, [i for i in inputs if i in old or len(i) <= MOST_KEPT_BYTES]
            )
            print(f"the corpus has {len(read_corpus(arguments.target))} inputs, had {len(old)}")
    return status


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--input", type=Path, help="run this input only")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--keep", action="store_true", help="add to the kept corpus")
    return parser.parse_args(words)


def fuzz(target: str, inputs: list[Path], options: list[str]) -> int:
    """Run libFuzzer in a process of its own: it ends its process, however it goes."""
    command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
    return subprocess.run(
        [*command, *map(str, inputs), *options],
        env={**os.environ, "FUZZ_TARGET": target},
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
