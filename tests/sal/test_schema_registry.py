import base64
import http.server
import json
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lsst.ts.mtmount.sal import FieldInfo, RegisteredSchema, RegistryError, SchemaRegistry, TopicInfo
from lsst.ts.mtmount.sal.schema_registry import MAX_RESPONSE

TOPIC = TopicInfo("brake", (FieldInfo("pressure", "double", 1, "bar", "Pressure."),), "A brake.")
SUBJECT = TOPIC.subject("sal")
OTHER_WORDS = TopicInfo("brake", (FieldInfo("pressure", "double", 1, "Pa", "?"),), "Something.")
OTHER_TYPE = TopicInfo("brake", (FieldInfo("pressure", "float"),))


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Registry:
    """A schema registry for one subject, which answers as it is told."""

    latest: TopicInfo | None = None
    answer: tuple[int, bytes] | None = None
    location: str = ""
    must_hang_up: bool = False
    requests: list[Request] = field(default_factory=list)
    num_connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reply(self, request: Request) -> tuple[int, bytes]:
        self.requests.append(request)
        if self.answer is not None:
            return self.answer
        if request.method == "POST":
            return 200, b'{"id": 12}'
        if self.latest is None:
            return 404, b'{"error_code": 40401, "message": "Subject not found."}'
        schema = json.dumps(self.latest.avro_schema())
        return 200, json.dumps({"subject": SUBJECT, "version": 3, "id": 7, "schema": schema}).encode()


@pytest.fixture
def registry() -> Iterator[Registry]:
    state = Registry()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            state.num_connections += 1
            super().setup()

        def answer_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers), json.loads(body) if body else None)
            status, answer = state.reply(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            if state.location:
                self.send_header("Location", state.location)
            self.end_headers()
            self.wfile.write(answer)
            self.close_connection = state.must_hang_up

        do_GET = answer_request  # noqa: N815
        do_POST = answer_request  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def add_password(url: str) -> str:
    return url.replace("//", "//user:pa55@")


def provide(url: str, *, is_exact: bool = False) -> RegisteredSchema:
    with SchemaRegistry(url, timeout=5) as client:
        return client.provide_schema(TOPIC, SUBJECT, is_exact=is_exact)


def test_new_schema_is_registered(registry: Registry) -> None:
    assert provide(registry.url) == RegisteredSchema(12, TOPIC.rev_code)
    get, post = registry.requests
    assert (get.method, get.path) == ("GET", "/subjects/lsst.sal.MTMount.brake-value/versions/latest")
    assert (post.method, post.path) == ("POST", "/subjects/lsst.sal.MTMount.brake-value/versions")
    assert post.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
    # Unindented JSON text, inside of JSON.
    assert post.body == {"schema": json.dumps(TOPIC.avro_schema())}


def test_same_schema_is_reused(registry: Registry) -> None:
    registry.latest = TOPIC
    assert provide(registry.url) == RegisteredSchema(7, TOPIC.rev_code)
    assert [request.method for request in registry.requests] == ["GET"]


def test_schema_of_same_substance_is_reused_with_its_rev_code(registry: Registry) -> None:
    registry.latest = OTHER_WORDS
    assert OTHER_WORDS.rev_code != TOPIC.rev_code
    assert provide(registry.url) == RegisteredSchema(7, OTHER_WORDS.rev_code)
    assert [request.method for request in registry.requests] == ["GET"]


def test_schema_of_other_substance_is_not_reused(registry: Registry) -> None:
    registry.latest = OTHER_TYPE
    assert provide(registry.url) == RegisteredSchema(12, TOPIC.rev_code)
    assert [request.method for request in registry.requests] == ["GET", "POST"]


@pytest.mark.parametrize("code", [40401, 40402, 40403])
def test_a_subject_without_a_version_has_no_latest_one(registry: Registry, code: int) -> None:
    registry.answer = (404, json.dumps({"error_code": code, "message": "not found"}).encode())
    with SchemaRegistry(registry.url) as client:
        assert client.get_latest(SUBJECT) is None


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"<html>File not found</html>", "<html>File not found</html>"),
        (b'{"error_code": 404, "message": "HTTP 404 Not Found"}', "HTTP 404 Not Found"),
        (b'{"error_code": [40401], "message": "odd"}', "odd"),
        (b"[40401]", r"\[40401\]"),
    ],
)
def test_another_404_is_not_a_registrys(registry: Registry, answer: bytes, shown: str) -> None:
    """A wrong path, or another server: to register would fail, too."""
    registry.answer = (404, answer)
    with (
        SchemaRegistry(registry.url) as client,
        pytest.raises(RegistryError, match=f"did not tell the latest schema of .*HTTP status 404, {shown}$"),
    ):
        client.get_latest(SUBJECT)


