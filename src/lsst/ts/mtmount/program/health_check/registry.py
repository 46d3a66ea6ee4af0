"""Is the schema registry there, and does it take our schemas?"""

from collections.abc import Iterator

from ...sal.avro_schema import have_same_substance
from ...sal.interface import Interface
from ...sal.kafka_settings import KafkaSettings
from ...sal.schema_registry import RegistryError, SchemaRegistry
from .finding import Finding, count, failed, ok, warning

__all__ = ["check_registry"]

#: How long each answer may take [s].
ANSWER_TIMEOUT = 5.0


def check_registry(settings: KafkaSettings, interface: Interface) -> Iterator[Finding]:
    """Compare the latest schemas with those that would be registered."""
    missing: list[str] = []
    incompatible: list[str] = []
    changed: list[str] = []
    try:
        with SchemaRegistry(
            settings.registry_url, timeout=ANSWER_TIMEOUT, redact=settings.redact
        ) as registry:
            for topic in interface.topics.values():
                subject = topic.subject(settings.subname)
                latest = registry.get_latest(subject)
                if latest is None:
                    missing.append(subject)
                elif not have_same_substance(latest[1], schema := topic.avro_schema()):
                    fits = registry.is_compatible(subject, schema)
                    (changed if fits else incompatible).append(subject)
            yield ok("schema registry", f"{registry.url} answers")
    except RegistryError as error:
        yield failed("schema registry", str(error), "check LSST_SCHEMA_REGISTRY_URL")
        return
    if incompatible:
        yield failed(
            "schemas",
            f"{count(len(incompatible), 'is', 'are')} not compatible with the latest version, "
            f"{incompatible[0]} first",
            "use the interface of that version, or change the subject's compatibility",
        )
    if changed:
        found = count(len(changed), "gets a new version", "get a new version")
        yield warning("schemas", f"{found}, {changed[0]} first", "readers must follow")
    if missing:
        found = count(len(missing), "is not registered", "are not registered")
        yield warning("schemas", f"{found}, {missing[0]} first", "the start registers them")
    if not (incompatible or changed or missing):
        yield ok("schemas", f"all {len(interface.topics)} are registered as they are")
