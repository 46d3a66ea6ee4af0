"""The TMA's own file, ``TelemetryTopicsConfiguration.ini``.

A section is a topic. It begins with ``TopicID`` and ``TopicFrequencyMultiple50ms``. Then come groups of
variables, one group for each data type::

    DBL Telemetry Data.<size(s)> = "1"
    DBL Telemetry Data 0.url = "..."
    DBL Telemetry Data 0.Unit = "deg"
    DBL Telemetry Data 0.Comments = "Actual position"
    DBL Telemetry Data 0.TCP_PublishName = "actualPosition"
    DBL Telemetry Data 0.TCP_Publish = "TRUE"

"Array" in a group's name is internal to the TMA: on the wire each variable is a scalar. The time stamps
(one for each topic, one for each variable) are not listed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..resilience.escape import escape
from .description import (
    FRAME_STAMP,
    MAX_PERIOD_MS,
    MAX_TOPICS,
    STAMP_SUFFIX,
    TICK_MS,
    TOPIC_ID_MEMBER,
    TmaInterface,
    TmaInterfaceError,
    TmaMember,
    TmaTopic,
)
from .differences import list_names
from .grouping import group_members

__all__ = ["parse_configuration"]

#: Group of variables: SAL type, or None for what is not telemetry.
DATA_TYPES: Mapping[str, str | None] = {
    "Boolean": "boolean",
    "DBL": "double",
    "DBL Array": "double",
    "INT32": "int",
    "Int64 Array": "long long",
    "String": None,
    "String Array": None,
}

ATTRIBUTES = ("url", "Unit", "Comments", "TCP_PublishName", "TCP_Publish")

TOPIC_ID = "TopicID"
PERIOD = f"TopicFrequencyMultiple{TICK_MS}ms"

#: Sections whose SAL topic is not the section's own name.
SAL_TOPICS = {
    "AuxiliaryBoxes": "auxiliaryCabinetsThermal",
    "Cabinet0101": "cabinet0101Thermal",
    "MountControlMainCabinet": "mainCabinetThermal",
    "OSS": "oilSupplySystem",
}

SIZE_KEY = re.compile(r"(?P<group>.+) Telemetry Data\.<size\(s\)>")
VARIABLE_KEY = re.compile(r"(?P<group>.+) Telemetry Data (?P<number>\d{1,6})\.(?P<attribute>\w+)", re.ASCII)

#: LabVIEW's escapes in keys and names of sections: a backslash, or a byte.
ESCAPE = re.compile(r"\\(\\|[0-9A-Fa-f]{2})")

#: What is in the brackets of a line.
HEADER = re.compile(r"\[(.+)\]")

ENCODING = "cp1252"

#: The TMA's own file has 6,000 lines.
MAX_LINES = 200_000
MAX_LINE = 4096
MAX_SHOWN = 200
MAX_MULTIPLE = MAX_PERIOD_MS // TICK_MS
MAX_VALUE = 9_999_999


@dataclass
class Section:
    """One section of the file, its keys and name without escapes."""

    source: str
    name: str
    line: int
    #: Key: its line, and the value in quotes.
    entries: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The name in brackets, as it may be shown."""
        return f"[{escape(self.name, MAX_SHOWN)}]"

    def fail(self, key: str | None, expected: str, got: str | None = None) -> TmaInterfaceError:
        """Return the error for a fault of a key, or of the section if it is None."""
        line: int | None = self.line
        place = f"{self.source}: section {self.title}"
        if key is not None:
            line, _ = self.entries.get(key, (None, ""))
            place += f", key {escape(key, MAX_SHOWN)}"
        text = f"{place}{f' (line {line})' if line else ''}: expected {expected}"
        return TmaInterfaceError(text if got is None else f"{text}, got {got[:MAX_SHOWN]}")

    def add(self, line: int, key: str, value: str) -> None:
        """Add a key, once."""
        is_there = key in self.entries
        self.entries[key] = (line, value)
        if is_there:
            raise self.fail(key, "each key of a section once", "it twice")
        if "\r" in value:
            raise self.fail(key, "a value in one line", repr(value))

    def get(self, key: str) -> str:
        """Return the value of a key, without its quotes."""
        if key not in self.entries:
            raise self.fail(key, "this key", "none")
        value = self.entries[key][1]
        if not (len(value) >= 2 and value[0] == value[-1] == '"' and value.count('"') == 2):
            raise self.fail(key, "a value in double quotes", repr(value))
        return value[1:-1]

    def get_int(self, key: str) -> int:
        """Return the value of a key that is a whole number of at least 0."""
        value = self.get(key)
        if not (value.isascii() and value.isdigit() and len(value) <= len(str(MAX_VALUE))):
            raise self.fail(key, f"a whole number up to {MAX_VALUE}", repr(value))
        return int(value)


