"""A model server is asked again as long as that makes sense, waited for while it starts, and not mistaken for ours."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event, Timer
from typing import Any

import cv2
import numpy as np
import pytest
from stream_parts import TOPICS, AwayBus, Pictures, all_of, embedded, half, working
from tf_serving_server import Fault, Outputs, Refusal, TfServing

from vigie import adapters
from vigie.bundle import Bundle, open_bundle
from vigie.domain import Detection
from vigie.errors import BadBundle, BadPicture, BadSetting, Unavailable
from vigie.pictures import Picture, encode_jpeg
from vigie.ports import Detector
from vigie.streaming import outage
from vigie.streaming.ingest import ingest
from vigie.streaming.messages import detections_of

POISON_WIDTH = 13
QUICK = {
    "connect_timeout_s": 0.3, "timeout_s": 0.3, "total_timeout_s": 1.0, "start_timeout_s": 0.2,
}  # fmt: skip


def bright_half(labels: tuple[str, ...]) -> Callable[[str, Mapping[str, Any]], Outputs]:
    """In place of the model: finds the brighter half of each picture, as the first label or the second."""

    def run(_: str, inputs: Mapping[str, Any]) -> Outputs:
        decoded = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in inputs["jpegs"]]
        for place, picture in enumerate(decoded):
            if picture is None or picture.shape[1] == POISON_WIDTH:
                raise Refusal(400, f'Unknown image file format. "{place}"\n\t [[{{node DecodeJpeg}}]]')
        return found_on([picture.mean(axis=2) for picture in decoded], labels)

    return run


def found_on(greys: list[np.ndarray], labels: tuple[str, ...]) -> Outputs:
    boxes, scores = np.zeros((len(greys), 3, 4), np.float32), np.zeros((len(greys), 3), np.float32)
    classes, names = np.zeros((len(greys), 3), np.int64), np.full((len(greys), 3), b"", object)
    for row, grey in enumerate(greys):
        middle = grey.shape[1] // 2
        sides = [float(grey[:, :middle].mean()) / 255, float(grey[:, middle:].mean()) / 255]
        for place, column in enumerate(sorted((0, 1), key=lambda column: -sides[column])):
            boxes[row, place] = [0, column / 2, 1, (column + 1) / 2]
            scores[row, place], classes[row, place] = sides[column], column
            names[row, place] = labels[column].encode()
    return {
        "detection_boxes": boxes, "detection_scores": scores, "detection_classes": classes,
        "detection_labels": names, "num_detections": np.full(len(greys), 2, np.int32),
    }  # fmt: skip


def tensor(kind: str, *shape: int) -> dict[str, Any]:
    return {"dtype": kind, "tensor_shape": {"dim": [{"size": str(side), "name": ""} for side in shape]}}


def metadata(bundle: Bundle) -> dict[str, Any]:
    facts, anchors = bundle.manifest, len(bundle.decoder().anchors)
    return {
        "serving_jpeg": {
            "inputs": {"jpegs": tensor("DT_STRING", -1)},
            "outputs": {
                "detection_boxes": tensor("DT_FLOAT", -1, 100, 4),
                "detection_scores": tensor("DT_FLOAT", -1, 100),
                "detection_classes": tensor("DT_INT64", -1, 100),
                "detection_labels": tensor("DT_STRING", -1, 100),
                "num_detections": tensor("DT_INT32", -1),
            },
        },
        "raw_heads": {
            "inputs": {"pictures": tensor("DT_UINT8", -1, facts.input.height, facts.input.width, 3)},
            "outputs": {
                "raw_boxes": tensor("DT_FLOAT", -1, anchors, 4),
                "scores": tensor("DT_FLOAT", -1, anchors, len(facts.labels)),
            },
        },
    }


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return open_bundle(tiny_bundle)


@pytest.fixture
def server(bundle: Bundle) -> Iterator[TfServing]:
    facts = bundle.manifest
    with TfServing(
        bundle.folder.parents[1], facts.name, run=bright_half(facts.labels), metadata=metadata(bundle),
        versions=(facts.version,),
    ) as serving:  # fmt: skip
        yield serving


def client(server: TfServing, bundle: Bundle, **more: object) -> Detector:
    options = {"model": bundle.folder, "url": server.url, **QUICK, **more}
    detector: Detector = adapters.build("detector", "tf_serving", options)
    server.seen.clear()
    return detector


def picture(side: str, *, seed: int = 0, width: int = 64) -> Picture:
    return Picture.from_bytes(half(side, seed=seed, width=width))


def found(entry: list[Detection] | BadPicture) -> list[Detection]:
    assert not isinstance(entry, BadPicture)
    return entry


def test_boxes_come_back_in_pixels_of_each_original(server: TfServing, bundle: Bundle) -> None:
    first, second = client(server, bundle).detect([picture("left"), picture("right", width=200)])
    assert [(one.label, one.box.left, one.box.right, one.box.bottom) for one in found(first)] == [
        (bundle.manifest.labels[0], 0, 32, 48)
    ]
    assert [(one.label, one.box.left, one.box.right) for one in found(second)] == [
        (bundle.manifest.labels[1], 100, 200)
    ]
    assert server.seen == [2]


def test_the_bundle_decides_what_is_enough_and_a_threshold_replaces_it(server: TfServing, bundle: Bundle) -> None:
    assert len(found(client(server, bundle).detect([picture("left")])[0])) == 1
    both = found(client(server, bundle, score_threshold=0.05).detect([picture("left")])[0])
    assert [one.label for one in both] == list(bundle.manifest.labels[:2])
    assert both[0].score > both[1].score
    assert found(client(server, bundle, score_threshold=1.0).detect([picture("left")])[0]) == []


def test_a_question_has_as_many_pictures_as_the_batch(server: TfServing, bundle: Bundle) -> None:
    assert len(client(server, bundle, batch=4).detect([picture("left")] * 9)) == 9
    assert server.seen == [4, 4, 1]


def test_pixels_without_a_file_lose_nothing_on_the_way(server: TfServing, bundle: Bundle) -> None:
    rgb = np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    sent: list[bytes] = []
    server.run = lambda name, inputs: (sent.extend(inputs["jpegs"]), bright_half(bundle.manifest.labels)(name, inputs))[
        1
    ]
    client(server, bundle).detect([Picture.from_pixels(rgb), Picture.from_bytes(encode_jpeg(rgb))])
    assert (cv2.imdecode(np.frombuffer(sent[-2], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1] == rgb).all()
    assert sent[-1] == encode_jpeg(rgb)  # not encoded a second time


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(status=503)] * 2,
        [Fault(status=429), Fault(status=504)],
        [Fault(status=502, body="<html>Bad Gateway</html>")],
        [Fault(reset=True), Fault(cut=True)],
        [Fault(delay_s=0.5)],
    ],
    ids=["503", "busy", "a proxy's page", "reset and cut", "slow"],
)
def test_what_passes_is_asked_again(server: TfServing, bundle: Bundle, faults: list[Fault]) -> None:
    detector = client(server, bundle)
    server.faults.extend(faults)
    assert len(found(detector.detect([picture("left")])[0])) == 1
    assert not server.faults


@pytest.mark.parametrize(
    "fault", [Fault(status=503), Fault(reset=True), Fault(delay_s=0.5), Fault(drip_s=0.05)],
    ids=["503", "reset", "silent", "dripping"],
)  # fmt: skip
def test_all_tries_together_have_an_end(server: TfServing, bundle: Bundle, fault: Fault) -> None:
    detector = client(server, bundle)
    server.faults.extend([fault] * 50)
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=r"the model server http://127.0.0.1:.* cannot be asked"):
        detector.detect([picture("left")])
    assert time.monotonic() - begun < 2


def test_a_server_that_went_away_and_came_back_is_found_again(server: TfServing, bundle: Bundle) -> None:
    detector = client(server, bundle)
    server.stop()
    with pytest.raises(Unavailable, match="refused"):
        detector.detect([picture("left")])
    server.start()
    assert len(found(detector.detect([picture("left")])[0])) == 1


def test_a_picture_that_the_model_refuses_is_its_own_entry(server: TfServing, bundle: Bundle) -> None:
    pictures = [picture("left"), picture("left", width=POISON_WIDTH), picture("right")]
    first, bad, last = client(server, bundle).detect(pictures)
    assert isinstance(bad, BadPicture)
    assert "refuses the picture: Unknown image file format." in str(bad)
    assert (found(first)[0].label, found(last)[0].label) == bundle.manifest.labels[:2]
    assert server.seen == [3, 1, 1, 1, 1]  # the batch, each by itself, and one that is certainly a picture


def test_a_picture_on_which_the_server_fails_is_its_own_entry_and_a_server_that_always_fails_an_outage(
    server: TfServing, bundle: Bundle
) -> None:
    detector = client(server, bundle)
    internal = Fault(status=500, body='{ "error": "Internal: out of luck" }')
    server.faults.append(internal)
    (bad,) = detector.detect([picture("left")])
    assert isinstance(bad, BadPicture)
    server.faults.extend([internal] * 2)
    with pytest.raises(Unavailable, match="the model fails on every picture: Internal: out of luck"):
        detector.detect([picture("left")])


def test_a_model_that_refuses_everything_is_another_one(server: TfServing, bundle: Bundle) -> None:
    detector = client(server, bundle)
    assert server.metadata is not None
    del server.metadata["serving_jpeg"]
    with pytest.raises(BadBundle, match='Serving signature name: "serving_jpeg" not found in signature def'):
        detector.detect([picture("left")])


def test_a_model_that_is_loaded_meanwhile_is_waited_for(server: TfServing, bundle: Bundle) -> None:
    server.state = "LOADING"
    timer = Timer(0.4, lambda: setattr(server, "state", "AVAILABLE"))
    timer.start()
    assert client(server, bundle, start_timeout_s=5)
    timer.join()


def test_a_server_that_comes_up_late_is_waited_for(server: TfServing, bundle: Bundle) -> None:
    server.stop()
    timer = Timer(0.4, server.start)
    timer.start()
    assert client(server, bundle, start_timeout_s=5)
    timer.join()


def test_a_model_that_does_not_get_ready_is_told(server: TfServing, bundle: Bundle) -> None:
    server.state = "LOADING"
    with pytest.raises(Unavailable, match="the model is LOADING; see the server's log"):
        client(server, bundle)


def test_no_server_is_told_in_time(server: TfServing, bundle: Bundle) -> None:
    server.stop()
    begun = time.monotonic()
    with pytest.raises(Unavailable, match=r"cannot be asked: .*refused.* start it, or see to the url"):
        client(server, bundle)
    assert time.monotonic() - begun < 3
    server.start()


def test_another_name_or_version_is_told_with_those_that_there_are(server: TfServing, bundle: Bundle) -> None:
    with pytest.raises(BadBundle, match="Could not find version 1 of model other; it has no version of this model"):
        client(server, bundle, name="other")
    server.versions = (4,)
    with pytest.raises(BadBundle, match="Could not find version 7 of model tiny; it has the versions 4"):
        client(server, bundle, version=7)


def test_a_version_that_was_replaced_is_told_and_one_that_is_loaded_again_is_an_outage(
    server: TfServing, bundle: Bundle
) -> None:
    detector = client(server, bundle)
    server.state = "LOADING"
    with pytest.raises(Unavailable, match="Servable not found for request"):
        detector.detect([picture("left")])
    server.state, server.versions = "AVAILABLE", (2,)
    with pytest.raises(BadBundle, match=r"it has the versions 2\. Copy the bundle to the server"):
        detector.detect([picture("left")])


def test_a_model_without_the_signature_is_refused_at_the_start(server: TfServing, bundle: Bundle) -> None:
    assert server.metadata is not None
    del server.metadata["serving_jpeg"]
    with pytest.raises(BadBundle, match="has the signatures raw_heads, and serving_jpeg is asked for"):
        client(server, bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one["serving_jpeg"]["outputs"].pop("detection_boxes"), "without detection_boxes"),
        (lambda one: one["serving_jpeg"]["inputs"].update(jpegs=tensor("DT_FLOAT", -1, 3)), "expected one list of"),
        (
            lambda one: one["raw_heads"]["outputs"].update(scores=tensor("DT_FLOAT", -1, 1134, 80)),
            r"its scores are \(1134, 80\) a picture, those of .* are \(1134, 3\): the server has another model",
        ),
        (
            lambda one: one["raw_heads"]["inputs"].update(pictures=tensor("DT_UINT8", -1, 320, 320, 3)),
            r"its pictures are \(320, 320, 3\)",
        ),
    ],
    ids=["an output less", "another input", "other labels", "another size"],
)
def test_another_model_is_refused_at_the_start(
    server: TfServing, bundle: Bundle, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    change(server.metadata or {})
    with pytest.raises(BadBundle, match=message):
        client(server, bundle)


def spoilt(name: str, value: object) -> Callable[[Outputs], Outputs]:
    def change(outputs: Outputs) -> Outputs:
        outputs[name] = outputs[name].copy()
        outputs[name].flat[0] = value
        return outputs

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoilt("detection_scores", np.nan), "its outputs are not finite"),
        (spoilt("detection_boxes", np.inf), "its outputs are not finite"),
        (spoilt("detection_classes", 3), "finds the class 3, the bundle's labels are"),
        (spoilt("detection_labels", b"zebra"), "calls the class 0 'zebra'"),
        (lambda one: one | {"detection_scores": one["detection_scores"][:, :2]}, "do not belong together"),
        (lambda one: {name: one[name] for name in one if name != "num_detections"}, "is not what the bundle's model"),
    ],
    ids=["NaN", "infinite", "a class too many", "another label", "shapes", "missing"],
)
def test_outputs_that_cannot_be_ours_are_refused(
    server: TfServing, bundle: Bundle, change: Callable[[Outputs], Outputs], message: str
) -> None:
    detector = client(server, bundle)
    server.faults.append(Fault(change=change))
    with pytest.raises(BadBundle, match=message):
        detector.detect([picture("left")])


def test_what_is_no_tf_serving_is_not_taken_for_one(server: TfServing, bundle: Bundle) -> None:
    detector = client(server, bundle)
    server.faults.extend([Fault(status=200, body="<html>Welcome</html>")] * 50)
    with pytest.raises(Unavailable, match="HTTP 200 and no JSON of TF Serving: '<html>Welcome</html>'"):
        detector.detect([picture("left")])


@pytest.mark.parametrize("url", ["ftp://user:secret@host", "host:port", "", "http://"])
def test_a_url_that_is_none_is_refused(bundle: Bundle, url: str) -> None:
    with pytest.raises(BadSetting, match=r"url is none; write http://HOST:PORT") as caught:
        adapters.build("detector", "tf_serving", {"model": bundle.folder, "url": url, **QUICK})
    assert "secret" not in str(caught.value)


def test_a_password_in_the_url_is_used_and_told_nobody(server: TfServing, bundle: Bundle) -> None:
    url = server.url.replace("http://", "http://me:secret@")
    server.state = "LOADING"
    with pytest.raises(Unavailable) as caught:
        adapters.build("detector", "tf_serving", {"model": bundle.folder, "url": url, **QUICK})
    assert server.asked  # it came through
    assert "secret" not in str(caught.value)


def test_the_worker_outlasts_a_server_that_is_away_for_a_while(
    server: TfServing, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "LONGEST_PAUSE_S", 0.3)
    detector = client(server, bundle, total_timeout_s=0.3)
    bus = AwayBus(embedded(tmp_path))
    frames = [half("left", seed=seed) for seed in range(60)]
    ingest(Pictures(frames), camera="door", bus=bus, topics=TOPICS, stop=Event())
    with working(bus, detector, batch=2):
        while len(server.seen) < 3:
            time.sleep(0.01)
        server.stop()
        before = bus.real.lag(TOPICS.frames, TOPICS.workers)
        time.sleep(2)
        assert 0 < bus.real.lag(TOPICS.frames, TOPICS.workers) >= before - 2  # nothing was committed meanwhile
        server.start()
        deadline = time.monotonic() + 20
        while bus.real.lag(TOPICS.frames, TOPICS.workers):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert [detections_of(message).seq for message in all_of(bus, TOPICS.detections)] == list(range(60))
    assert all_of(bus, TOPICS.dead_letters) == []
