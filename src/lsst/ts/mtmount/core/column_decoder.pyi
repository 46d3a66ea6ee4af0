from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from .topic_codec import TopicCodec

ARRIVAL_TIME: str

@disjoint_base
class ColumnDecoder:
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __new__(cls, codec: TopicCodec, fields: Iterable[str]) -> Self: ...
    def decode(self, messages: Sequence[tuple[int, bytes]], rows: npt.NDArray[Any]) -> int: ...
