import pytest

from vigie.streaming.web.access import host_allowed, same_origin


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "192.168.1.20:8000"])
def test_an_address_that_no_foreign_name_can_stand_for_is_let_in(host: str) -> None:
    assert host_allowed(host, ())


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:8000", "localhost.evil.example", "[::1", "a:b"]
)
def test_a_name_that_somebody_else_may_point_at_us_is_refused(host: str | None) -> None:
    assert not host_allowed(host, ())


def test_a_name_of_the_settings_is_let_in() -> None:
    assert host_allowed("Cameras.example:8000", ["cameras.example"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "127.0.0.1:8000"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://localhost", "localhost:80"),
        ("https://cameras.example", "cameras.example"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_the_page_itself_may_open_its_websocket(origin: str | None, host: str) -> None:
    assert same_origin(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://127.0.0.1:8001",
        "http://localhost:8000",
        "null",
        "",
        "file://",
        "https://127.0.0.1",
        "http://127.0.0.1:8000@evil.example",
        "http://127.0.0.1:x",
    ],
)
def test_every_other_page_may_not(origin: str) -> None:
    assert not same_origin(origin, "127.0.0.1:8000")