def parse_configuration(text: str, source: str, packaged: Mapping[str, TmaTopic]) -> TmaInterface:
    """Parse the TMA's own file; the text of an error names section, key and line.

    ``source`` tells where it is from. A section with topic ID 0 that publishes something takes ID
    and period from ``packaged``, by SAL name.
    """
    topics: list[TmaTopic] = []
    # Topic ID, and SAL name: the section that has it.
    owners: dict[int | str, Section] = {}
    remarks: list[str] = []
    for section in _read_sections(text, source):
        topic = _make_topic(section, packaged, remarks)
        if topic is None:
            continue
        if (other := owners.setdefault(topic.topic_id, section)) is not section:
            # One of the two may have no ID in the file.
            taker = next((owner for owner in (section, other) if owner.get_int(TOPIC_ID) == 0), None)
            why = "" if taker is None else f" ({taker.title} has topic ID 0, and takes its packaged one)"
            raise section.fail(
                TOPIC_ID, "a topic ID of its own", f"{topic.topic_id}, that of {other.title}{why}"
            )
        if (other := owners.setdefault(topic.sal_topic, section)) is not section:
            raise section.fail(None, "a SAL topic of its own", f"{topic.sal_topic!r}, that of {other.title}")
        topics.append(topic)
    if not topics:
        raise TmaInterfaceError(f"{source}: expected a topic that is sent, got none")
    return TmaInterface(tuple(topics), source, tuple(remarks))


def _read_sections(text: str, source: str) -> list[Section]:
    sections: dict[str, Section] = {}
    section: Section | None = None
    key, indent = "", 0
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number > MAX_LINES or len(sections) > MAX_TOPICS:
            break
        content = line.strip()
        if len(line) > MAX_LINE:
            raise _make_fault(source, number, f"up to {MAX_LINE} characters", content)
        if not content or content.startswith(("#", ";")):
            continue
        header = HEADER.match(content)
        raw_key, equals, value = (part.strip() for part in content.partition("="))
        if header is None and content.startswith("["):
            raise _make_fault(source, number, "a section's header", content)
        if header is None and not equals:
            raise _make_fault(source, number, 'key = "value"', content)
        last_indent, indent = indent, len(line) - len(line.lstrip())
        if section is not None and key and indent > last_indent:
            # As in other files of this kind: it goes on with the value above it.
            raise section.fail(key, "a value in one line", repr(f"{section.entries[key][1]}\n{content}"))
        if header is not None:
            section, key = Section(source, _unescape(header[1]), number), ""
            if section.name in sections:
                raise section.fail(None, "each section once", "it twice")
            sections[section.name] = section
        elif section is None:
            raise _make_fault(source, number, "a section's header", content)
        elif not raw_key:
            raise _make_fault(source, number, 'key = "value"', content)
        else:
            key = _unescape(raw_key)
            section.add(number, key, value)
    num_sections = sum(line.lstrip().startswith("[") for line in lines)
    for what, count, limit in (("lines", len(lines), MAX_LINES), ("sections", num_sections, MAX_TOPICS)):
        if count > limit:
            raise TmaInterfaceError(f"{source}: expected up to {limit} {what}, got {count}")
    if not sections:
        raise TmaInterfaceError(f"{source}: expected a section for each topic, got none")
    return list(sections.values())


def _make_fault(source: str, number: int, expected: str, got: str) -> TmaInterfaceError:
    return TmaInterfaceError(f"{source}, line {number}: expected {expected}, got {got[:MAX_SHOWN]!r}")


def _unescape(text: str) -> str:
    def replace_escape(match: re.Match[str]) -> str:
        code = match[1]
        return code if code == "\\" else bytes.fromhex(code).decode(ENCODING, "replace")

    return ESCAPE.sub(replace_escape, text)


