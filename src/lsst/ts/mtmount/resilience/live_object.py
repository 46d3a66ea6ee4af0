"""Objects that are live, and so cannot be copied."""

from typing import NoReturn, SupportsIndex

__all__ = ["refuse_to_copy"]


def refuse_to_copy(self: object, protocol: SupportsIndex) -> NoReturn:
    """Refuse `copy.copy`, `copy.deepcopy` and `pickle.dumps`, as ``__reduce_ex__`` of a class.

    For what holds a connection, tasks or callbacks, which a copy would share.
    """
    raise TypeError(f"expected something that can be copied or pickled, got a live {type(self).__name__}")