def test_exact_schema_is_always_registered(registry: Registry) -> None:
    registry.latest = OTHER_WORDS
    assert provide(registry.url, is_exact=True) == RegisteredSchema(12, TOPIC.rev_code)
    assert [request.method for request in registry.requests] == ["POST"]


def test_one_connection_serves_all_requests(registry: Registry) -> None:
    with SchemaRegistry(registry.url) as client:
        for _ in range(3):
            client.provide_schema(TOPIC, SUBJECT, is_exact=False)
    assert len(registry.requests) == 6
    assert registry.num_connections == 1


def test_connection_that_was_closed_is_opened_again(registry: Registry) -> None:
    registry.must_hang_up = True
    with SchemaRegistry(registry.url) as client:
        for _ in range(3):
            client.register(SUBJECT, TOPIC.avro_schema())
    assert registry.num_connections == 3


def test_base_path_and_odd_subject(registry: Registry) -> None:
    with SchemaRegistry(f"{registry.url}/apis/ccompat/v7/") as client:
        client.get_latest("a/b c")
    assert registry.requests[0].path == "/apis/ccompat/v7/subjects/a%2Fb%20c/versions/latest"


def test_basic_authentication(registry: Registry) -> None:
    provide(registry.url.replace("//", "//user%40site:p%3Aw@"))
    expected = base64.b64encode(b"user@site:p:w").decode()
    assert registry.requests[0].headers["Authorization"] == f"Basic {expected}"
    provide(registry.url)
    assert "Authorization" not in registry.requests[-1].headers


@pytest.mark.parametrize(
    ("status", "answer", "expected"),
    [
        (
            409,
            b'{"error_code": 409, "message": "Schema is incompatible"}',
            "HTTP status 409, Schema is incompat",
        ),
        (401, b"", "HTTP status 401, without a text$"),
        (500, b"<html>" + 1000 * b"x", r"HTTP status 500, <html>x+\.\.\.$"),
        (302, b"elsewhere", "HTTP status 302"),
        (200, b"no JSON", "gave no schema id for .*brake-value: no JSON"),
        (200, b"[]", "gave no schema id"),
        (200, b'{"id": "7"}', "gave no schema id"),
        (200, b'{"id": true}', "gave no schema id"),
        (200, b'{"id": -1}', "gave no schema id"),
        (200, b'{"id": 2147483648}', "gave no schema id"),
        (200, 100_000 * b"[", "gave no schema id"),
        (200, b"", "gave no schema id for .*brake-value: nothing"),
        (200, (MAX_RESPONSE + 1) * b"x", f"over {MAX_RESPONSE} bytes"),
    ],
)
def test_refusals_are_told(registry: Registry, status: int, answer: bytes, expected: str) -> None:
    registry.answer = (status, answer)
    with pytest.raises(RegistryError, match=expected) as raised:
        provide(add_password(registry.url), is_exact=True)
    assert registry.url in str(raised.value)
    assert "pa55" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://registry:8081/base", "https://registry:8081/base"),
        ("https://user:pa/55@@registry/login?token=pa55", "https://***@registry/login"),
        ("//user:pa55@registry/pa55", "//***@registry/***"),
        ("https://registry/login#access_token=abc", "https://registry/login"),
        ("/login\x1b[2J#pa55", r"/login\x1b[2J"),
        ("/" + 300 * "x", "/" + 185 * "x" + "..."),
    ],
)
def test_where_a_redirection_leads_is_told(
    registry: Registry, status: int, location: str, shown: str
) -> None:
    registry.answer = (status, b"moved")
    registry.location = location
    with pytest.raises(RegistryError) as raised:
        provide(add_password(registry.url))
    assert str(raised.value).endswith(f": HTTP status {status}, redirected to {shown}")
    assert "pa55" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [b"{}", b'{"id": 3}', b'{"id": 3, "schema": 4}', b'{"id": 3, "schema": "{"}', b'{"schema": "{}"}'],
)
def test_bad_latest_schema_is_told(registry: Registry, answer: bytes) -> None:
    registry.answer = (200, answer)
    with pytest.raises(RegistryError, match="gave no schema for"):
        provide(registry.url)


