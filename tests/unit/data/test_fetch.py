"""Sets that lie elsewhere come whole and checked, or not at all. The servers are real ones on loopback."""

import hashlib
import io
import json
import logging
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from loopback_server import send, serving

from vigie.data.fetch.archives import Limits
from vigie.data.fetch.fetch import MARKER, Fetched, advice, fetch, fetched, sets_in
from vigie.errors import BadData, BadSetting, Unavailable, VigieError
from vigie.layouts import open_set


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def zipped(small_set: Path, tmp_path: Path) -> bytes:
    return zip_of(small_set)


def zip_of(folder: Path, top: str = "") -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, top + path.relative_to(folder).as_posix())
    return whole.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_address_becomes_a_set_with_its_checksum_and_is_not_fetched_twice(
    zipped: bytes, small_set: Path, tmp_path: Path
) -> None:
    asked = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.path)
        if to.path == "/moved":
            send(to, b"", 302, Location="/set.zip")
        else:
            send(to, zipped)

    place = tmp_path / "fetched"
    with serving(answer) as server:
        done = fetch(f"{server}/moved", place / "set", sha256=sha256(zipped).upper(), progress=False)
        again = fetch(f"{server}/moved", place / "set", sha256=sha256(zipped), progress=False)
    assert asked == ["/moved", "/set.zip"]
    assert files(place / "set") == files(small_set)
    assert leftovers(place) == ["set"]
    assert (done.sha256, done.sha256_of, done.files) == (sha256(zipped), "archive", len(files(small_set)))
    assert done == again == fetched(place / "set")
    assert done.bytes == sum(map(len, files(small_set).values()))
    assert sets_in(place / "set") == [place / "set"]
    assert f"vigie data check {place / 'set'}" in advice(place / "set")


def test_a_changed_source_is_told_when_it_is_fetched_again(
    zipped: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = [zipped, zip_of(tmp_path / "voc" / "images"), zipped]
    with serving(lambda to: send(to, bodies[0])) as server:
        first = fetch(f"{server}/a", tmp_path / "set", progress=False)
        bodies.pop(0)
        with caplog.at_level(logging.WARNING):
            second = fetch(f"{server}/a", tmp_path / "set", again=True, progress=False)
        with pytest.raises(BadData, match="--again"):
            fetch(f"{server}/a", tmp_path / "set", sha256=first.sha256, progress=False)
        with pytest.raises(BadData, match=r"holds what was fetched from .*/a; choose another folder"):
            fetch(f"{server}/b", tmp_path / "set", progress=False)
    assert first.sha256 in caplog.text
    assert second.sha256 in caplog.text
    assert fetched(tmp_path / "set") == second


def test_another_checksum_than_expected_leaves_nothing(zipped: bytes, tmp_path: Path) -> None:
    place = tmp_path / "fetched"
    with serving(lambda to: send(to, zipped)) as server:
        with pytest.raises(BadData, match=f"{sha256(zipped)}, expected {'0' * 64}"):
            fetch(f"{server}/set.zip", place / "set", sha256="0" * 64, progress=False)
        assert leftovers(place) == []
        with pytest.raises(BadSetting, match="64 hexadecimal digits"):
            fetch(f"{server}/set.zip", place / "set", sha256="abc", progress=False)


@pytest.mark.parametrize("validator", ["", "same", "other"])
def test_a_download_that_broke_goes_on_if_the_file_is_still_the_same(
    validator: str, zipped: bytes, small_set: Path, tmp_path: Path
) -> None:
    """Without an ETag nobody knows, and it starts again."""
    asked: list[str | None] = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        wanted = to.headers.get("Range")
        asked.append(wanted)
        tag = {"ETag": '"1"' if len(asked) == 1 or validator == "same" else '"2"'} if validator else {}
        if len(asked) == 1:
            send(to, zipped[:1000], Content_Length=str(len(zipped)), **tag)
        elif wanted and to.headers["If-Range"] == tag["ETag"]:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            told = f"bytes {start}-{len(zipped) - 1}/{len(zipped)}"
            send(to, zipped[start:], 206, Content_Range=told, **tag)
        else:
            send(to, zipped, **tag)

    place = tmp_path / "fetched"
    with serving(answer) as server:
        with pytest.raises(Unavailable, match=f"ended after 1000 of {len(zipped)} bytes; the same command goes on"):
            fetch(f"{server}/set.zip", place / "set", progress=False)
        assert not (place / "set").exists()
        done = fetch(f"{server}/set.zip", place / "set", progress=False)
    assert asked == [None, "bytes=1000-" if validator else None]
    assert done.sha256 == sha256(zipped)
    assert files(place / "set") == files(small_set)
    assert leftovers(place) == ["set"]


def test_a_run_that_ended_after_the_last_byte_fetches_again(zipped: bytes, tmp_path: Path) -> None:
    asked = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.headers.get("Range"))
        if asked[-1]:
            send(to, b"", 416, Content_Range=f"bytes */{len(zipped)}")
        else:
            send(to, zipped, ETag='"1"')

    with serving(answer) as server:
        url = f"{server}/set.zip"
        (tmp_path / ".set.part").write_bytes(zipped)
        (tmp_path / ".set.part.json").write_text(json.dumps({"url": url, "validator": '"1"'}), encoding="utf-8")
        assert fetch(url, tmp_path / "set", progress=False).sha256 == sha256(zipped)
    assert asked == [f"bytes={len(zipped)}-", None]


