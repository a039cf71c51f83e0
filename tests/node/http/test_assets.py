"""Which files of the page are served, and under which paths."""

from greenroom.node.http.assets import load_assets


def test_files_are_served_by_their_path_and_the_index_at_the_root(tmp_path):
    (tmp_path / "index.html").write_text("page")
    (tmp_path / "icons").mkdir()
    (tmp_path / "icons" / "a.svg").write_text("<svg/>")
    assets = load_assets(tmp_path)
    assert set(assets) == {"/", "/icons/a.svg"}
    assert assets["/"].content == b"page"
    assert assets["/icons/a.svg"].media_type == "image/svg+xml"


def test_hidden_files_and_unknown_kinds_stay_where_they_are(tmp_path):
    for name in (".hidden.js", "notes.md", "page.py", "key.pem"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.js").write_text("x")
    assert load_assets(tmp_path) == {}


def test_an_etag_follows_the_content(tmp_path):
    path = tmp_path / "a.js"
    path.write_text("one")
    first = load_assets(tmp_path)["/a.js"].etag
    path.write_text("two")
    assert load_assets(tmp_path)["/a.js"].etag != first


def test_a_node_without_its_page_has_no_files(tmp_path):
    assert load_assets(tmp_path / "nowhere") == {}