def test_latest_schema_may_be_no_record(registry: Registry) -> None:
    registry.answer = (200, json.dumps({"id": 3, "schema": '"string"'}).encode())
    assert provide(registry.url) == RegisteredSchema(3, TOPIC.rev_code)
    assert [request.method for request in registry.requests] == ["GET", "POST"]


def test_unreachable_registry_is_told(unused_port: int) -> None:
    url = add_password(f"http://127.0.0.1:{unused_port}/base")
    with pytest.raises(
        RegistryError, match=rf"http://127\.0\.0\.1:{unused_port}/base cannot be reached"
    ) as raised:
        provide(url)
    assert "pa55" not in "".join(traceback.format_exception(raised.value))


def test_silent_registry_is_given_up(silent_port: int) -> None:
    start = time.monotonic()
    with (
        SchemaRegistry(f"http://127.0.0.1:{silent_port}", timeout=0.2) as client,
        pytest.raises(RegistryError, match=r"cannot be reached: no whole answer within 0\.2 s"),
    ):
        client.get_latest(SUBJECT)
    assert time.monotonic() - start >= 0.2


def test_what_the_registry_says_is_redacted_and_escaped(registry: Registry) -> None:
    login = base64.b64encode(b"user:pa55").decode()
    registry.answer = (401, json.dumps({"message": f"not user:pa55 ({login})\x1b[2J\u009b\u202e"}).encode())
    with pytest.raises(RegistryError, match="HTTP status 401, not user:") as raised:
        provide(add_password(registry.url))
    assert "pa55" not in str(raised.value)
    assert login not in str(raised.value)
    assert r"\x1b[2J\x9b\u202e" in str(raised.value)


def test_repr_shows_no_password() -> None:
    client = SchemaRegistry("https://user:pa55@registry/base/")
    assert repr(client) == "SchemaRegistry('https://registry/base')"


@pytest.mark.parametrize("depth", [400, 100_000])
@pytest.mark.parametrize("place", ["type", "member"])
def test_a_latest_schema_that_is_deep_is_told_or_not_reused(
    registry: Registry, depth: int, place: str
) -> None:
    """What the parser of JSON takes depends on the version of Python."""
    schema = TOPIC.avro_schema()
    if place == "type":
        schema["fields"][0] = {**schema["fields"][0], "type": "DEEP"}
        deep = depth * '{"type": "array", "items": ' + '"int"' + depth * "}"
    else:
        schema["more"] = "DEEP"
        deep = depth * "[" + depth * "]"
    text = json.dumps(schema).replace('"DEEP"', deep)
    registry.answer = (200, json.dumps({"id": 3, "schema": text}).encode())
    try:
        found = provide(registry.url)
    except RegistryError as error:
        assert "gave" in str(error)
    else:
        assert found.schema_id == 3