def test_a_broken_stream_of_unknown_length_is_not_taken_for_whole(zipped: bytes, tmp_path: Path) -> None:
    def answer(to: BaseHTTPRequestHandler) -> None:
        to.protocol_version = "HTTP/1.1"
        to.send_response(200)
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        to.wfile.write(b"%x\r\n" % len(zipped) + zipped[:500])
        to.close_connection = True

    with serving(answer) as server, pytest.raises(Unavailable, match="the connection broke"):
        fetch(f"{server}/set.zip", tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists()


def test_backslashes_in_a_zip_are_folders(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in (("a\\", b""), ("a\\b.txt", b"x"), ("__MACOSX/a/._b.txt", b"y")):
            archive.writestr(zipfile.ZipInfo(name), content)
    (tmp_path / "a.zip").write_bytes(whole.getvalue())
    fetch(str(tmp_path / "a.zip"), tmp_path / "set", progress=False)
    assert files(tmp_path / "set") == {"a/b.txt": b"x"}


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "asks for a login"), (403, "refuses it"), (404, "no such file"), (500, "try again later")],
)
def test_what_a_server_refuses_is_named(status: int, message: str, tmp_path: Path) -> None:
    with (
        serving(lambda to: send(to, b"no", status)) as server,
        pytest.raises(BadData, match=rf"/set.zip: the server .*{message}.*HTTP {status}"),
    ):
        fetch(f"{server}/set.zip", tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists()


def test_a_silent_server_an_absent_one_and_a_page_are_told_apart(tmp_path: Path) -> None:
    silence = threading.Event()
    with serving(lambda to: silence.wait(5) and None) as server:
        with pytest.raises(Unavailable, match=r"nothing came for 0\.2 s"):
            fetch(f"{server}/set.zip", tmp_path / "set", timeout_s=0.2, progress=False)
        silence.set()
    with pytest.raises(Unavailable, match="cannot be reached"):
        fetch(f"{server}/set.zip", tmp_path / "set", progress=False)
    page = b"<!DOCTYPE html><title>Log in</title>" * 40
    with serving(lambda to: send(to, page)) as server, pytest.raises(BadData, match=r"no archive .*web page"):
        fetch(f"{server}/set.zip", tmp_path / "set", progress=False)
    for address in ("ftp://host/a.zip", "file:///etc/passwd", "http://", "http://[", "http://host:x/", "http://a b/c"):
        with pytest.raises(BadSetting, match="address"):
            fetch(address, tmp_path / "set", progress=False)
    elsewhere = "ftp://127.0.0.1/a.zip"
    with serving(lambda to: send(to, b"", 302, Location=elsewhere)) as server, pytest.raises(VigieError, match="ftp"):
        fetch(f"{server}/a", tmp_path / "set", progress=False)


def zip_with(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return whole.getvalue()


def tar_with(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b"x") -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        entry.size = len(content) if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(content))
    return whole.getvalue()


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (zip_with("../out.txt"), "leads out"),
        (zip_with("a/../../out.txt"), "leads out"),
        (zip_with("/tmp/out.txt"), "leads out"),
        (zip_with("..\\out.txt"), "leads out"),
        (zip_with("C:/out.txt"), "leads out"),
        (zip_with("link", b"/etc/passwd", 0o120777), "is a link"),
        (tar_with("../out.txt"), "leads out"),
        (tar_with("/tmp/out.txt"), "leads out"),
        (tar_with("link", tarfile.SYMTYPE, "/etc"), "is a link"),
        (tar_with("link", tarfile.LNKTYPE, "../out.txt"), "is a link"),
        (tar_with("device", tarfile.CHRTYPE), "is a link or a device"),
        (tar_with("pipe", tarfile.FIFOTYPE), "is a link or a device"),
        (zip_with("zeros", bytes(3 << 20)), "unpacks to more than the 1048576 bytes"),
        (tar_with("zeros", content=bytes(3 << 20)), "unpacks to more than the 1048576 bytes"),
        (zip_with("a.txt")[:-30], "damaged"),
        (tar_with("a.txt", content=hashlib.sha256().digest() * 999)[:60], "damaged"),
        (b"nothing at all", "no archive"),
    ],
)  # fmt: skip
def test_an_archive_that_wants_out_or_too_much_is_refused_and_leaves_nothing(
    archive: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "archive").write_bytes(archive)
    place = tmp_path / "a" / "b"
    with pytest.raises(BadData, match=message):
        fetch(str(tmp_path / "archive"), place / "set", limits=Limits(free_bytes=1 << 20), progress=False)
    assert [path for path in (tmp_path / "a").rglob("*") if path != place] == []


