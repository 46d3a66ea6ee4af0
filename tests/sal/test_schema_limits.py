import json

import pytest

from lsst.ts.mtmount.sal.schema_limits import MAX_DEPTH, MAX_SIZE, load_schema


def test_what_is_within_the_bounds() -> None:
    text = json.dumps({"type": "record", "fields": [{"name": "a", "type": ["int", "double"]}]})
    assert load_schema(text) == json.loads(text)
    deepest = (MAX_DEPTH - 1) * "[" + (MAX_DEPTH - 1) * "]"
    assert load_schema(deepest) == json.loads(deepest)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected a schema in JSON, got: Expecting"),
        (100_000 * "[", "expected a schema in JSON, got: "),
        (MAX_SIZE * " " + "{}", f"expected a schema of up to {MAX_SIZE} characters, got {MAX_SIZE + 2}"),
        ((MAX_DEPTH + 1) * "[" + (MAX_DEPTH + 1) * "]", "nested up to 100 deep, got a deeper one"),
        (300 * '{"a":' + "1" + 300 * "}", "nested up to 100 deep, got a deeper one"),
    ],
)
def test_what_is_not(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_schema(text)
