"""Models of others come whole and as published, or not at all; what lies in the folder is told and compared."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import needs
import pytest
from loopback_server import send, serving

from vigie.bundle import open_bundle
from vigie.detectors import FOREIGN
from vigie.errors import BadBundle, BadData, BadPicture, BadSetting, Unavailable, VigieError
from vigie.zoo.catalogue import CATALOGUE, Offer, Part
from vigie.zoo.fetching import MARKER, FetchedModel, fetch_model, fetched_model
from vigie.zoo.listing import list_models, verify_models

CONTENT = {"net.weights": b"weights" * 300, "net.cfg": b"[net]\n", "net.names": b"cat\ndog\n"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def offer(server: str, *, known: bool = True, sums: Mapping[str, str] | None = None) -> dict[str, Offer]:
    """The model `net` of three files; with `known` their checksums are published."""
    parts = [
        Part(
            name,
            f"{server}/{name}",
            len(body) if known else None,
            (sums or {}).get(name) or (sha256(body) if known else None),
            "a test" if known else "",
        )
        for name, body in CONTENT.items()
    ]
    return {"net": Offer("net", "a net", "Apache-2.0", server, "net.cfg", parts)}


def well(to: BaseHTTPRequestHandler) -> None:
    send(to, CONTENT[to.path.removeprefix("/")])


def fetch(server: str, models: Path, *, offers: dict[str, Offer] | None = None, **options: object) -> FetchedModel:
    return fetch_model("net", models, offers=offers or offer(server), progress=False, **options)  # type: ignore[arg-type]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MARKER}


def test_a_model_comes_with_all_its_files_and_is_not_fetched_twice(tmp_path: Path) -> None:
    asked = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.path)
        if to.path == "/net.cfg":
            send(to, b"", 302, Location="/moved/net.cfg")
        else:
            send(to, CONTENT[Path(to.path).name])

    with serving(answer) as server:
        done = fetch(server, tmp_path)
        again = fetch(server, tmp_path)
    assert asked == ["/net.weights", "/net.cfg", "/moved/net.cfg", "/net.names"]
    assert files(tmp_path / "net") == CONTENT
    assert done == again == fetched_model(tmp_path / "net")
    assert {name: (one.sha256, one.known_by) for name, one in done.files.items()} == {
        name: (sha256(body), "catalogue") for name, body in CONTENT.items()
    }
    assert (done.run, done.licence) == ("net.cfg", "Apache-2.0")


def test_another_checksum_than_published_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(well) as server:
        offers = offer(server, sums={"net.weights": "0" * 64})
        with pytest.raises(BadData, match=rf"{sha256(CONTENT['net.weights'])}, expected 0{{64}} \(published"):
            fetch(server, tmp_path, offers=offers)
        assert [*tmp_path.rglob("*")] == [tmp_path / "net"]


def test_what_is_refused_replaces_nothing_good(tmp_path: Path) -> None:
    bodies = dict(CONTENT)
    with serving(lambda to: send(to, bodies[to.path.removeprefix("/")])) as server:
        first = fetch(server, tmp_path)
        bodies["net.weights"] = b"x" * len(CONTENT["net.weights"])
        with pytest.raises(BadData, match="expected"):
            fetch(server, tmp_path, again=True)
        assert files(tmp_path / "net") == CONTENT
        assert fetch(server, tmp_path) == first


def test_a_damaged_file_is_fetched_again_and_the_others_are_not(tmp_path: Path) -> None:
    asked = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.path)
        well(to)

    with serving(answer) as server:
        fetch(server, tmp_path)
        (tmp_path / "net" / "net.cfg").write_bytes(b"[nut]\n")
        asked.clear()
        fetch(server, tmp_path)
    assert asked == ["/net.cfg"]
    assert files(tmp_path / "net") == CONTENT


def test_without_a_published_checksum_the_first_one_is_trusted_told_and_pinned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = dict(CONTENT)
    with serving(lambda to: send(to, bodies[to.path.removeprefix("/")])) as server:
        offers = offer(server, known=False)
        with caplog.at_level(logging.WARNING):
            first = fetch(server, tmp_path, offers=offers)
        assert f"nobody published a checksum of this file, so it is trusted and pinned: file={tmp_path}" in caplog.text
        assert sha256(CONTENT["net.weights"]) in caplog.text
        assert {one.known_by for one in first.files.values()} == {"first use"}
        bodies["net.weights"] = b"other"
        with pytest.raises(BadData, match="fetched first; if it changed for good, give the new one with --sha256"):
            fetch(server, tmp_path, offers=offers, again=True)
        assert files(tmp_path / "net") == CONTENT
        changed = fetch(server, tmp_path, offers=offers, sha256=sha256(b"other"))
    assert changed.files["net.weights"].known_by == "hand"
    assert files(tmp_path / "net") == bodies


def test_a_checksum_by_hand_is_of_the_main_file_and_comes_before_the_published_one(tmp_path: Path) -> None:
    with serving(well) as server:
        offers = offer(server, sums={"net.weights": "0" * 64})
        done = fetch(server, tmp_path, offers=offers, sha256=f"sha256:{sha256(CONTENT['net.weights']).upper()}")
        assert [one.known_by for one in done.files.values()] == ["hand", "catalogue", "catalogue"]
        with pytest.raises(BadData, match=r"expected 1{64} \(given by hand"):
            fetch(server, tmp_path, sha256="1" * 64)
        with pytest.raises(BadSetting, match="64 hexadecimal digits"):
            fetch(server, tmp_path, sha256="abc")


def cut(to: BaseHTTPRequestHandler) -> None:
    body = CONTENT[to.path.removeprefix("/")]
    send(to, body[:-3], Content_Length=str(len(body)))


def longer_than_told(to: BaseHTTPRequestHandler) -> None:
    send(to, CONTENT[to.path.removeprefix("/")] + b"more", Content_Length="")


def much_larger(to: BaseHTTPRequestHandler) -> None:
    send(to, b"", Content_Length=str(1 << 40))


def absent(to: BaseHTTPRequestHandler) -> None:
    send(to, b"no", 404)


def round_and_round(to: BaseHTTPRequestHandler) -> None:
    send(to, b"", 302, Location=to.path)


def to_a_file(to: BaseHTTPRequestHandler) -> None:
    send(to, b"", 302, Location="file:///etc/passwd")


def slow(to: BaseHTTPRequestHandler) -> None:
    send(to, b"we", Content_Length="2100")
    threading.Event().wait(1.0)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (cut, Unavailable, "ended after 2097 of 2100 bytes; the same command goes on where it stood"),
        (longer_than_told, BadData, "is larger than the 2100 bytes that are expected"),
        (much_larger, BadData, "is larger than the 2100 bytes that are expected"),
        (absent, BadData, r"no such file.*HTTP 404"),
        (round_and_round, BadData, "302"),
        (to_a_file, VigieError, "file"),
        (slow, Unavailable, r"nothing came for 0\.3 s"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_server_that_misbehaves_is_named_and_what_was_there_stays(
    answer: Callable[[BaseHTTPRequestHandler], None], kind: type[VigieError], words: str, tmp_path: Path
) -> None:
    with serving(well) as server:
        fetch(server, tmp_path)
    with serving(answer) as server, pytest.raises(kind, match=words) as raised:
        fetch(server, tmp_path, again=True, timeout_s=0.3)
    assert f"{server}/net.weights" in str(raised.value) or "file" in str(raised.value)
    assert {name: body for name, body in files(tmp_path / "net").items() if name in CONTENT} == CONTENT
    assert verify_models(tmp_path)[0].problem is None
    with serving(well) as server:
        fetch(server, tmp_path, again=True)
    assert files(tmp_path / "net") == CONTENT


def test_an_interrupted_model_is_not_taken_for_whole_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    asked = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        wanted = to.headers.get("Range")
        asked.append((to.path, wanted))
        body = CONTENT[to.path.removeprefix("/")]
        if to.path == "/net.cfg" and len(asked) == 2:
            send(to, body[:2], Content_Length=str(len(body)), ETag='"1"')
        elif wanted:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            told = f"bytes {start}-{len(body) - 1}/{len(body)}"
            send(to, body[start:], 206, Content_Range=told, ETag='"1"')
        else:
            send(to, body, ETag='"1"')

    with serving(answer) as server:
        with pytest.raises(Unavailable, match="ended after 2 of 6 bytes"):
            fetch(server, tmp_path)
        assert fetched_model(tmp_path / "net") is None
        assert not (tmp_path / "net" / "net.cfg").exists()
        fetch(server, tmp_path)
    assert asked == [("/net.weights", None), ("/net.cfg", None), ("/net.cfg", "bytes=2-"), ("/net.names", None)]
    assert files(tmp_path / "net") == CONTENT


def test_an_unknown_model_is_answered_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="'yolo9' to fetch; there are: efficientdet-lite0, ssd-mobilenet-v2-fpnlite, "):
        fetch_model("yolo9", tmp_path)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("model", CATALOGUE.values(), ids=CATALOGUE)
def test_what_is_offered_can_be_run_and_says_who_published_its_checksums(model: Offer) -> None:
    names = [part.name for part in model.parts]
    assert model.run in names
    assert Path(model.run).suffix in FOREIGN
    assert model.licence
    assert len(set(names)) == len(names)
    for part in model.parts:
        assert urlsplit(part.url).scheme == "https"
        assert Path(part.name).name == part.name
        assert (part.sha256 is None) == (not part.known_by)
        assert part.sha256 is None or (len(part.sha256) == 64 and int(part.sha256, 16))


def test_what_a_model_does_not_say_of_itself_is_written_beside_it_and_then_a_persons(tmp_path: Path) -> None:
    from dataclasses import replace

    from vigie.detectors import load_detector
    from vigie.pictures import Picture

    data = needs.shared_data()
    stored = (
        data / "models/ssd_mobilenet_v2_fpnlite_coco80_int8/ssd_mobilenet_v2_fpnlite_10_256_int8.tflite"
    ).read_bytes()
    published = CATALOGUE["ssd-mobilenet-v2-fpnlite"]
    with serving(lambda to: send(to, stored)) as server:
        parts = [replace(published.main, url=f"{server}/model")]
        offers = {published.name: replace(published, parts=parts)}
        fetched = fetch_model(published.name, tmp_path, offers=offers, progress=False)
        model = tmp_path / published.name / fetched.run
        detector = load_detector(model)
        assert (len(detector.labels), detector.labels[0], detector.labels[-1]) == (80, "person", "toothbrush")
        [skier] = detector.detect([Picture.from_file(data / "coco_val200/images/000000000785.jpg")])
        assert not isinstance(skier, BadPicture)
        assert "person" in {one.label for one in skier}
        sidecar = model.with_name(f"{model.name}.yaml")
        sidecar.write_text("mine")
        fetch_model(published.name, tmp_path, offers=offers, progress=False, again=True)
    assert sidecar.read_text() == "mine"


@pytest.fixture
def models(tmp_path: Path, tiny_bundle: Path) -> Path:
    """A bundle with a link for its folder, a model that was fetched, and two single files."""
    models = tmp_path / "models"
    (models / "tiny").mkdir(parents=True)
    (models / "tiny" / "3").symlink_to(tiny_bundle)
    with serving(well) as server:
        fetch(server, models)
    (models / "mine.tflite").write_bytes(b"1234")
    (models / "others").mkdir()
    (models / "others" / "theirs.onnx").write_bytes(b"123")
    (models / "others" / "notes.txt").write_bytes(b"")
    return models


def test_bundles_fetched_models_and_single_files_are_listed(models: Path, tiny_bundle: Path) -> None:
    facts = open_bundle(tiny_bundle, verify=False).manifest
    found = list_models(models)
    assert [(one.kind, one.name, one.path.relative_to(models).as_posix(), one.problem) for one in found] == [
        ("bundle", "tiny", "tiny/3", None),
        ("fetched", "net", "net/net.cfg", None),
        ("file", "mine", "mine.tflite", None),
        ("file", "theirs", "others/theirs.onnx", None),
    ]
    bundle, net, *_ = found
    assert (bundle.version, bundle.classes, bundle.default, bundle.made_at) == (
        3,
        len(facts.labels),
        facts.default,
        facts.made_at,
    )
    assert bundle.bytes == sum(path.stat().st_size for path in tiny_bundle.rglob("*") if path.name in facts.files or
                               path.relative_to(tiny_bundle).as_posix() in facts.files)  # fmt: skip
    assert net.bytes == sum(map(len, CONTENT.values()))


def test_whole_models_are_verified_and_a_changed_byte_is_named(models: Path) -> None:
    assert [(one.path.relative_to(models).as_posix(), one.problem) for one in verify_models(models)] == [
        ("tiny/3", None),
        ("net", None),
    ]
    weights = models / "net" / "net.weights"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    [found] = verify_models(models, "net")
    assert found.problem is not None
    assert f"{weights}: was changed after it was fetched" in found.problem
    weights.unlink()
    assert "is missing; fetch the model again: vigie models fetch net" in str(verify_models(models, "net")[0].problem)


def test_broken_models_are_listed_with_what_is_wrong_and_the_others_too(models: Path) -> None:
    (models / "broken" / "1").mkdir(parents=True)
    (models / "broken" / "1" / "manifest.json").write_text("{}")
    facts = json.loads((models / "net" / MARKER).read_text())
    (models / "net" / MARKER).write_text(json.dumps(facts | {"format": 2}))
    found = {one.name: one.problem for one in list_models(models)}
    assert "manifest.json" in str(found["broken"])
    assert "format" in str(found["net"])
    assert found["tiny"] is None
    assert [one.problem is None for one in verify_models(models)] == [False, True, False]


def test_where_nothing_can_be_verified_a_person_is_told_what_there_is(models: Path) -> None:
    with pytest.raises(BadBundle, match=r"others: holds no bundle.*holds net, others, tiny"):
        verify_models(models, "others")
    with pytest.raises(BadBundle, match="no such folder"):
        list_models(models / "absent")
