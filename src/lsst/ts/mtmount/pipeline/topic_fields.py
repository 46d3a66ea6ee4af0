"""What of a topic's frames goes where in its record."""

from collections.abc import Mapping

from ..core import Record, TopicCodec
from ..telemetry_map import Functor, make_functors
from ..tma_interface import TmaTopic

__all__ = ["choose_fields", "make_codec"]


def choose_fields(topic: TmaTopic, record: Record) -> dict[str, Functor]:
    """Return the fields that are set, by name: another SAL interface may not have all that the TMA sends."""
    return {
        name: functor
        for name, functor in make_functors(topic).items()
        if record.holds_numbers(name, functor.num_elements)
    }


def make_codec(
    topic: TmaTopic, kafka_topic: str, record: Record, fields: Mapping[str, Functor]
) -> TopicCodec:
    """Make the codec that sets these fields of a record, and ignores the topic's other members."""
    members = {
        member: (name, index)
        for name, functor in fields.items()
        for index, member in enumerate(functor.members)
    }
    ignored = [member.name for member in topic.members if member.name not in members]
    return TopicCodec(topic.topic_id, kafka_topic, record, members, ignored)
