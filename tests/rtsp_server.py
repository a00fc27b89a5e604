"""A real RTSP server, GStreamer's, as a process of its own with the system's Python, which has its bindings.

As a program: `/usr/bin/python3 rtsp_server.py PORT SOURCE [USER PASSWORD]`; SOURCE is a pattern of videotestsrc or an
MP4 file of H.264. The stream is `/live`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_PYTHON = Path("/usr/bin/python3")
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"  # noqa: E501
FPS, WIDTH, HEIGHT = 15, 320, 240
_READY_S = 20.0


def main(port: str, source: str, user: str = "", password: str = "") -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {pipeline(source)} ! rtph264pay name=pay0 pt=96 config-interval=1 )")
    factory.set_shared(True)
    if user:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "user")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
        server.set_auth(auth)
        allowed = "user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
        factory.add_role_from_structure(Gst.Structure.from_string(allowed)[0])
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    GLib.MainLoop().run()


def pipeline(source: str) -> str:
    if source.endswith(".mp4"):
        return f'filesrc location="{source}" ! qtdemux ! h264parse'
    raw = f"video/x-raw,width={WIDTH},height={HEIGHT},framerate={FPS}/1,format=I420"
    encode = f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={FPS} threads=1"
    return f"videotestsrc is-live=true pattern={source} ! {raw} ! {encode}"


@dataclass
class RtspServer:
    source: str = "smpte"
    user: str = ""
    password: str = ""
    port: int = 0

    @property
    def url(self) -> str:
        who = f"{self.user}:{self.password}@" if self.user else ""
        return f"rtsp://{who}127.0.0.1:{self.port}/live"

    def start(self) -> None:
        from vigie.loopback import free_port  # not at the top: the server's own Python has no Vigie

        self.port = self.port or free_port()
        words = [str(SYSTEM_PYTHON), __file__, str(self.port), self.source, *filter(None, (self.user, self.password))]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(words, env=environment)
        deadline = time.monotonic() + _READY_S
        while True:
            assert self._process.poll() is None, "the RTSP server has ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "the RTSP server does not come up"
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """It neither answers nor closes anything, as a camera that hangs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "RtspServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
