"""The fuzzing targets, on what a fuzzer begins with and on cuts of it."""

from types import ModuleType

import pytest

from ..fuzz import frames, framing, stream, structs


@pytest.mark.parametrize("target", [frames, framing, stream, structs], ids=lambda target: target.__name__)
def test_seeds(target: ModuleType) -> None:
    for seed in target.seeds():
        target.check(seed)


@pytest.mark.parametrize("target", [framing, stream, structs], ids=lambda target: target.__name__)
def test_short_inputs(target: ModuleType) -> None:
    target.check(b"")
    for seed in target.seeds()[:10]:
        for stop in range(1, min(len(seed), 200)):
            target.check(seed[:stop])


@pytest.mark.parametrize("target", [frames, framing, stream, structs], ids=lambda target: target.__name__)
def test_tokens_are_of_use(target: ModuleType) -> None:
    assert all(isinstance(token, bytes) and 0 < len(token) <= 128 for token in target.TOKENS)
