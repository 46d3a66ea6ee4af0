"""Which SAL topics are published, and where their descriptions come from.

The observatory's interface files are used where they are found: in the folder
that ``LSST_SAL_INTERFACES_DIR`` names, else in the installed ``lsst.ts.xml``.
Otherwise the packaged table ``sal_topics.csv`` serves: a row without a
field describes a topic, the rows after it are its fields in order.
"""

import csv
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..tma_interface import TmaInterface, load_packaged_tma_interface
from .avro_schema import TopicInfo
from .fields import PRIVATE_FIELDS, FieldInfo
from .interface_differences import warn_of_differences
from .interface_fitting import fit_tma_to_sal, fit_to_wire
from .interface_xml import (
    InterfaceError,
    find_installed_interface,
    find_private_fields,
    list_missing_files,
    read_interface,
)

__all__ = [
    "FOLDER_VARIABLE",
    "FieldInfo",
    "Interface",
    "InterfaceError",
    "TopicInfo",
    "load_interface",
    "load_packaged_interface",
]

#: Names the folder with the interface files.
FOLDER_VARIABLE = "LSST_SAL_INTERFACES_DIR"
PACKAGED_TABLE = Path(__file__).parent / "sal_topics.csv"


@dataclass(frozen=True)
class Interface:
    """The SAL topics that are published."""

    topics: Mapping[str, TopicInfo]  #: By the name of a controller's attribute, such as ``tel_azimuth``
    source: str  #: Where the descriptions come from, for people
    #: Are all descriptions the observatory's own, so that schemas and revision codes are exactly salobj's?
    is_exact: bool
    #: What the TMA sends, its members in the fields of these topics.
    tma_interface: TmaInterface = field(default_factory=load_packaged_tma_interface)


@cache
def load_packaged_interface() -> Interface:
    """Load the packaged tables; once, as the revision codes that their topics keep take longest to make."""
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
    by_name = MappingProxyType({topic.attr_name: topic for topic in topics})
    return Interface(by_name, "packaged tables", is_exact=False)


def load_interface(
    log: logging.Logger,
    environ: Mapping[str, str] = os.environ,
    tma_interface: TmaInterface | None = None,
) -> Interface:
    """Load the best description of the published topics that there is.

    The differences between the interface files and the packaged tables are logged:
    one warning for each topic and kind of difference. `InterfaceError` if
    interface files are found but cannot be understood.
    """
    sent = load_packaged_tma_interface() if tma_interface is None else tma_interface
    packaged = load_packaged_interface()
    expected = packaged.topics.values()
    # In the order of the packaged tables, then of the TMA's topic IDs, whatever the order of the files.
    sal_names = dict.fromkeys([*(topic.sal_name for topic in expected), *sent.by_name])
    folder = _find_folder(log, environ)
    if folder is None:
        source, is_exact = packaged.source, packaged.is_exact
        found = {topic.sal_name: topic for topic in expected}
    else:
        private_fields = find_private_fields(folder)
        if private_fields is None:
            log.warning(
                f"The private fields are not described in {folder} and lsst.ts.xml is not installed: "
                "schemas and revision codes are not exactly salobj's"
            )
        source, is_exact = str(folder), private_fields is not None
        found = read_interface(folder, sal_names.keys(), private_fields or PRIVATE_FIELDS)
    sent = fit_tma_to_sal(sent, found.values())
    warn_of_differences(found, expected, sent, source, log)
    fitted = [fit_to_wire(found[name], sent) for name in sal_names if name in found]
    return Interface({topic.attr_name: topic for topic in fitted}, source, is_exact, sent)


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
