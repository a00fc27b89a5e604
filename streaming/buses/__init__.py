"""What carries messages between the stages, one adapter a file (see ``vigie.ports.Bus``).

The limits that every bus keeps stand here, so that what one refuses the others refuse too.
"""

import re

from vigie.errors import BadMessage, BadSetting
from vigie.ports import Message

MAX_MESSAGE_BYTES = 4_000_000
"""Value, key and headers together. Kafka's own limits stand at 4 MiB (4,194,304); the rest is its framing."""

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
