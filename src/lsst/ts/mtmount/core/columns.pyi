from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .codec import TopicCodec

ARRIVAL_TIME: str

class ColumnDecoder:
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __init__(self, codec: TopicCodec, fields: Sequence[str]) -> None: ...
    def decode(self, messages: Sequence[tuple[int, bytes]], rows: npt.NDArray[Any]) -> int: ...
