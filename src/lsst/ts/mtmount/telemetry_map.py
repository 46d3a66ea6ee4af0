"""The packaged TMA interface in the form of the original's telemetry map."""

import enum
from typing import TypeAlias, cast

from .core import ArrayFunctor, ScalarFunctor
from .tma_interface import TmaInterface, TmaTopic, load_packaged_tma_interface

__all__ = [
    "RAW_TELEMETRY_MAP",
    "TELEMETRY_MAP",
    "Functor",
    "TelemetryTopicId",
    "make_functors",
    "make_raw_telemetry_map",
]

Functor: TypeAlias = ArrayFunctor | ScalarFunctor

# An entry is a list of two, as in the original. No type of a list tells the one element from the other,
# so type checkers are told of a tuple: what they let pass works, unpacking and an index of 0 or 1 included.
_RawEntry: TypeAlias = tuple[str, dict[str, int]]
_Entry: TypeAlias = tuple[str, dict[str, Functor]]


def make_functors(topic: TmaTopic) -> dict[str, Functor]:
    """Make the functors of a topic, by SAL field name."""
    return {
        field: ScalarFunctor(field, members[0].name)
        if len(members) == 1
        else ArrayFunctor(field, len(members), [member.name for member in members])
        for field, members in topic.fields.items()
    }


def make_raw_telemetry_map(interface: TmaInterface) -> dict[int, _RawEntry]:
    """Make a map in the form of `RAW_TELEMETRY_MAP` of any interface."""
    return {
        topic.topic_id: cast(
            _RawEntry, [topic.sal_topic, {name: len(members) for name, members in topic.fields.items()}]
        )
        for topic in interface.topics
    }


#: Topic ID: [SAL topic name, {SAL field name: number of elements}]
RAW_TELEMETRY_MAP: dict[int, _RawEntry] = make_raw_telemetry_map(load_packaged_tma_interface())

#: Topic ID: [SAL topic name, {SAL field name: functor}]
TELEMETRY_MAP: dict[int, _Entry] = {
    topic.topic_id: cast(_Entry, [topic.sal_topic, make_functors(topic)])
    for topic in load_packaged_tma_interface().topics
}


class TelemetryTopicId(enum.IntEnum):
    """SAL topic name = topic ID on the wire, of the packaged interface."""

    auxiliaryCabinetsThermal = 1
    cabinet0101Thermal = 2
    azimuthCableWrap = 3
    azimuthDrivesThermal = 4
    azimuthDrives = 5
    azimuth = 6
    balancing = 7
    cameraCableWrap = 8
    compressedAir = 9
    cooling = 10
    deployablePlatforms = 11
    dynaleneCooling = 12
    elevationDrivesThermal = 13
    elevationDrives = 14
    elevation = 15
    encoder = 16
    generalPurposeGlycolWater = 17
    capacitorBank = 18
    lockingPins = 19
    mainPowerSupply = 21
    mirrorCoverLocks = 22
    mirrorCover = 23
    mainCabinetThermal = 24
    oilSupplySystem = 25
    safetySystem = 26
    topEndChiller = 27
