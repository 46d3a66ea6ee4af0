from typing import Any, Self

from typing_extensions import disjoint_base

@disjoint_base
class DictTemplate:
    def __new__(cls, data: dict[str, Any]) -> Self: ...
