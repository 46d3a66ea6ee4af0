"""Names of members at the limits of what a topic may have."""

import pytest

from ..core.topics import make_codec
from ..oracle import TopicTwin
from .comparison import Comparison

LONGEST = "n" * 127


def escaped(name: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in name)


@pytest.mark.parametrize(
    "name", [LONGEST, "", " ", '"', "\\", "/", "\0", "\n\r\t\b\f", "\x7f", "n\\u0041", "topicid", "a.b[1]"]
)
def test_any_name_is_found_plain_and_escaped(name: str) -> None:
    fields = [(name, "double", 1)]
    comparison = Comparison(make_codec(1, fields, {name: 1}), TopicTwin(1, fields, {name: 1}))
    spelled = name if name.isprintable() and not set(name) & set('"\\') else escaped(name)
    for key in (spelled, escaped(name)):
        for number in ("1.5", "2.5", "3.5"):
            assert comparison.take(f'{{"topicID": 1, "{key}": {number}}}'.encode())
            assert comparison.codec.record.get_field(name) == float(number)
    for key in (spelled + "n", "n" + spelled, spelled + "\\u0000", escaped(name) + "\\n", "é"):
        assert not comparison.take(f'{{"topicID": 1, "{key}": 1}}'.encode())


@pytest.mark.parametrize("name", [LONGEST + "n", "é", "\ud800", "n" * 10_000])
def test_other_names_are_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="expected an ASCII name of at most 127 characters"):
        make_codec(1, [(name, "double", 1)], {name: 1})
