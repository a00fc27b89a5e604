"""What carries messages between the stages, one adapter a file (see ``vigie.ports.Bus``).

The limits that every bus keeps stand here, so that what one refuses the others refuse too.
"""

import re
import threading

from vigie.errors import BadMessage, BadSetting
from vigie.ports import Message

MAX_MESSAGE_BYTES = 4_000_000
"""Value, key and headers together."""

KAFKA_MESSAGE_BYTES = 4 * 1024 * 1024
"""What broker, topic, producer and consumer allow; above `MAX_MESSAGE_BYTES` for Kafka's own framing."""

_TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")


def check_topic(name: str) -> None:
    """Kafka's rule for names, for every bus.

    Raises:
        BadSetting: the name is illegal.
    """
    if not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        raise BadSetting(f"{name!r} is no name for a topic: use 1 to 249 letters, digits, '.', '_' and '-'")


def size_of(message: Message) -> int:
    """Bytes of value, key and headers.

    Raises:
        BadSetting: the name of the topic is illegal.
        BadMessage: the message is larger than every bus can carry.
    """
    check_topic(message.topic)
    headers = sum(len(name.encode()) + len(text.encode()) for name, text in message.headers.items())
    size = len(message.value) + len(message.key.encode()) + headers
    if size > MAX_MESSAGE_BYTES:
        raise BadMessage(
            f"a message of {size} bytes for {message.topic!r} (key {message.key!r}) is over the limit of "
            f"{MAX_MESSAGE_BYTES}; send a smaller picture"
        )
    return size


class Failures:
    """Remembers writes that failed until every thread that had messages in them has heard of it from its flush.

    A bus writes the messages of all its threads together, so the flush that fails is not always the sender's own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._last: BaseException | None = None
        self._count_at_send: dict[int, int] = {}  # thread -> failures before its first message since its last flush

    def sending(self) -> None:
        with self._lock:
            self._count_at_send.setdefault(threading.get_ident(), self._count)

    def add(self, error: BaseException) -> None:
        with self._lock:
            self._count += 1
            self._last = error

    def since_flush(self) -> BaseException | None:
        """The last error, if any befell a write since this thread's first message; starts anew."""
        with self._lock:
            before = self._count_at_send.pop(threading.get_ident(), self._count)
            return self._last if self._count > before else None
