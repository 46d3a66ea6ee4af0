"""The real schema registry that other tests rely on."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from .kafka import ApicurioRegistry

#: How long a registry that starts may refuse to write [s].
WRITABLE_TIMEOUT = 30.0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def own_registry(kafka_tools: None) -> Iterator[ApicurioRegistry]:
    with ApicurioRegistry() as registry:
        yield registry


def ask(registry: ApicurioRegistry, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    url = urlsplit(registry.url)
    connection = http.client.HTTPConnection(url.netloc, timeout=30)
    try:
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        connection.request(method, url.path + path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def make_schema(**fields: str) -> dict[str, str]:
    schema = {
        "type": "record",
        "name": "azimuth",
        "namespace": "lsst.sal.MTMount",
        "fields": [{"name": name, "type": avro_type} for name, avro_type in fields.items()],
    }
    return {"schema": json.dumps(schema)}


def test_same_schema_same_id(schema_registry: ApicurioRegistry, subname: str) -> None:
    path = f"/subjects/lsst.{subname}.MTMount.azimuth-value/versions"
    status, missing = ask(schema_registry, "GET", f"{path}/latest")
    assert (status, missing["error_code"]) == (404, 40401)

    schema = make_schema(actualPosition="double")
    status, first = ask(schema_registry, "POST", path, schema)
    assert status == 200
    assert ask(schema_registry, "POST", path, schema) == (200, first)
    status, latest = ask(schema_registry, "GET", f"{path}/latest")
    assert status == 200
    assert latest["id"] == first["id"]
    assert json.loads(latest["schema"]) == json.loads(schema["schema"])
    status, by_id = ask(schema_registry, "GET", f"/schemas/ids/{first['id']}")
    assert status == 200
    assert json.loads(by_id["schema"]) == json.loads(schema["schema"])


def test_incompatible_schema_is_refused(own_registry: ApicurioRegistry) -> None:
    path = "/subjects/lsst.test.MTMount.azimuth-value/versions"
    assert ask(own_registry, "PUT", "/config", {"compatibility": "BACKWARD"})[0] == 200
    assert ask(own_registry, "POST", path, make_schema(actualPosition="double"))[0] == 200
    status, answer = ask(own_registry, "POST", path, make_schema(actualPosition="string"))
    assert (status, answer["error_code"]) == (409, 409)


def test_schemas_outlive_a_kill(own_registry: ApicurioRegistry) -> None:
    path = "/subjects/lsst.test.MTMount.azimuth-value/versions"
    schema = make_schema(actualPosition="double")
    status, first = ask(own_registry, "POST", path, schema)
    assert status == 200
    own_registry.kill()
    with pytest.raises(ConnectionRefusedError):
        ask(own_registry, "GET", "/subjects")
    own_registry.restart()
    # A registry that has just started may list its subjects before it can write.
    answer = ask(own_registry, "POST", path, schema)
    deadline = time.monotonic() + WRITABLE_TIMEOUT
    while answer[0] == http.HTTPStatus.INTERNAL_SERVER_ERROR and time.monotonic() < deadline:
        answer = ask(own_registry, "POST", path, schema)
    assert answer == (200, first)
