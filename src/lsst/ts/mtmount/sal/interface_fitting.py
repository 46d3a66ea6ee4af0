"""Fitting the TMA's interface and the SAL topics to each other."""

from collections.abc import Iterable
from dataclasses import replace

from ..tma_interface import TmaInterface, fit_to_sal
from .avro_schema import TopicInfo

__all__ = ["fit_tma_to_sal", "fit_to_wire"]


def fit_tma_to_sal(tma_interface: TmaInterface, topics: Iterable[TopicInfo]) -> TmaInterface:
    """Return the TMA's interface, its members in the fields that SAL has for them."""
    known = {
        topic.sal_name: {field.name: (field.sal_type, field.count) for field in topic.fields}
        for topic in topics
    }
    return fit_to_sal(tma_interface, known)


def fit_to_wire(topic: TopicInfo, tma_interface: TmaInterface) -> TopicInfo:
    """Return the topic, its arrays with as many elements as the TMA sends."""
    sent = tma_interface.by_name.get(topic.sal_name)
    wire_counts = {} if sent is None else {name: len(members) for name, members in sent.fields.items()}
    if all(wire_counts.get(field.name, field.count) == field.count for field in topic.fields):
        return topic
    return replace(topic, wire_counts=wire_counts)
