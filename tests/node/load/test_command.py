"""`greenroom load` from its command line, against a whole node on a real socket."""

import io
import json
import os
import random
import signal
import ssl
import subprocess
import sys
from functools import partial

import pytest
import trio
import trustme
from rich.console import Console
from support.patience import PATIENCE_SECONDS
from support.whole_node import running

from greenroom.client import connect_tcp, parse_url
from greenroom.node.cli import main
from greenroom.node.load import command
from greenroom.node.load.run import LoadError
from greenroom.node.load.tokens import GuestRefused, guest_tokens


@pytest.fixture(autouse=True)
def clean_surroundings(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GREENROOM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def arguments(node, *, json_wanted=False, picture=None, **changes):
    url = f"ws://127.0.0.1:{node.port}/ws"
    target = parse_url(url)
    options = {
        "rooms": 2,
        "members": 4,
        "rate": 100,
        "size": 100,
        "ramp": 0.1,
        "seconds": 0.5,
        "durable": True,
        "prefix": None,
        **changes,
    }
    output = command.Output(
        results=Console(file=io.StringIO(), width=80),
        progress=Console(file=io.StringIO()),
        json=json_wanted,
        picture=picture,
    )
    plan = command.make_plan(**options, random=random.Random(1))
    run = partial(
        command.load,
        plan,
        url=url,
        target=target,
        codec=command.choose_codec("json"),
        token=guest_tokens(target),
        output=output,
    )
    return run, output


def small_plan(**changes):
    options = {"rooms": 1, "members": 2, "rate": 1, "size": 100, "ramp": 0, "seconds": 1}
    options |= {"durable": False, "prefix": None, "random": random.Random(1)}
    return command.make_plan(**options | changes)


@pytest.mark.socket
async def test_guests_load_a_whole_node_and_nothing_is_lost(tmp_path):
    async with running(tmp_path / "d") as node:
        run, output = arguments(node, json_wanted=True, picture=tmp_path / "load.svg")
        assert await run() == 0
    data = json.loads(output.results.file.getvalue())
    assert data["ok"]
    assert data["messages"]["acknowledged"] == 50
    assert data["deliveries"]["delivered"] == 150
    assert data["plan"]["first_room"].startswith("load-")
    assert (tmp_path / "load.svg").read_text().startswith("<svg")


@pytest.mark.socket
async def test_a_node_that_gives_guests_nothing_is_one_line(tmp_path):
    async with running(tmp_path / "d", guests=False) as node:
        run, _ = arguments(node)
        with pytest.raises(GuestRefused, match=r"gives no token to guests \(HTTP 404\)$"):
            await run()


@pytest.mark.socket
async def test_a_node_that_is_not_there_is_one_line(tmp_path):
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    target = parse_url(f"ws://127.0.0.1:{port}/ws")
    with pytest.raises(GuestRefused, match=r"guest's token \(connection refused\); is the"):
        await guest_tokens(target, connector=connect_tcp)(0)
    with pytest.raises(LoadError, match=r"^can't reach .* \(connection refused\); is the node run"):
        await command.Load(
            small_plan(),
            target=target,
            codec=command.choose_codec("json"),
            token=command.given_token("t"),
        ).run()


@pytest.mark.socket
async def test_a_node_over_tls_is_loaded_too_and_only_with_a_certificate_that_is_trusted(
    tmp_path,
):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    files = {"tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
    async with running(tmp_path / "d", **files) as node:
        url = f"wss://127.0.0.1:{node.port}/ws"
        with pytest.raises(GuestRefused, match="certificate is not trusted"):
            await guest_tokens(parse_url(url))(0)
        target = parse_url(url, context)
        result = await command.Load(
            small_plan(rate=50, seconds=0.2),
            target=target,
            codec=command.choose_codec("protobuf"),
            token=guest_tokens(target),
        ).run()
    assert (result.record.acknowledged, result.record.delivered) == (10, 10)
    assert not result.lost


@pytest.mark.socket
@pytest.mark.kill
async def test_ctrl_c_sums_up_and_exits_with_130(tmp_path):
    async with running(tmp_path / "d") as node:
        url = f"ws://127.0.0.1:{node.port}/ws"
        options = ["--rooms", "1", "--members", "2", "--rate", "50", "--ramp", "0"]
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "greenroom.node", "load", url, "--guest", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                progress = b""
                while b"sending, 2/2 connected" not in progress:
                    progress += await process.stderr.receive_some()
                process.send_signal(signal.SIGINT)
                shown = b"".join([chunk async for chunk in process.stdout])
                code = await process.wait()
        finally:
            process.kill()
    assert "✓ interrupted; every acknowledged message reached" in shown.decode()
    assert code == 130


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--rooms", "0"], "greenroom: --rooms must be a number from 1 to 100,000, not 0"),
        (["--codec", "xml"], "greenroom: --codec must be one of json, protobuf, not 'xml'"),
        (["http://node/ws"], "greenroom: expected ws://HOST[:PORT]/ws or wss://..., not"),
        (["--rates", "1"], "greenroom: Unknown option: --rates. Did you mean --rate?"),
        ([], "greenroom: greenroom-data holds no development secret: run `greenroom serve"),
    ],
)
def test_bad_usage_is_one_line(capsys, words, complaint):
    assert main(["load", *words]) in {1, 2}
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith(complaint)


def test_a_picture_that_can_not_be_written_is_said_before_anything_is_done(capsys, monkeypatch):
    monkeypatch.setenv("GREENROOM_TOKEN", "t")
    assert main(["load", "--picture", "/nowhere/load.svg"]) == 2
    assert capsys.readouterr().err == (
        "greenroom: --picture /nowhere/load.svg: No such file or directory\n"
    )


def test_more_connections_than_files_may_be_open_is_one_line(monkeypatch):
    monkeypatch.setattr(command.resource, "getrlimit", lambda _: (1024, 4096))
    complaint = "^5000 connections need 5064 open files, and the limit of this shell is 4096"
    with pytest.raises(command.LoadOptionError, match=complaint):
        command.allow_descriptors(5064)
