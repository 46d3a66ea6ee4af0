from typing import Self

from typing_extensions import disjoint_base

@disjoint_base
class DictLoader:
    def __new__(cls, topic_id: int) -> Self: ...
