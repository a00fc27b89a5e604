"""What libraries print from C++, past Python's logging: held back, and shown only where it explains a failure."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_STANDARD_ERROR = 2


@contextmanager
def native_noise_held() -> Iterator[None]:
    """Within it, what native code writes to standard error goes nowhere; progress bars and logging still show.

    After an error all of it is written out. It redirects the whole process's file descriptor: one thread at a time.
    """
    python_side = sys.stderr
    python_side.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(_STANDARD_ERROR), "w", buffering=1) as shown:
        os.dup2(held.fileno(), _STANDARD_ERROR)
        if _is_native(python_side):
            sys.stderr = shown
        try:
            yield
        except Exception:
            held.seek(0)
            shown.write(held.read().decode(errors="replace"))
            raise
        finally:
            sys.stderr = python_side
            shown.flush()
            os.dup2(shown.fileno(), _STANDARD_ERROR)


def _is_native(stream: object) -> bool:
    """Not in a notebook, nor where a test listens: these have streams of their own."""
    try:
        return stream.fileno() == _STANDARD_ERROR  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError, ValueError):
        return False
