"""The page's files, read once at start and served from memory.

A request can only name what is in the table, so there is no path to traverse, no thread to wait for
and no file descriptor to run out of.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import attrs

PAGE_DIRECTORY = Path(__file__).parents[1] / "page"
INDEX = "index.html"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}


@attrs.frozen
class Asset:
    """One file as it is sent."""

    content: bytes = attrs.field(repr=False)
    media_type: str
    etag: str


def load_assets(directory: Path = PAGE_DIRECTORY) -> Mapping[str, Asset]:
    """Return the files of `directory` by the path they are served under; the index is `/`.

    Files of other kinds than `MEDIA_TYPES`, and hidden ones, are left out.
    """
    assets: dict[str, Asset] = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        media_type = MEDIA_TYPES.get(path.suffix)
        if media_type is None or any(part.startswith(".") for part in relative.parts):
            continue
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
        name = "/" if relative == Path(INDEX) else f"/{relative.as_posix()}"
        assets[name] = Asset(content, media_type, etag)
    return assets