def test_a_tar_whose_header_claims_gigabytes_takes_no_memory(tmp_path: Path) -> None:
    whole = io.BytesIO()
    entry = tarfile.TarInfo("./PaxHeaders/x")
    entry.type, entry.size = tarfile.XHDTYPE, 5 << 30
    whole.write(entry.tobuf())
    (tmp_path / "a.tar").write_bytes(whole.getvalue() + bytes(1024))
    with pytest.raises(BadData, match="header of 5368709120 bytes"):
        fetch(str(tmp_path / "a.tar"), tmp_path / "set", progress=False)


def test_folders_and_archives_on_disk_come_the_same_way(small_set: Path, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(zip_of(small_set, top="set/faces/"))
    with tarfile.open(tmp_path / "set.tgz", "w:gz") as archive:
        archive.add(small_set, "faces")
    from_folder = fetch(str(small_set), tmp_path / "a", progress=False)
    fetch(str(tmp_path / "set.zip"), tmp_path / "b", progress=False)
    fetch(str(tmp_path / "set.tgz"), tmp_path / "c", progress=False)
    whole = files(small_set)
    assert files(tmp_path / "a") == files(tmp_path / "b/set/faces") == files(tmp_path / "c/faces") == whole
    assert sets_in(tmp_path / "b") == [tmp_path / "b/set/faces"]
    assert sets_in(tmp_path / "c") == [tmp_path / "c/faces"]
    assert from_folder.sha256_of == "files"
    fetch(str(small_set), tmp_path / "d", sha256=from_folder.sha256, progress=False)
    with pytest.raises(BadData, match="expected"):
        fetch(str(small_set), tmp_path / "e", sha256="1" * 64, progress=False)
    with pytest.raises(BadData, match="lies in the folder"):
        fetch(str(small_set), small_set / "copy", progress=False)
    with pytest.raises(BadData, match="no such folder"):
        fetch(str(tmp_path / "none"), tmp_path / "e", progress=False)


def test_nothing_else_is_overwritten_and_what_is_no_set_is_kept_and_told(small_set: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it", encoding="utf-8")
    with pytest.raises(BadData, match="files of another kind"):
        fetch(str(small_set), mine, progress=False)
    fetch(str(mine), tmp_path / "copy", progress=False)
    assert files(tmp_path / "copy") == {"thesis.txt": b"all of it"}
    assert "no annotated set was found" in advice(tmp_path / "copy")


class Kaggle:
    """Speaks the part of Kaggle's API that kagglehub uses for a data set, with its answers to what it refuses."""

    def __init__(self, archive: bytes) -> None:
        self.archive = archive
        self.asked: list[tuple[str, str]] = []
        self.refuse = 0

    def __call__(self, to: BaseHTTPRequestHandler) -> None:
        # kagglehub knows no other host than localhost: it comes here as to a proxy, with the whole address.
        path = to.path.removeprefix("http://localhost")
        self.asked.append((path, to.headers.get("Authorization", "")))
        if self.refuse:
            body = json.dumps({"code": self.refuse, "message": "Permission 'datasets.get' was denied"}).encode()
            send(to, body, self.refuse, Content_Type="application/json")
        elif path == "/api/v1/datasets.DatasetApiService/GetDataset":
            body = json.dumps({"ref": "andrewmvd/face-mask-detection", "currentVersionNumber": 1}).encode()
            send(to, body, Content_Type="application/json")
        elif path == "/api/v1/datasets.DatasetApiService/DownloadDataset":
            send(to, b"", 302, Location="http://localhost/storage/archive.zip")
        else:
            send(to, self.archive, Content_Type="application/zip", Accept_Ranges="bytes")


@pytest.fixture
def kaggle(zipped: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    found = Kaggle(zipped)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    with serving(found) as server:
        monkeypatch.setenv("HTTP_PROXY", server)
        monkeypatch.setenv("http_proxy", server)
        yield found


SET = "kaggle:andrewmvd/face-mask-detection"


def test_a_set_of_kaggle_comes_through_kagglehub(
    kaggle: Kaggle, small_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    done = fetch(SET, tmp_path / "set", progress=False)
    assert [path.rpartition("/")[2] for path, _ in kaggle.asked] == ["GetDataset", "DownloadDataset", "archive.zip"]
    assert kaggle.asked[0][1] == "Bearer secret"
    assert files(tmp_path / "set") == files(small_set)
    assert open_set(tmp_path / "set").names == open_set(small_set).names
    assert (done.source, done.sha256_of) == (SET, "files")
    assert done.sha256 == fetch(str(small_set), tmp_path / "copy", progress=False).sha256
    assert capsys.readouterr().out == ""
    kaggle.asked.clear()
    assert fetch(SET, tmp_path / "set", progress=False) == done
    fetch(f"{SET}/versions/1", tmp_path / "other", progress=False)
    assert kaggle.asked == []  # of the same version, kagglehub's cache has it


@pytest.mark.parametrize("status", [401, 403])
def test_without_credentials_the_three_ways_are_named(
    status: int, kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.refuse = status
    ways = r"KAGGLE_API_TOKEN.*KAGGLE_USERNAME and KAGGLE_KEY.*kaggle\.json.*https://www\.kaggle\.com/settings"
    with pytest.raises(BadSetting, match=rf"HTTP {status}\).*no credentials were found; .*{ways}"):
        fetch(SET, tmp_path / "set", progress=False)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    monkeypatch.setenv("KAGGLE_KEY", "old")
    with pytest.raises(BadSetting, match=rf"refuses these credentials \(HTTP {status}\).*{ways}"):
        fetch(SET, tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists()


def test_what_kaggle_does_not_have_or_cannot_send_is_told(
    kaggle: Kaggle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status, kind, message in ((404, BadData, "no such set"), (429, Unavailable, "asks to wait"),
                                  (503, Unavailable, "try again later")):  # fmt: skip
        kaggle.refuse = status
        with pytest.raises(kind, match=message):
            fetch(SET, tmp_path / "set", progress=False)
    kaggle.refuse = 0
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match=r"Kaggle cannot be reached \(.*[Cc]onnection refused"):
        fetch(SET, tmp_path / "set", progress=False)
    for wrong in ("kaggle:faces", "kaggle:a/b/c", "kaggle:a/b/versions/x", "kaggle:../../a"):
        with pytest.raises(BadSetting, match="OWNER/NAME"):
            fetch(wrong, tmp_path / "set", progress=False)
    assert not (tmp_path / "set").exists()


def test_a_damaged_archive_of_kaggle_is_not_kept_to_fail_again(kaggle: Kaggle, small_set: Path, tmp_path: Path) -> None:
    good = kaggle.archive
    for damaged in (b"no archive" + bytes(len(good) - 10), good[:200] + bytes(400) + good[600:]):
        kaggle.archive = damaged
        with pytest.raises(BadData, match=r"damaged .*run the same command again"):
            fetch(SET, tmp_path / "set", progress=False)
    kaggle.archive = good
    fetch(SET, tmp_path / "set", progress=False)
    assert files(tmp_path / "set") == files(small_set)


def test_damaged_credentials_are_named(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    (tmp_path / "home" / ".kaggle" / "kaggle.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadSetting, match=r"Invalid Kaggle credentials file at .*kaggle\.json"):
        fetch(SET, tmp_path / "set", progress=False)


def test_what_is_kept_of_a_fetch_is_checked(small_set: Path, tmp_path: Path) -> None:
    fetch(str(small_set), tmp_path / "set", progress=False)
    assert isinstance(fetched(tmp_path / "set"), Fetched)
    assert fetched(small_set) is None
    (tmp_path / "set" / MARKER).write_text("{}", encoding="utf-8")
    with pytest.raises(BadData, match=r"fetched\.json"):
        fetch(str(small_set), tmp_path / "set", progress=False)
