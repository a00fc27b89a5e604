import asyncio

import live_page
import pytest

from vigie.errors import Unavailable
from vigie.streaming.web.hub import Hub
from vigie.streaming.web.wire import LiveFrame, live_frame


def frame(camera: str, seq: int) -> LiveFrame:
    return live_frame(live_page.annotated(camera, seq, b"jpeg"), 0.0)


def test_a_new_viewer_sees_the_last_picture_of_every_camera_at_once() -> None:
    async def story() -> None:
        hub = Hub()
        for camera, seq in [("a", 0), ("b", 0), ("a", 1)]:
            hub.publish(frame(camera, seq))
        viewer = hub.join()
        assert {(one.camera, one.seq) for one in [await viewer.take(), await viewer.take()]} == {("a", 1), ("b", 0)}

    asyncio.run(story())


def test_one_camera_too_many_makes_the_quietest_forgotten() -> None:
    async def story() -> None:
        hub = Hub(cameras_limit=2)
        for camera, seq in [("a", 0), ("b", 0), ("a", 1), ("c", 0)]:
            hub.publish(frame(camera, seq))
        assert {camera: seen.frames for camera, seen in hub.cameras.items()} == {"a": 2, "c": 1}

    asyncio.run(story())


def test_one_viewer_too_many_is_turned_away_until_another_leaves() -> None:
    async def story() -> None:
        hub = Hub(viewers_limit=1)
        first = hub.join()
        with pytest.raises(Unavailable, match=r"as allowed \(1\)"):
            hub.join()
        hub.leave(first)
        hub.join()

    asyncio.run(story())