def _make_topic(section: Section, packaged: Mapping[str, TmaTopic], remarks: list[str]) -> TmaTopic | None:
    """Make the topic of a section; None if it is none of the stream."""
    topic_id, multiple = section.get_int(TOPIC_ID), section.get_int(PERIOD)
    variables = _read_variables(section, remarks)
    period_ms = multiple * TICK_MS
    joined = section.name.replace(" ", "")
    name = SAL_TOPICS.get(section.name, joined[:1].lower() + joined[1:])
    if topic_id == 0:
        if not variables:
            return None
        if name not in packaged:
            remarks.append(
                f"{section.title} has topic ID 0 and no packaged topic ID, and is skipped; it publishes "
                f"{list_names(member.name for member in variables)}"
            )
            return None
        topic_id, period_ms = packaged[name].topic_id, packaged[name].period_ms
        remarks.append(
            f"{section.title} has topic ID 0: the packaged topic ID {topic_id} and period of {period_ms} ms "
            "are taken"
        )
    elif not 1 <= multiple <= MAX_MULTIPLE:
        raise section.fail(PERIOD, f"a multiple from 1 to {MAX_MULTIPLE}", str(multiple))
    try:
        return TmaTopic(topic_id, name, period_ms, group_members(variables))
    except TmaInterfaceError as error:
        raise section.fail(None, str(error).removeprefix("expected ")) from None


def _read_variables(section: Section, remarks: list[str]) -> list[TmaMember]:
    """Read the variables that are published, in the order of the file."""
    found: dict[str, set[int]] = {}
    unknown: list[str] = []
    for key in section.entries:
        match = VARIABLE_KEY.fullmatch(key)
        if match is not None and match["attribute"] in ATTRIBUTES:
            found.setdefault(match["group"], set()).add(int(match["number"]))
        elif (match := SIZE_KEY.fullmatch(key)) is not None:
            found.setdefault(match["group"], set())
        elif key not in (TOPIC_ID, PERIOD):
            unknown.append(key)
    variables: dict[str, TmaMember] = {}
    # Names on the wire, time stamps included.
    taken = {FRAME_STAMP}
    strings: list[str] = []
    incomplete: list[str] = []
    for group, numbers in found.items():
        _check_size(section, group, numbers)
        for number in sorted(numbers):
            prefix = f"{group} Telemetry Data {number}."
            values = {attribute: section.get(prefix + attribute) for attribute in ATTRIBUTES}
            if values["TCP_Publish"] not in ("TRUE", "FALSE"):
                raise section.fail(prefix + "TCP_Publish", "TRUE or FALSE", repr(values["TCP_Publish"]))
            name = values["TCP_PublishName"]
            if values["TCP_Publish"] == "FALSE" or name == FRAME_STAMP:
                continue
            key = prefix + "TCP_PublishName"
            if group not in DATA_TYPES:
                raise section.fail(key, f"one of the data types {', '.join(DATA_TYPES)}", repr(group))
            sal_type = DATA_TYPES[group]
            if sal_type is None:
                strings.append(name)
                continue
            try:
                member = TmaMember(name, name, 0, sal_type, values["Unit"])
            except TmaInterfaceError as error:
                raise section.fail(key, str(error).removeprefix("expected ")) from None
            if name == TOPIC_ID_MEMBER:
                raise section.fail(key, "another name, as this one is reserved for the topic ID", repr(name))
            for wire_name in (name, name + STAMP_SUFFIX):
                if wire_name in taken:
                    raise section.fail(key, "a name that the section publishes once", repr(wire_name))
                taken.add(wire_name)
            variables[name] = member
            if not (values["Unit"] and values["Comments"]):
                incomplete.append(name)
    for text, names in (
        ("has keys that are not known, and are ignored:", unknown),
        ("publishes strings, which are not telemetry:", strings),
        ("has no unit or no comment of", incomplete),
    ):
        if names:
            remarks.append(f"{section.title} {text} {list_names(names)}")
    return list(variables.values())


def _check_size(section: Section, group: str, numbers: set[int]) -> None:
    key = f"{group} Telemetry Data.<size(s)>"
    size = section.get_int(key)
    if sorted(numbers) != list(range(len(numbers))) or size != len(numbers):
        last = f"the last is {max(numbers)}" if numbers else "none"
        raise section.fail(key, f"as many variables as {size}, numbered from 0", f"{len(numbers)} ({last})")
