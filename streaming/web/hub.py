"""The meeting point of cameras and browsers."""

from collections.abc import Mapping
from dataclasses import dataclass

from vigie.errors import Unavailable
from vigie.streaming.web.viewer import Viewer
from vigie.streaming.web.wire import LiveFrame

CAMERAS_LIMIT = 256
VIEWERS_LIMIT = 64


@dataclass(slots=True)
class Seen:
    """The newest frame of a camera and how many came."""

    latest: LiveFrame
    frames: int


class Hub:
    """Belongs to the event loop.

    Bounded: past `cameras_limit` the camera that has been quiet longest is forgotten; past `viewers_limit`
    the browser that comes last is turned away.
    """

    def __init__(self, *, cameras_limit: int = CAMERAS_LIMIT, viewers_limit: int = VIEWERS_LIMIT) -> None:
        self._cameras_limit = cameras_limit
        self._viewers_limit = viewers_limit
        self._cameras: dict[str, Seen] = {}
        self._viewers: set[Viewer] = set()

    @property
    def cameras(self) -> Mapping[str, Seen]:
        """By name, the quiet ones first."""
        return self._cameras

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def join(self) -> Viewer:
        """A new viewer, who is shown the last picture of every camera at once.

        Raises:
            Unavailable: there are as many viewers as allowed.
        """
        if len(self._viewers) >= self._viewers_limit:
            raise Unavailable(f"as many browsers as allowed ({self._viewers_limit}) are watching already; close one")
        viewer = Viewer()
        self._viewers.add(viewer)
        for seen in self._cameras.values():
            viewer.offer(seen.latest)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self._viewers.discard(viewer)

    def publish(self, frame: LiveFrame) -> None:
        """Offer a frame to every viewer; never blocks."""
        camera = frame.camera
        # Taken out and put back: the order of the dictionary is that of the last frames.
        before = self._cameras.pop(camera, None)
        if before is None and len(self._cameras) >= self._cameras_limit:
            self._forget(next(iter(self._cameras)))
        self._cameras[camera] = Seen(frame, 1 if before is None else before.frames + 1)
        for viewer in self._viewers:
            viewer.offer(frame)

    def _forget(self, camera: str) -> None:
        del self._cameras[camera]
        for viewer in self._viewers:
            viewer.forget(camera)
