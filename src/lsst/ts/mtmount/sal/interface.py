"""Which SAL topics are published, and where their descriptions come from.

The observatory's interface files are used where they are found: in the folder
that ``LSST_SAL_INTERFACES_DIR`` names, else in the installed ``lsst.ts.xml``.
Otherwise the packaged table ``data/sal_topics.csv`` serves: a row without a
field describes a topic, the rows after it are its fields in order.
"""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .fields import PRIVATE_FIELDS, FieldInfo
from .interface_xml import (
    InterfaceError,
    find_installed_interface,
    find_private_fields,
    list_missing_files,
    read_interface,
)
from .schema import TopicInfo, make_attr_name

__all__ = [
    "FieldInfo",
    "Interface",
    "InterfaceError",
    "TopicInfo",
    "load_interface",
    "load_packaged_interface",
]

FOLDER_VARIABLE = "LSST_SAL_INTERFACES_DIR"
PACKAGED_TABLE = Path(__file__).parent.parent / "data" / "sal_topics.csv"


@dataclass(frozen=True)
class Interface:
    """The SAL topics that are published.

    Parameters
    ----------
    topics
        Topics by the name of a controller's attribute, such as ``tel_azimuth``.
    source
        Where the descriptions come from, for people.
    is_exact
        Are all descriptions the observatory's own, so that schemas and
        revision codes are exactly salobj's?
    """

    topics: Mapping[str, TopicInfo]
    source: str
    is_exact: bool


def load_packaged_interface() -> Interface:
    """Load the packaged tables."""
    fields: dict[str, list[FieldInfo]] = {}
    descriptions: dict[str, str] = {}
    with PACKAGED_TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["field"]:
                field = FieldInfo(
                    row["field"], row["type"], int(row["count"]), row["units"], row["description"]
                )
                fields[row["topic"]].append(field)
            else:
                fields[row["topic"]] = []
                descriptions[row["topic"]] = row["description"]
    topics = (TopicInfo(name, tuple(fields[name]), descriptions[name]) for name in fields)
    return Interface({topic.attr_name: topic for topic in topics}, "packaged tables", is_exact=False)


def load_interface(log: logging.Logger, environ: Mapping[str, str] = os.environ) -> Interface:
    """Load the best description of the published topics that there is.

    Parameters
    ----------
    log
        Logger for the differences between the interface files and the
        packaged tables: one warning for each topic and kind of difference.
    environ
        Environment variables.

    Raises
    ------
    InterfaceError
        If interface files are found but cannot be understood.
    """
    packaged = load_packaged_interface()
    folder = _find_folder(log, environ)
    if folder is None:
        return packaged
    private_fields = find_private_fields(folder)
    if private_fields is None:
        log.warning(
            f"The private fields are not described in {folder} and lsst.ts.xml is not installed: "
            "schemas and revision codes are not exactly salobj's"
        )
    found = read_interface(
        folder, [topic.sal_name for topic in packaged.topics.values()], private_fields or PRIVATE_FIELDS
    )
    for difference in describe_differences(found, packaged):
        log.warning(f"The SAL interface in {folder} differs from what was expected: {difference}")
    return Interface(
        # In the order of the packaged tables, whatever the order of the files.
        {name: found[topic.sal_name] for name, topic in packaged.topics.items() if topic.sal_name in found},
        str(folder),
        is_exact=private_fields is not None,
    )


def describe_differences(found: Mapping[str, TopicInfo], packaged: Interface) -> Iterator[str]:
    """Describe how topics, by SAL name, differ from the packaged ones.

    Descriptions and units are not compared: they do not change what is written.
    """
    for topic in packaged.topics.values():
        name = make_attr_name(topic.sal_name)
        if topic.sal_name not in found:
            yield f"there is no {name}; it is not published"
            continue
        expected = {field.name: field for field in topic.fields}
        actual = {field.name: field for field in found[topic.sal_name].fields}
        common = [field_name for field_name in expected if field_name in actual]
        if missing := [field_name for field_name in expected if field_name not in actual]:
            yield f"{name} lacks {', '.join(missing)}; not written"
        if extra := [field_name for field_name in actual if field_name not in expected]:
            yield f"{name} also has {', '.join(extra)}; left at zero"
        if common != [field_name for field_name in actual if field_name in expected]:
            yield f"{name} has its fields in another order; the interface's is used"
        if counts := _list_changes(common, expected, actual, "count"):
            yield f"{name} has other counts: {counts}; the TMA's elements are written"
        if types := _list_changes(common, expected, actual, "sal_type"):
            yield f"{name} has other types: {types}; the interface's are used"


def _list_changes(
    names: list[str], expected: Mapping[str, FieldInfo], actual: Mapping[str, FieldInfo], attribute: str
) -> str:
    return ", ".join(
        f"{name} {getattr(actual[name], attribute)} instead of {getattr(expected[name], attribute)}"
        for name in names
        if getattr(actual[name], attribute) != getattr(expected[name], attribute)
    )


def _find_folder(log: logging.Logger, environ: Mapping[str, str]) -> Path | None:
    """Find the folder of interface files, None if there is none."""
    if named := environ.get(FOLDER_VARIABLE):
        missing = list_missing_files(Path(named))
        if not missing:
            return Path(named)
        log.warning(f"{FOLDER_VARIABLE}={named} is not used: there is no {', no '.join(missing)} in it")
    installed = find_installed_interface()
    if installed is None:
        return None
    if missing := list_missing_files(installed):
        log.warning(
            f"lsst.ts.xml is installed but not used: there is no {', no '.join(missing)} in {installed}"
        )
        return None
    return installed
