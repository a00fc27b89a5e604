"""A file that is there is whole."""

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8; a reader sees the old content or the new one, never a part. Folders above it are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
