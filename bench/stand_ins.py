"""What the core calls, where nobody listens."""

__all__ = ["ignore_delivery", "refuse_frame", "refuse_topic", "take_message"]


def take_message(kafka_topic: str, value: bytes, key: bytes, partition: int, on_delivery: object) -> None:
    """Stand for a producer that costs nothing."""


def ignore_delivery(error: object, message: object) -> None:
    """Stand for a delivery report."""


def refuse_frame(error: BaseException, head: bytes) -> bool:
    """Stand for a report of a dropped frame, of which there must be none."""
    raise error


def refuse_topic(topic_id: int) -> None:
    """Stand for a report of an unknown topic, of which there must be none."""
    raise LookupError(f"no codec for topic {topic_id}")
