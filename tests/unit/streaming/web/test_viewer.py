import asyncio

import live_page
import pytest

from vigie.errors import BadMessage
from vigie.streaming.web.viewer import Viewer
from vigie.streaming.web.wire import LiveFrame, live_frame


def frame(camera: str, seq: int) -> LiveFrame:
    return live_frame(live_page.annotated(camera, seq, b"jpeg"), 0.0)


async def taken(viewer: Viewer) -> list[tuple[str, int]]:
    """Everything that may be sent now."""
    frames = []
    try:
        while True:
            async with asyncio.timeout(0.02):
                one = await viewer.take()
            frames.append((one.camera, one.seq))
    except TimeoutError:
        return frames


def test_two_frames_of_a_camera_are_in_flight_and_the_newest_waits() -> None:
    async def story() -> None:
        viewer = Viewer()
        sent = []
        for seq in range(6):
            viewer.offer(frame("door", seq))
            sent += await taken(viewer)
        assert sent == [("door", 0), ("door", 1)]
        viewer.acknowledge("door", frame("door", 0).frame_id)
        assert await taken(viewer) == [("door", 5)]
        assert viewer.replaced == 3

    asyncio.run(story())


def test_a_camera_that_is_full_never_holds_up_another() -> None:
    async def story() -> None:
        viewer = Viewer()
        for seq in range(4):
            viewer.offer(frame("door", seq))
            await taken(viewer)
        viewer.offer(frame("hall", 0))
        assert await taken(viewer) == [("hall", 0)]

    asyncio.run(story())


def test_the_camera_that_waits_longest_is_served_first() -> None:
    async def story() -> None:
        viewer = Viewer()
        viewer.offer(frame("a", 0))
        viewer.offer(frame("b", 0))
        viewer.offer(frame("a", 1))
        assert await taken(viewer) == [("a", 1), ("b", 0)]

    asyncio.run(story())


def test_a_frame_that_was_sent_twice_is_acknowledged_twice() -> None:
    async def story() -> None:
        viewer = Viewer()
        for _ in range(2):
            viewer.offer(frame("a", 0))
            assert await taken(viewer) == [("a", 0)]
        viewer.acknowledge("a", frame("a", 0).frame_id)
        viewer.acknowledge("a", frame("a", 0).frame_id)
        with pytest.raises(BadMessage, match="in flight"):
            viewer.acknowledge("a", frame("a", 0).frame_id)

    asyncio.run(story())


def test_silence_counts_only_while_an_acknowledgement_is_owed() -> None:
    async def story() -> None:
        viewer = Viewer()
        now_s = asyncio.get_running_loop().time()
        assert viewer.silent_s(now_s + 60) == 0
        viewer.offer(frame("a", 0))
        await taken(viewer)
        assert viewer.silent_s(now_s + 60) == pytest.approx(60, abs=1)
        viewer.acknowledge("a", frame("a", 0).frame_id)
        assert viewer.silent_s(now_s + 60) == 0

    asyncio.run(story())
