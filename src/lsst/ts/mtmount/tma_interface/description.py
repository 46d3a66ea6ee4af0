"""What the TMA sends: the description that every file of its interface becomes."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import cached_property

__all__ = [
    "FRAME_STAMP",
    "MAX_MEMBERS",
    "MAX_PERIOD_MS",
    "MAX_TOPICS",
    "NUMBER_TYPES",
    "STAMP_SUFFIX",
    "TICK_MS",
    "TOPIC_ID_MEMBER",
    "TmaInterface",
    "TmaInterfaceError",
    "TmaMember",
    "TmaTopic",
]

#: The member of every topic that tells when the frame was made [TAI unix s].
FRAME_STAMP = "timestamp"

#: The member of every frame that tells its topic; no other one has this name.
TOPIC_ID_MEMBER = "topicID"

#: What the name of a member's time stamp ends with.
STAMP_SUFFIX = "Timestamp"

#: All periods are multiples of the TMA's tick [ms].
TICK_MS = 50

#: SAL types that a member may have.
NUMBER_TYPES = frozenset(
    {
        *("boolean", "byte", "short", "int", "long", "long long"),
        *("unsigned short", "unsigned int", "float", "double"),
    }
)

#: Longest period: an hour [ms].
MAX_PERIOD_MS = 3_600_000

MAX_TOPIC_ID = 2**31 - 1

#: Most topics that a file may have; the packaged interface has 26.
MAX_TOPICS = 1000

#: Most members of all topics that a table may have; the packaged interface has 1,114. What is
#: made of the TMA's own file, with its limits, or of what a running TMA sends, has fewer.
MAX_MEMBERS = 100_000

# What Avro allows for the name of a field, as far as a codec finds it in frames.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}", re.ASCII)


class TmaInterfaceError(ValueError):
    """A description of the TMA's interface that cannot be used."""


@dataclass(frozen=True, slots=True)
class TmaMember:
    """One member of a topic's frames; `TmaInterfaceError` if a name or the type is none."""

    name: str  #: Name on the wire, such as ``current3Timestamp``
    field: str  #: The SAL field that it belongs to, such as ``currentTimestamp``
    index: int = 0  #: Which of the field's elements it is
    sal_type: str | None = None  #: SAL type of the field, None if it is not known
    #: Unit of the values, None if it is not known.
    unit: str | None = dataclass_field(default=None, compare=False)

    def __post_init__(self) -> None:
        check_name("member", self.name)
        check_name("field", self.field)
        if self.sal_type is not None and self.sal_type not in NUMBER_TYPES:
            raise TmaInterfaceError(
                f"{self.name}: expected one of the types {', '.join(sorted(NUMBER_TYPES))}, "
                f"got {self.sal_type!r}"
            )

    @property
    def is_frame_stamp(self) -> bool:
        """Whether this is the time when the frame is made."""
        return self.name == FRAME_STAMP

    @property
    def is_stamp(self) -> bool:
        """Whether this is a time stamp: the frame's, or that of another member."""
        return self.is_frame_stamp or self.name.endswith(STAMP_SUFFIX)


@dataclass(frozen=True)
class TmaTopic:
    """One topic of the TMA.

    `TmaInterfaceError` if a value is out of its range, a name occurs twice, or the members of
    a field are not numbered from 0 or not of one type.
    """

    topic_id: int  #: The frames' ``topicID``
    sal_topic: str  #: SAL name, such as ``azimuth``
    period_ms: int  #: Time between two frames [ms]
    #: Members of a frame besides ``topicID``, put into the order of their fields' names and their indexes.
    members: tuple[TmaMember, ...]

    def __post_init__(self) -> None:
        check_name("SAL topic", self.sal_topic)
        if not 1 <= self.topic_id <= MAX_TOPIC_ID:
            raise TmaInterfaceError(f"expected a topic ID from 1 to {MAX_TOPIC_ID}, got {self.topic_id}")
        if self.period_ms % TICK_MS or not 0 < self.period_ms <= MAX_PERIOD_MS:
            raise TmaInterfaceError(
                f"expected a period that is a multiple of {TICK_MS} ms, up to {MAX_PERIOD_MS} ms, "
                f"got {self.period_ms} ms"
            )
        members = tuple(sorted(self.members, key=lambda member: (member.field, member.index)))
        object.__setattr__(self, "members", members)
        if twice := find_repeated(member.name for member in members):
            raise TmaInterfaceError(f"expected each member once, got {twice} twice")
        for name, elements in self.fields.items():
            if [member.index for member in elements] != list(range(len(elements))):
                raise TmaInterfaceError(f"expected the elements of {name} to be numbered from 0 on")
            if len({member.sal_type for member in elements}) > 1:
                raise TmaInterfaceError(f"expected one type for all elements of {name}")

    @cached_property
    def fields(self) -> Mapping[str, tuple[TmaMember, ...]]:
        """SAL field name: its members, one for each element."""
        fields: dict[str, list[TmaMember]] = {}
        for member in self.members:
            fields.setdefault(member.field, []).append(member)
        return {name: tuple(members) for name, members in fields.items()}

    @cached_property
    def field_members(self) -> Mapping[str, list[str]]:
        """SAL field name: the wire names of its elements."""
        return {field: [member.name for member in members] for field, members in self.fields.items()}

    @cached_property
    def by_name(self) -> Mapping[str, TmaMember]:
        """Wire name: member."""
        return {member.name: member for member in self.members}


@dataclass(frozen=True)
class TmaInterface:
    """All that the TMA sends; `TmaInterfaceError` if two topics have the same ID or SAL name.

    Two descriptions of the same topics are equal, whatever their sources.
    """

    topics: tuple[TmaTopic, ...]  #: In the order of their IDs
    source: str = dataclass_field(default="", compare=False)  #: Where the description is from, for people
    #: What the source had that a user should know.
    remarks: tuple[str, ...] = dataclass_field(default=(), compare=False)

    def __post_init__(self) -> None:
        topics = tuple(sorted(self.topics, key=lambda topic: topic.topic_id))
        object.__setattr__(self, "topics", topics)
        for what, values in (
            ("topic ID", [str(topic.topic_id) for topic in topics]),
            ("SAL topic", [topic.sal_topic for topic in topics]),
        ):
            if twice := find_repeated(values):
                raise TmaInterfaceError(f"expected each {what} once, got {twice} twice")

    @cached_property
    def by_id(self) -> Mapping[int, TmaTopic]:
        """Topic ID: topic."""
        return {topic.topic_id: topic for topic in self.topics}

    @cached_property
    def by_name(self) -> Mapping[str, TmaTopic]:
        """SAL name: topic."""
        return {topic.sal_topic: topic for topic in self.topics}

    def describe_size(self) -> str:
        """Return the numbers of topics, fields and members, for people."""
        num_topics = len(self.topics)
        num_fields = sum(len(topic.fields) for topic in self.topics)
        num_members = sum(len(topic.members) for topic in self.topics)
        topics = "topic" if num_topics == 1 else "topics"
        return f"{num_topics} {topics}, {num_fields} fields, {num_members} members"


def check_name(what: str, name: str) -> None:
    """Raise `TmaInterfaceError` if this cannot be the name of a topic, field or member."""
    if not NAME.fullmatch(name):
        raise TmaInterfaceError(
            f"expected a {what} name of up to 127 letters, digits and underscores, got {name[:200]!r}"
        )


def find_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that occurs more than once, None if there is none."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
