"""The tests shown in the how-to on testing are tests that pass, not only code that runs."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "test-with-a-fake-clock.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_documented_tests_pass(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    for number, source in enumerate(BLOCKS):
        (tmp_path / f"test_block_{number}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA"]
    finished = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert finished.returncode == 0, finished.stdout
    written = sum(source.count("def test_") for source in BLOCKS)
    assert finished.stdout.count("PASSED test_block_") == written > 0
