"""The client's work in pure Python: a dict for each frame, fastavro for each record."""

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import fastavro

from ...sal import TaiClock, TopicInfo

__all__ = ["PlainPipeline", "PlainTopic"]


class PlainTopic:
    """One topic's record, and its encoding.

    ``sent_fields`` are those that the TMA sends and SAL has: SAL name, and the members of its elements.
    ``getter`` makes what gets some members of a decoded frame: `operator.itemgetter`, or
    `operator.attrgetter` if frames are decoded into structures.
    """

    def __init__(
        self,
        info: TopicInfo,
        sent_fields: Mapping[str, Sequence[str]],
        subname: str,
        getter: Callable[..., Callable[[Any], Any]] = itemgetter,
    ) -> None:
        self.info = info
        self.kafka_topic = info.kafka_topic(subname)
        self.schema = fastavro.parse_schema(info.avro_schema())
        self.record: dict[str, Any] = {
            field.name: field.default for field in info.private_fields + info.fields
        }
        self.record |= {"private_identity": "MTMount", "private_origin": os.getpid()}
        # A getter of one name returns the value, one of several a tuple.
        self._getters = [(field, getter(*members)) for field, members in sent_fields.items()]
        self._arrays_of_one = [
            field.name
            for field in info.fields
            if field.count > 1 and len(sent_fields.get(field.name, ())) == 1
        ]
        self._seq_num = 0
        self._head = b""

    def start(self, schema_id: int, rev_code: str) -> None:
        """Take what the schema registry knows of the topic."""
        self._head = b"\0" + schema_id.to_bytes(4, "big")
        self.record["private_revCode"] = rev_code

    def gather(self, data: Any) -> None:
        """Take the values of a decoded frame."""
        record = self.record
        for field, get in self._getters:
            record[field] = get(data)
        for field in self._arrays_of_one:
            record[field] = [record[field]]

    def stamp(self, tai: float, utc: float) -> dict[str, Any]:
        """Fill in the stamps and the next sequence number; return the whole record."""
        self._seq_num += 1
        record = self.record
        record["private_sndStamp"] = record["private_kafkaStamp"] = tai
        record["private_efdStamp"] = utc
        record["private_seqNum"] = self._seq_num
        return record

    def encode(self, tai: float, utc: float) -> bytes:
        """Stamp the record, and write it as the value of a Kafka message."""
        out = io.BytesIO()
        out.write(self._head)
        fastavro.schemaless_writer(out, self.schema, self.stamp(tai, utc))
        return out.getvalue()


class PlainPipeline:
    """Frame by frame: decode into a dict, look the topic up by its ID, gather, encode."""

    def __init__(self, topics: Mapping[int, PlainTopic], decode: Callable[[bytes], Any] = json.loads) -> None:
        self.topics = topics
        self._decode = decode
        self._clock = TaiClock()

    def encode_frame(self, frame: bytes) -> tuple[str, bytes] | None:
        """Return the Kafka topic and the value of a frame's message; None if its topic is unknown."""
        data = self._decode(frame)
        topic = self.topics.get(data["topicID"])
        if topic is None:
            return None
        topic.gather(data)
        tai = self._clock.now()
        return topic.kafka_topic, topic.encode(tai, tai - self._clock.tai_minus_utc)
