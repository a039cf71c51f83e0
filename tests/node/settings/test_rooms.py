"""The setting of rooms: both its forms, what it refuses, and how it is shown."""

import pytest

from greenroom.actors.rights.access import RoomKind, RoomPolicies, RoomPolicy
from greenroom.node.errors import SettingsError
from greenroom.node.settings.describe import describe_settings
from greenroom.node.settings.layers import load_settings
from greenroom.node.settings.rooms import read_grant
from greenroom.protocol import ALL_RIGHTS, NO_RIGHTS, Right

JOIN, PUBLISH, READ = Right
FILE = """
port = 1

[rooms.team]
kind = "private"
max_members = 50
max_content_bytes = 1024
max_rooms_per_connection = 5

[rooms.news]
kind = "public"
anyone = ["join", "read"]

[rooms.ephemeral]
kind = "public"

[rooms."*"]
kind = "public"
anyone = []
"""
TEXT = (
    "team=private,max_members=50,max_content_bytes=1024,max_rooms_per_connection=5 "
    "news=public,anyone=join+read ephemeral=public *=public,anyone=none"
)
MEANT = RoomPolicies(
    {
        **RoomPolicies().by_prefix,
        "team": RoomPolicy(
            kind=RoomKind.PRIVATE,
            max_members=50,
            max_content_bytes=1024,
            max_rooms_per_connection=5,
        ),
        "news": RoomPolicy(anyone=frozenset({JOIN, READ})),
        "ephemeral": RoomPolicy(),
    },
    RoomPolicy(anyone=NO_RIGHTS),
)


def from_text(text):
    return load_settings(environ={"GREENROOM_ROOMS": text}).rooms


def from_toml(tmp_path, text):
    (tmp_path / "g.toml").write_text(text)
    return load_settings(config=tmp_path / "g.toml").rooms


def test_the_file_and_the_environment_say_the_same(tmp_path):
    assert from_toml(tmp_path, FILE).policies == from_text(TEXT).policies == MEANT


def test_what_is_shown_can_be_given_again():
    rooms = from_text(TEXT)
    assert from_text(str(rooms)) == rooms
    shown = {name: value for name, value, _ in describe_settings(load_settings())}
    assert shown["rooms"] == "ephemeral=ephemeral private=private direct=direct"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rooms = 1", "rooms must be tables such as [rooms.team]"),
        ("[rooms]\nteam = 1", "rooms must be tables such as [rooms.team]"),
        ("[rooms.team]", "such that team has a kind"),
        ('[rooms.team]\nkind = "secret"', "kind of team is one of public, ephemeral, private"),
        ('[rooms.team]\nkind = "private"\nmax_member = 1', "did you mean max_members?"),
        ('[rooms.team]\nkind = "private"\nmax_members = 0', "max_members of team is a whole"),
        ('[rooms.team]\nkind = "private"\nanyone = ["join"]', "it is not for anyone"),
        ('[rooms.team]\nkind = "public"\nanyone = "join"', "anyone of team is a list of some of"),
        ('[rooms."te:am"]\nkind = "public"', "'te:am' is not"),
        ("[room.team]", "the file has no sections but [rooms.PREFIX]"),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path, text, complaint):
    with pytest.raises(SettingsError) as caught:
        from_toml(tmp_path, text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("team", "kind of team is one of"),
        ("team=private,50", "entries such as team=private,max_members=50"),
        ("team=private,kind=public", "entries such as"),
        ("team=private team=public", "only one is for team"),
        ("team=private,max_members=many", "max_members of team is a whole number"),
        ("news=public,anyone=", "anyone of news is a list of some of join, publish, read"),
    ],
)
def test_a_bad_text_is_refused_in_one_line(text, complaint):
    with pytest.raises(SettingsError) as caught:
        from_text(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_grant_names_its_rights_or_means_all():
    assert read_grant("team:red") == ("team:red", ALL_RIGHTS)
    assert read_grant("team:*=join+read") == ("team:*", {JOIN, READ})
    with pytest.raises(SettingsError, match=r"join\+publish\+read"):
        read_grant("team:red=all")
