"""A folder of work that can be gone on with belongs to what it was begun for; that is its key."""

import logging
import shutil
from pathlib import Path

from vigie.whole import write_whole

logger = logging.getLogger(__name__)

_KEY_FILE = "key"


def discard_stale(folder: Path, key: str, what: str) -> None:
    """Leave nothing in the folder of another key, and this one. `what` names it in the log."""
    key_file = folder / _KEY_FILE
    if key_file.is_file() and key_file.read_text(encoding="utf-8") == key:
        return
    if folder.exists() and any(folder.iterdir()):
        logger.warning("stale %s discarded, made from other inputs: folder=%s", what, folder)
        # First, so that what is left after an interruption here counts as stale too.
        key_file.unlink(missing_ok=True)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(key_file, key)
