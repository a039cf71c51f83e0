"""The data directory: its lock, and the secret a development node keeps there."""

import stat

import pytest

from greenroom.node.datadir import (
    DataDirectory,
    make_development_secret,
    open_data_directory,
    read_development_secret,
)
from greenroom.node.errors import DataDirectoryError


def test_the_directory_is_created_for_its_owner_alone(tmp_path):
    with open_data_directory(tmp_path / "a" / "b") as directory:
        assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700


def test_one_node_holds_a_directory_at_a_time(tmp_path):
    with (
        open_data_directory(tmp_path),
        pytest.raises(DataDirectoryError, match="in use by another node"),
        open_data_directory(tmp_path),
    ):
        pytest.fail("the lock was given twice")
    with open_data_directory(tmp_path):
        pass


def test_a_file_in_place_of_the_directory_is_refused(tmp_path):
    path = tmp_path / "data"
    path.write_text("a file")
    with pytest.raises(DataDirectoryError, match="is not a directory"), open_data_directory(path):
        pass


def test_a_directory_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("a file")
    with (
        pytest.raises(DataDirectoryError, match="Not a directory"),
        open_data_directory(tmp_path / "file" / "data"),
    ):
        pass


def test_the_development_secret_is_made_once_and_only_its_owner_reads_it(tmp_path):
    directory = DataDirectory(tmp_path)
    assert read_development_secret(directory) is None
    secret = make_development_secret(directory)
    assert read_development_secret(directory) == secret
    assert stat.S_IMODE(directory.secret.stat().st_mode) == 0o600
    assert len(secret.reveal()) >= 32
    assert [path.name for path in tmp_path.iterdir()] == ["development-secret"]


def test_two_directories_have_two_secrets(tmp_path):
    secrets = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        secrets.add(make_development_secret(DataDirectory(tmp_path / name)))
    assert len(secrets) == 2


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        ("x" * 43, 0o644, "chmod 600"),
        ("x" * 5, 0o600, "damaged"),
        ("\u00e9" * 40, 0o600, "damaged"),
    ],
)
def test_a_secret_that_leaked_or_broke_is_refused(tmp_path, text, mode, complaint):
    directory = DataDirectory(tmp_path)
    directory.secret.write_text(text, encoding="utf-8")
    directory.secret.chmod(mode)
    with pytest.raises(DataDirectoryError, match=complaint):
        read_development_secret(directory)
