"""Makes interface files of the kind that the observatory's XML package has.

Texts and units are of this project's own making.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from lsst.ts.mtmount.sal import FieldInfo, load_packaged_interface

GENERIC_CATEGORIES = {
    "logevent_clockOffset": "",
    "logevent_logMessage": "mandatory",
    "logevent_logLevel": "mandatory",
}

PRIVATE_NAMES = (
    "private_sndStamp",
    "private_rcvStamp",
    "private_efdStamp",
    "private_kafkaStamp",
    "private_seqNum",
    "private_revCode",
    "private_identity",
    "private_origin",
)


def packaged_fields() -> dict[str, list[FieldInfo]]:
    """Return the fields of the packaged topics, by SAL name, to be changed."""
    return {topic.sal_name: list(topic.fields) for topic in load_packaged_interface().topics.values()}


def packaged_count(sal_name: str, field_name: str) -> int:
    (count,) = (field.count for field in packaged_fields()[sal_name] if field.name == field_name)
    return count


def change_field(
    topics: dict[str, list[FieldInfo]], sal_name: str, field_name: str, **changes: int | str
) -> None:
    """Change the field of a topic; the topic's other fields stay."""
    fields = topics[sal_name]
    (index,) = (index for index, field in enumerate(fields) if field.name == field_name)
    fields[index] = dataclasses.replace(fields[index], **changes)  # type: ignore[arg-type]


def item_xml(field: FieldInfo) -> str:
    return (
        f"<item><EFDB_Name>{field.name}</EFDB_Name><Description>{escape(field.description)}</Description>"
        f"<IDL_Type>{field.sal_type}</IDL_Type><Units>{escape(field.units)}</Units>"
        f"<Count>{field.count}</Count></item>"
    )


def topic_xml(component: str, sal_name: str, items: Sequence[str], extra: str = "") -> str:
    tag = "SALEvent" if sal_name.startswith("logevent_") else "SALTelemetry"
    return (
        f"<{tag}><Subsystem>{component}</Subsystem><EFDB_Topic>{component}_{sal_name}</EFDB_Topic>"
        f"<Description>About {sal_name}.</Description>{extra}{''.join(items)}</{tag}>"
    )


def write_interface(
    folder: Path,
    topics: Mapping[str, Sequence[FieldInfo]] | None = None,
    *,
    added_generics: str | None = "csc, configurable, logevent_clockOffset",
    categories: Mapping[str, str] = GENERIC_CATEGORIES,
) -> Path:
    """Write a folder of interface files.

    Parameters
    ----------
    folder
        Where; made if need be.
    topics
        Fields of each topic, by SAL name; those of the packaged tables if None.
    added_generics
        Text of AddedGenerics, no such element if None.
    categories
        The generic topics, with their categories.
    """
    topics = packaged_fields() if topics is None else topics
    (folder / "MTMount").mkdir(parents=True)
    xml: dict[str, list[str]] = {"Generics": [], "Telemetry": [], "Events": []}
    for sal_name, fields in topics.items():
        items = [item_xml(field) for field in fields]
        if sal_name in categories:
            category = categories[sal_name]
            extra = f"<Category>{category}</Category>" if category else ""
            xml["Generics"].append(topic_xml("SALGeneric", sal_name, items, extra))
        else:
            kind = "Events" if sal_name.startswith("logevent_") else "Telemetry"
            xml[kind].append(topic_xml("MTMount", sal_name, items))
    (folder / "SALGenerics.xml").write_text(
        "<SALObjects><SALCommandSet><SALCommand><EFDB_Topic>SALGeneric_command_enable</EFDB_Topic>"
        f"</SALCommand></SALCommandSet><SALEventSet>{''.join(xml['Generics'])}</SALEventSet></SALObjects>"
    )
    for kind in ("Telemetry", "Events"):
        root = "SALTelemetrySet" if kind == "Telemetry" else "SALEventSet"
        (folder / "MTMount" / f"MTMount_{kind}.xml").write_text(
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{"".join(xml[kind])}</{root}>'
        )
    added = "" if added_generics is None else f"<AddedGenerics>{added_generics}</AddedGenerics>"
    (folder / "SALSubsystems.xml").write_text(
        "<SALSubsystemSet>"
        "<SALSubsystem><Name>Other</Name><AddedGenerics>csc</AddedGenerics></SALSubsystem>"
        f"<SALSubsystem><Name>MTMount</Name>{added}</SALSubsystem>"
        "</SALSubsystemSet>"
    )
    return folder


def write_package(root: Path, topics: Mapping[str, Sequence[FieldInfo]] | None = None) -> Path:
    """Write a package ``lsst.ts.xml`` that cannot be imported; return its folder of interface files."""
    package = root / "lsst" / "ts" / "xml"
    folder = write_interface(package / "data" / "sal_interfaces", topics)
    (package / "__init__.py").write_text("raise ImportError('this must not be imported')\n")
    described = "\n".join(
        f'    Field(name="{name}", kind="double", description="Private: " "{name}."),'
        for name in PRIVATE_NAMES
    )
    (package / "topic_info.py").write_text(f"FIELDS = [\n{described}\n]\n")
    return folder
