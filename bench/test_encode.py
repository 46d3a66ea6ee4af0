"""From the values of a record to a Kafka message: Confluent framing and Avro."""

import json
from collections.abc import Callable
from functools import partial

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from lsst.ts.mtmount.core import Record
from lsst.ts.mtmount.tools.load_test.plain_pipeline import PlainTopic

from .conftest import Measure
from .contenders import OURS, Contender, Job, Run, run_jobs
from .mix import MIX, TOPIC_NAMES, Workload, find_workload
from .plain import make_plain_topic, topic_info

STAGE = "encode"

TAI, UTC = 1732400000.25, 1732399963.25

#: Where the record begins: behind a zero byte and the schema id.
RECORD = slice(5, None)

Encode = Callable[[], bytes]


def make_run(workload: Workload, encoders: dict[int, Encode]) -> Run:
    """Encode each topic as often as the workload has frames of it."""
    jobs: list[Job] = [(encoders[topic_id], ()) for topic_id in workload.topic_ids]
    return Run(
        lambda: run_jobs(jobs),
        lambda: [without_schema_id(encode()) for encode, _ in jobs],
        len(jobs),
        workload.num_bytes,
    )


def without_schema_id(message: bytes) -> bytes:
    """Leave out the schema id, which AvroSerializer takes from its registry."""
    assert message[0] == 0
    return message[RECORD]


def last_values(workload: Workload) -> dict[int, PlainTopic]:
    """Return all topics of a workload after their last frame."""
    topics = {topic_id: make_plain_topic(topic_id) for topic_id in sorted(set(workload.topic_ids))}
    for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True):
        topics[topic_id].gather(json.loads(frame))
    return topics


def use_record(workload: Workload) -> Run:
    codecs = workload.make_codecs()
    for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True):
        codecs[topic_id].decode_frame(frame)
    jobs: list[Job] = [(codecs[topic_id].record.encode, (TAI, UTC)) for topic_id in workload.topic_ids]
    return Run(
        lambda: run_jobs(jobs),
        lambda: [without_schema_id(encode(*stamps)) for encode, stamps in jobs],
        len(jobs),
        workload.num_bytes,
    )


def use_record_and_dict(workload: Workload) -> Run:
    def make_encoder(topic: PlainTopic, record: Record) -> Encode:
        values = {name: topic.record[name] for name in record.field_names}

        def encode() -> bytes:
            record.set_fields(values)
            return record.encode(TAI, UTC)

        return encode

    codecs = workload.make_codecs()
    topics = last_values(workload)
    return make_run(workload, {i: make_encoder(topics[i], codecs[i].record) for i in topics})


def use_fastavro(workload: Workload) -> Run:
    topics = last_values(workload)
    return make_run(workload, {i: partial(topic.encode, TAI, UTC) for i, topic in topics.items()})


def use_avro_serializer(workload: Workload) -> Run:
    # This library's own registry of that name, in memory.
    registry = SchemaRegistryClient.new_client({"url": "mock://"})

    def make_encoder(topic_id: int, topic: PlainTopic) -> Encode:
        serialize = AvroSerializer(registry, json.dumps(topic_info(topic_id).avro_schema()))
        context = SerializationContext(topic.kafka_topic, MessageField.VALUE)
        return lambda: serialize(topic.stamp(TAI, UTC), context)

    return make_run(workload, {i: make_encoder(i, topic) for i, topic in last_values(workload).items()})


CONTENDERS = dict.fromkeys(
    [MIX, *TOPIC_NAMES],
    (
        Contender(OURS, use_record),
        Contender(f"{OURS}, from a dict", use_record_and_dict),
        Contender("fastavro", use_fastavro),
        Contender("confluent AvroSerializer", use_avro_serializer),
    ),
)


def test_encode(measure: Measure, workload_name: str, contender: Contender) -> None:
    workload = find_workload(workload_name)
    topics = last_values(workload)
    expected = [without_schema_id(topics[topic_id].encode(TAI, UTC)) for topic_id in workload.topic_ids]
    measure(contender.make_run(workload), expected)
