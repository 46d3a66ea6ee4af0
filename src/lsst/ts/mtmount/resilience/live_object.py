"""Objects that are live, and so cannot be copied."""

from typing import NoReturn, SupportsIndex

__all__ = ["LiveObject"]


class LiveObject:
    """What holds a connection, tasks or callbacks, which a copy would share."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse `copy.copy`, `copy.deepcopy` and `pickle.dumps`."""
        raise TypeError(f"expected something that can be copied or pickled, got a live {type(self).__name__}")
