"""A data set of Kaggle, through kagglehub: its credentials, its cache, its downloads that go on where they stood."""

# ruff: noqa: PLC0415

import logging
import re
import sys
import tarfile
import zipfile
import zlib
from contextlib import redirect_stdout
from pathlib import Path

from vigie.errors import BadData, BadSetting, Unavailable, VigieError

PREFIX = "kaggle:"
CREDENTIALS = (
    "give credentials in one of three ways: KAGGLE_API_TOKEN (or ~/.kaggle/access_token); "
    "KAGGLE_USERNAME and KAGGLE_KEY; or ~/.kaggle/kaggle.json. A token is made at https://www.kaggle.com/settings"
)
_HANDLE = re.compile(r"[\w.-]+/[\w.-]+(/versions/[1-9]\d*)?", re.ASCII)


def download_from_kaggle(handle: str) -> Path:
    """The folder in kagglehub's cache (`KAGGLEHUB_CACHE`); what is there already is not downloaded again.

    Raises:
        BadSetting: the handle is misspelt, or credentials are missing or refused.
        BadData: there is no such set, or what came is damaged.
        Unavailable: Kaggle cannot be reached.
    """
    if not _HANDLE.fullmatch(handle):
        raise BadSetting(f"{PREFIX}{handle}: expected {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME/versions/NUMBER")
    # Standard output is for results, and kagglehub talks on it.
    with redirect_stdout(sys.stderr):
        import kagglehub
        import requests
        from kagglehub.config import get_kaggle_credentials
        from kagglehub.exceptions import DataCorruptionError

        speaks = logging.getLogger("kagglehub")
        speaks.handlers.clear()
        speaks.propagate = True
        try:
            known = get_kaggle_credentials() is not None
        except ValueError as error:
            raise BadSetting(f"{PREFIX}{handle}: {error}; {CREDENTIALS}") from error
        try:
            return Path(kagglehub.dataset_download(handle))
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            raise _refused(handle, status, known=known) from error
        except requests.RequestException as error:
            raise Unavailable(
                f"{PREFIX}{handle}: Kaggle cannot be reached ({_innermost(error)}); look at the network, "
                "the same command goes on where it stood"
            ) from error
        except (DataCorruptionError, zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError) as error:
            _forget_archives(handle)
            raise BadData(f"{PREFIX}{handle}: what came is damaged ({error}); run the same command again") from error
        except OSError as error:
            raise Unavailable(f"{PREFIX}{handle}: cannot be stored: {error}") from error


def _forget_archives(handle: str) -> None:
    """kagglehub takes an archive that has its full length for good, however often it cannot be unpacked."""
    from kagglehub.config import get_cache_folder

    owner, name = handle.split("/")[:2]
    for archive in (Path(get_cache_folder()) / "datasets" / owner / name).glob("*.archive"):
        archive.unlink()


def _refused(handle: str, status: int, *, known: bool) -> VigieError:
    name = f"{PREFIX}{handle}"
    if status in (401, 403):
        if not known:
            return BadSetting(
                f"{name}: Kaggle refuses (HTTP {status}): it is private, misspelt or asks for consent on its page, and "
                f"no credentials were found; {CREDENTIALS}"
            )
        return BadSetting(
            f"{name}: Kaggle refuses these credentials (HTTP {status}): they are wrong or old, or the set is private, "
            f"misspelt or asks for consent on its page; {CREDENTIALS}"
        )
    if status == 404:
        return BadData(f"{name}: Kaggle has no such set or version (HTTP 404); look at the address of its page again")
    if status == 429:
        return Unavailable(f"{name}: Kaggle asks to wait (HTTP 429); try again later, or with credentials")
    return Unavailable(f"{name}: Kaggle could not send it (HTTP {status}); try again later")


def _innermost(error: BaseException) -> BaseException:
    """requests and urllib3 wrap an error three times over before it says what happened."""
    inner = [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, BaseException)]
    return _innermost(inner[0]) if inner else error
