from typing import Self

from typing_extensions import disjoint_base

FRAME_DECODABLE: int
FRAME_UNDECODABLE: int
FRAME_TOO_LONG: int
FRAME_UNFINISHED: int

@disjoint_base
class FrameClassifier:
    def __new__(cls, terminator: bytes, limit: int) -> Self: ...
    def feed(self, data: bytes) -> list[tuple[int, int | None, float, int, bytes]]: ...
    def finish(self) -> list[tuple[int, int | None, float, int, bytes]]: ...
