"""The TMA's own file, written from a description, as the TMA's makers lay it out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lsst.ts.mtmount.tma_interface import TmaInterface, TmaTopic

__all__ = [
    "SMALL_FILE",
    "SMALL_TABLE",
    "Variable",
    "format_configuration",
    "format_interface",
    "format_section",
    "list_variables",
]

DATA = Path(__file__).parent.parent / "data"
SMALL_FILE = DATA / "tma_configuration_small.ini"
SMALL_TABLE = DATA / "tma_configuration_small.csv"

GROUPS = ("Int64 Array", "INT32", "String Array", "Boolean", "DBL Array", "DBL", "String")

#: SAL type: a group whose variables have it.
GROUP_OF_TYPE = {"boolean": "Boolean", "double": "DBL", "int": "INT32", "long long": "Int64 Array"}

SECTIONS = {
    "auxiliaryCabinetsThermal": "AuxiliaryBoxes",
    "cabinet0101Thermal": "Cabinet0101",
    "mainCabinetThermal": "MountControlMainCabinet",
    "oilSupplySystem": "OSS",
}


class Variable(NamedTuple):
    """One variable of a section."""

    name: str
    group: str = "DBL"
    is_published: bool = True
    unit: str = "deg"
    comment: str = "100% of it"


def format_section(name: str, topic_id: int, multiple: int, variables: Sequence[Variable]) -> list[str]:
    lines = [f"[{name}]", f'TopicID = "{topic_id}"', f'TopicFrequencyMultiple50ms = "{multiple}"']
    for group in GROUPS:
        members = [variable for variable in variables if variable.group == group]
        lines.append(f'{group} Telemetry Data.<size(s)> = "{len(members)}"')
        for number, variable in enumerate(members):
            values = {
                "url": f"psp://192.0.2.1/Example/{variable.name}",
                "Unit": variable.unit,
                "Comments": variable.comment,
                "TCP_PublishName": variable.name,
                "TCP_Publish": "TRUE" if variable.is_published else "FALSE",
            }
            lines += [f'{group} Telemetry Data {number}.{key} = "{value}"' for key, value in values.items()]
    return [*lines, ""]


def format_configuration(sections: Mapping[str, tuple[int, int, Sequence[Variable]]]) -> bytes:
    """Section name: topic ID, multiple of 50 ms, variables."""
    lines = [line for name, section in sections.items() for line in format_section(name, *section)]
    return "\r\n".join(lines).encode("cp1252")


def list_variables(topic: TmaTopic) -> list[Variable]:
    return [
        Variable(member.name, GROUP_OF_TYPE[member.sal_type or "double"])
        for member in topic.members
        if not member.is_stamp
    ]


def format_interface(interface: TmaInterface) -> bytes:
    return format_configuration(
        {
            SECTIONS.get(topic.sal_topic, topic.sal_topic[:1].upper() + topic.sal_topic[1:]): (
                topic.topic_id,
                topic.period_ms // 50,
                list_variables(topic),
            )
            for topic in interface.topics
        }
    )
