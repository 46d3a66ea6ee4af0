"""Reading of the observatory's interface files (``lsst.ts.xml``).

A folder of interface files holds ``SALGenerics.xml`` (topics that components
share), ``SALSubsystems.xml`` (which component has which of them) and, for our
component, ``MTMount/MTMount_*.xml``. The files are local and trusted.
"""

import ast
import importlib.util
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from .avro_schema import COMPONENT, TopicInfo
from .fields import PRIVATE_FIELDS, FieldInfo

__all__ = [
    "InterfaceError",
    "find_installed_interface",
    "find_private_fields",
    "list_missing_files",
    "read_interface",
]

GENERIC = "SALGeneric"
GENERICS_FILE = "SALGenerics.xml"
SUBSYSTEMS_FILE = "SALSubsystems.xml"
COMPONENT_FILES = f"{COMPONENT}/{COMPONENT}_*.xml"

#: Category of the generic topics that every component has.
MANDATORY = "mandatory"

#: The installed package, and where in it the interface files and the private fields are.
PACKAGE = "lsst.ts.xml"
PACKAGE_INTERFACES = Path("data", "sal_interfaces")
PACKAGE_PRIVATE_FIELDS = "topic_info.py"


class InterfaceError(RuntimeError):
    """The interface files cannot be understood."""


def list_missing_files(folder: Path) -> list[str]:
    """Return which of the necessary interface files a folder lacks."""
    return [
        pattern
        for pattern in (GENERICS_FILE, SUBSYSTEMS_FILE, COMPONENT_FILES)
        if next(folder.glob(pattern), None) is None
    ]


def find_installed_interface() -> Path | None:
    """Return the folder of the installed ``lsst.ts.xml``'s interface files, if it is installed.

    The package is not imported: its import takes more than half of the
    memory that the whole program may take.
    """
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except ModuleNotFoundError:
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / PACKAGE_INTERFACES


def find_private_fields(folder: Path) -> tuple[FieldInfo, ...] | None:
    """Find the observatory's descriptions of the private fields, as salobj describes them.

    The interface files do not have them: they stand in a module of
    ``lsst.ts.xml``. Looked at are the package that the folder of interface files
    is a part of, then the installed one. The module is read, not imported. None if
    there is no such module, or it does not describe them all.
    """
    folders = [folder.resolve()]
    if installed := find_installed_interface():
        folders.append(installed)
    for interfaces in folders:
        # The counterpart of PACKAGE_INTERFACES.
        package = interfaces.parent.parent
        fields = _read_private_fields(package / PACKAGE_PRIVATE_FIELDS)
        if fields is not None:
            return fields
    return None


def read_interface(
    folder: Path, sal_names: Collection[str] | None, private_fields: tuple[FieldInfo, ...]
) -> dict[str, TopicInfo]:
    """Read topics of our component from a folder of interface files, by SAL name.

    ``sal_names`` are those that are wanted, None: all; ``private_fields`` are the
    fields in front of each topic's own ones. `InterfaceError` if a file is not
    well-formed, or lacks something necessary.
    """
    added = _read_added_generics(folder / SUBSYSTEMS_FILE)
    topics: dict[str, TopicInfo] = {}

    def add_topics(path: Path, component: str) -> None:
        for sal_name, element in _iterate_topics(path, component):
            categories = {element.findtext("Category") or "", sal_name}
            is_ours = component == COMPONENT or not added.isdisjoint(categories)
            if is_ours and (sal_names is None or sal_name in sal_names):
                topics[sal_name] = _make_topic(path, sal_name, element, private_fields)

    add_topics(folder / GENERICS_FILE, GENERIC)
    for path in sorted(folder.glob(COMPONENT_FILES)):
        add_topics(path, COMPONENT)
    return topics


def _read_added_generics(path: Path) -> set[str]:
    """Read which categories and which single ones of the generic topics our component has."""
    for element in _iterate_elements(path, {"SALSubsystem"}):
        if element.findtext("Name") == COMPONENT:
            added = element.findtext("AddedGenerics") or ""
            return {MANDATORY, *(name.strip() for name in added.split(",") if name.strip())}
    raise InterfaceError(f"expected component {COMPONENT} in {path}, got none")


def _iterate_topics(path: Path, component: str) -> Iterator[tuple[str, ElementTree.Element]]:
    """Iterate over the events and telemetry topics of a file: their SAL names and elements."""
    prefix = f"{component}_"
    for element in _iterate_elements(path, {"SALEvent", "SALTelemetry"}):
        full_name = element.findtext("EFDB_Topic") or ""
        if not full_name.startswith(prefix):
            raise InterfaceError(
                f"{path}: expected a topic name that starts with {prefix!r}, got {full_name!r}"
            )
        yield full_name.removeprefix(prefix), element


def _iterate_elements(path: Path, tags: Collection[str]) -> Iterator[ElementTree.Element]:
    """Iterate over the elements with one of the tags; only one is in memory at a time."""
    try:
        with path.open("rb") as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag in tags:
                    yield element
                    element.clear()
    # A faulty text, an encoding that expat does not take, and one that Python does not know.
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InterfaceError(f"expected well-formed XML in {path}, got: {error}") from None
    except OSError as error:
        raise InterfaceError(f"{path} cannot be read: {error.strerror}") from None


def _make_topic(
    path: Path, sal_name: str, element: ElementTree.Element, private_fields: tuple[FieldInfo, ...]
) -> TopicInfo:
    try:
        return TopicInfo(
            sal_name=sal_name,
            fields=tuple(_make_field(item) for item in element.iterfind("item")),
            # Descriptions are taken as they are, white space included: they
            # are part of the schema, and the revision code is its digest.
            description=element.findtext("Description") or "",
            private_fields=private_fields,
        )
    except ValueError as error:
        raise InterfaceError(f"{path}: topic {sal_name!r}: {error}") from None


def _make_field(item: ElementTree.Element) -> FieldInfo:
    name, sal_type = item.findtext("EFDB_Name"), item.findtext("IDL_Type")
    if not name or not sal_type:
        raise ValueError(f"expected EFDB_Name and IDL_Type in an item, got {name!r} and {sal_type!r}")
    return FieldInfo(
        name=name,
        sal_type=sal_type,
        # Strings are never arrays; older files give their length as the count.
        count=1 if sal_type == "string" else int(item.findtext("Count") or 1),
        units=item.findtext("Units") or "unitless",
        description=item.findtext("Description") or "",
    )


def _read_private_fields(source: Path) -> tuple[FieldInfo, ...] | None:
    """Read the descriptions of the private fields from the text of a Python module.

    They are looked for as calls with the constant keyword arguments ``name``
    and ``description``.
    """
    try:
        module = ast.parse(source.read_bytes(), filename=str(source))
    except (OSError, SyntaxError, ValueError):
        return None
    descriptions: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            arguments = {
                keyword.arg: keyword.value.value
                for keyword in node.keywords
                if isinstance(keyword.value, ast.Constant)
            }
            name, description = arguments.get("name"), arguments.get("description")
            if isinstance(name, str) and isinstance(description, str):
                descriptions[name] = description
    if any(field.name not in descriptions for field in PRIVATE_FIELDS):
        return None
    return tuple(replace(field, description=descriptions[field.name]) for field in PRIVATE_FIELDS)
