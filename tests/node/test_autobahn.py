"""The Autobahn test suite's fuzzing client against the echo route, where it is installed.

`GREENROOM_TEST_WSTEST` names its program: docs/how-to/run-autobahn.md says how to get it.
"""

import json
import os

import pytest
import trio
from support.node_process import node_process

pytestmark = [pytest.mark.socket, pytest.mark.slow]

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"]
PASSED = {"OK", "INFORMATIONAL"}


@pytest.mark.timeout(600)
async def test_every_case_of_the_autobahn_suite_passes(tmp_path):
    program = os.environ.get("GREENROOM_TEST_WSTEST")
    if program is None:
        pytest.skip("GREENROOM_TEST_WSTEST names no wstest")
    async with node_process(tmp_path, echo_route="yes") as node:
        url = node.url.replace("/ws", "/echo")
        servers = [{"agent": "Greenroom", "url": url, "options": {"version": 13}}]
        spec = {
            "outdir": str(tmp_path / "reports"),
            "servers": servers,
            "cases": CASES,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        command = [program, "-m", "fuzzingclient", "-s", str(tmp_path / "spec.json")]
        await trio.run_process(command, cwd=tmp_path, capture_stdout=True)
    results = json.loads((tmp_path / "reports" / "index.json").read_text())["Greenroom"]
    assert len(results) > 300
    failed = {
        case: result
        for case, result in results.items()
        if result["behavior"] not in PASSED or result["behaviorClose"] not in PASSED
    }
    assert failed == {}
