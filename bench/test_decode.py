"""From a JSON frame to the values of its members, each of which can be had by its name.

The values stay where a contender keeps them: slots of a record, a dict, a typed
structure, or a parsed document. Arrays are not gathered here.
"""

import json
from typing import Any

import msgspec
import orjson
import simdjson

from lsst.ts.mtmount.core import TopicCodec

from .conftest import Measure
from .contenders import OURS, Contender, Job, Run, run_jobs
from .mix import ALTERNATING, MIX, TOPIC_NAMES, Workload, find_workload
from .plain import make_struct, wire_members

STAGE = "decode"

#: What preprocessors get.
OURS_AS_DICTS = f"{OURS}, as dicts"

Members = dict[str, Any]


def use_topic_codec(workload: Workload) -> Run:
    codecs = workload.make_codecs()
    jobs = [
        (codecs[topic_id].decode_frame, (frame,))
        for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True)
    ]

    def results() -> list[Members]:
        found = []
        for topic_id, (decode, arguments) in zip(workload.topic_ids, jobs, strict=True):
            decode(*arguments)
            found.append(read_record(codecs[topic_id]))
        return found

    return Run(lambda: run_jobs(jobs), results, len(jobs), workload.num_bytes)


def use_topic_codec_for_dicts(workload: Workload) -> Run:
    codecs = workload.make_codecs()
    for codec in codecs.values():
        codec.fused = False
    return make_run(
        [
            (codecs[topic_id].load_frame, (frame,))
            for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True)
        ],
        workload,
    )


def read_record(codec: TopicCodec) -> Members:
    """Read the values back that a codec left in its record."""
    values = codec.record.values()
    members: Members = {"topicID": codec.topic_id}
    for field, names in wire_members(codec.topic_id).items():
        elements = values[field] if len(names) > 1 else [values[field]]
        members |= zip(names, elements, strict=True)
    return members


def use_json(workload: Workload) -> Run:
    jobs: list[Job] = [(json.loads, (frame,)) for frame in workload.frames]
    return make_run(jobs, workload)


def use_orjson(workload: Workload) -> Run:
    jobs: list[Job] = [(orjson.loads, (frame,)) for frame in workload.frames]
    return make_run(jobs, workload)


def use_simdjson(workload: Workload) -> Run:
    parser = simdjson.Parser()
    jobs: list[Job] = [(parser.parse, (frame,)) for frame in workload.frames]
    return Run(
        lambda: run_jobs(jobs),
        # One document at a time: they share the parser's memory.
        lambda: [parse(*arguments).as_dict() for parse, arguments in jobs],
        len(jobs),
        workload.num_bytes,
    )


def use_msgspec(workload: Workload) -> Run:
    decoders = {topic_id: msgspec.json.Decoder(make_struct(topic_id)) for topic_id in set(workload.topic_ids)}
    jobs: list[Job] = [
        (decoders[topic_id].decode, (frame,))
        for topic_id, frame in zip(workload.topic_ids, workload.frames, strict=True)
    ]
    return Run(
        lambda: run_jobs(jobs),
        lambda: [msgspec.structs.asdict(decode(*arguments)) for decode, arguments in jobs],
        len(jobs),
        workload.num_bytes,
    )


def make_run(jobs: list[Job], workload: Workload) -> Run:
    return Run(
        lambda: run_jobs(jobs),
        lambda: [function(*arguments) for function, arguments in jobs],
        len(jobs),
        workload.num_bytes,
    )


CONTENDERS = dict.fromkeys(
    [MIX, ALTERNATING, *TOPIC_NAMES],
    (
        Contender(OURS, use_topic_codec),
        Contender(OURS_AS_DICTS, use_topic_codec_for_dicts),
        Contender("pysimdjson, parsed only", use_simdjson),
        Contender("msgspec, typed", use_msgspec),
        Contender("orjson", use_orjson),
        Contender("json", use_json),
    ),
)


def test_decode(measure: Measure, workload_name: str, contender: Contender) -> None:
    workload = find_workload(workload_name)
    measure(contender.make_run(workload), [json.loads(frame) for frame in workload.frames])
