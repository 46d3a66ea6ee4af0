"""The packaged TMA interface in the form of the original's telemetry map."""

from __future__ import annotations

import enum
from typing import Any, TypeAlias

from .core import ArrayFunctor, ScalarFunctor
from .tma_interface import TmaInterface, load_packaged_tma_interface

__all__ = [
    "RAW_TELEMETRY_MAP",
    "TELEMETRY_MAP",
    "Functor",
    "TelemetryTopicId",
    "make_functor",
    "make_raw_telemetry_map",
]

Functor: TypeAlias = ArrayFunctor | ScalarFunctor


def make_functor(field_name: str, num_elements: int) -> Functor:
    """Make what converts a field between its wire members and its SAL value.

    Parameters
    ----------
    field_name : `str`
        Name of the SAL field.
    num_elements : `int`
        Number of elements; 1 means a scalar.
    """
    return ScalarFunctor(field_name) if num_elements == 1 else ArrayFunctor(field_name, num_elements)


def make_raw_telemetry_map(interface: TmaInterface) -> dict[int, list[Any]]:
    """Make a map in the form of `RAW_TELEMETRY_MAP` of any interface."""
    return {
        topic.topic_id: [topic.sal_topic, {name: len(members) for name, members in topic.fields.items()}]
        for topic in interface.topics
    }


#: Topic ID: [SAL topic name, {SAL field name: number of elements}]
RAW_TELEMETRY_MAP: dict[int, list[Any]] = make_raw_telemetry_map(load_packaged_tma_interface())

#: Topic ID: [SAL topic name, {SAL field name: functor}]
TELEMETRY_MAP: dict[int, list[Any]] = {
    topic_id: [sal_topic, {field: make_functor(field, count) for field, count in fields.items()}]
    for topic_id, (sal_topic, fields) in RAW_TELEMETRY_MAP.items()
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
