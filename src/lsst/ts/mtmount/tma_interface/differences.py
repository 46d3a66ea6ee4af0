"""How what the TMA sends differs from a map of it, and what that does."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..resilience.escape import escape
from .description import TmaInterface, TmaMember, TmaTopic

__all__ = ["Difference", "compare_tma_interfaces", "list_names", "sum_up_changes"]

#: How many names a text lists.
MAX_LISTED = 5
MAX_NAME = 100

#: What is said of a topic that the map has, and the TMA does not.
NOT_SENT = "is not sent"


@dataclass(frozen=True)
class Difference:
    """One difference of two interfaces."""

    topic: str  #: SAL name of the topic
    what: str  #: What is different
    effect: str  #: What that does
    is_loss: bool  #: Would a frame, a member or a field be lost, or has it another type?
    kind: str  #: ``topic``, ``topic ID``, ``member``, ``field``, ``count``, ``type``, ``unit`` or ``period``
    member: str = ""  #: Its members or fields, separated by blanks; empty if it is about the topic


def compare_tma_interfaces(sent: TmaInterface, used: TmaInterface) -> Iterator[Difference]:
    """Compare what the TMA sends with the map that a client uses."""
    for topic in sent.topics:
        other = used.by_name.get(topic.sal_topic)
        if other is None:
            yield Difference(
                topic.sal_topic,
                f"is sent, with topic ID {topic.topic_id} and {len(topic.members)} members",
                "its frames are ignored",
                True,
                "topic",
            )
        else:
            yield from _compare_topics(topic, other)
    for topic in used.topics:
        if topic.sal_topic not in sent.by_name:
            yield Difference(topic.sal_topic, NOT_SENT, "its SAL topic is never written", True, "topic")


def sum_up_changes(
    topic: str, what: str, effect: str, is_loss: bool, kind: str, changes: Iterable[tuple[str, str]]
) -> Iterator[Difference]:
    """Yield one difference of all members or fields that changed, if any: their names, and the texts."""
    if changes := list(changes):
        names, texts = zip(*changes, strict=True)
        yield Difference(topic, f"{what}: {', '.join(texts)}", effect, is_loss, kind, " ".join(names))


def list_names(names: Iterable[str]) -> str:
    """Return the first names, cut where they are long, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(escape(name, MAX_NAME) for name in names[:MAX_LISTED]) + more


def _compare_topics(sent: TmaTopic, used: TmaTopic) -> Iterator[Difference]:
    name = sent.sal_topic
    if sent.topic_id != used.topic_id:
        yield Difference(
            name,
            f"has topic ID {sent.topic_id} instead of {used.topic_id}",
            "its frames are not known",
            True,
            "topic ID",
        )
    yield from _compare_members(sent, used)
    both = [(member, used.by_name[member.name]) for member in sent.members if member.name in used.by_name]
    moved = (
        (
            member.name,
            f"{member.name} in {member.field}[{member.index}] instead of {other.field}[{other.index}]",
        )
        for member, other in both
        if (member.field, member.index) != (other.field, other.index)
    )
    yield from sum_up_changes(
        name, "has members in other fields", "they go to the map's fields", True, "field", moved
    )
    # Once for all elements of a field.
    types = dict.fromkeys(
        (other.field, f"{other.field} {member.sal_type} instead of {other.sal_type}")
        for member, other in both
        if None not in (member.sal_type, other.sal_type) and member.sal_type != other.sal_type
    )
    yield from sum_up_changes(name, "has other types", "values are converted", True, "type", types)
    units = dict.fromkeys(
        (other.field, f"{other.field} {member.unit!r} instead of {other.unit!r}")
        for member, other in both
        if None not in (member.unit, other.unit) and member.unit != other.unit
    )
    yield from sum_up_changes(name, "has other units", "values are not converted", False, "unit", units)
    if sent.period_ms != used.period_ms:
        yield Difference(
            name, f"comes every {sent.period_ms} ms instead of {used.period_ms} ms", "none", False, "period"
        )


def _compare_members(sent: TmaTopic, used: TmaTopic) -> Iterator[Difference]:
    counts = {
        field: (len(members), len(used.fields[field]))
        for field, members in sent.fields.items()
        if field in used.fields and len(members) != len(used.fields[field])
    }
    grown = [field for field, (count, other) in counts.items() if count > other]
    shrunk = [field for field, (count, other) in counts.items() if count < other]

    def list_others(members: Iterable[TmaMember], known: Mapping[str, TmaMember]) -> list[str]:
        return [member.name for member in members if member.name not in known and member.field not in counts]

    def describe_counts(fields: list[str]) -> str:
        changes = ["{} {} instead of {}".format(field, *counts[field]) for field in fields]
        return f"has other numbers of elements: {', '.join(changes)}"

    new = list_others(sent.members, used.by_name)
    gone = list_others(used.members, sent.by_name)
    dropped = "each frame is dropped"
    for what, effect, kind, names in (
        (f"also sends {', '.join(new)}", "these members are ignored", "member", new),
        (f"does not send {', '.join(gone)}", dropped, "member", gone),
        (describe_counts(grown), "the new elements are ignored", "count", grown),
        (describe_counts(shrunk), dropped, "count", shrunk),
    ):
        if names:
            yield Difference(sent.sal_topic, what, effect, True, kind, " ".join(names))
