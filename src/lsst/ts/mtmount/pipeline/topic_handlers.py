"""What publishes a decoded frame: one handler for each telemetry topic."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from ..resilience.argument_types import check_callable, check_result
from ..resilience.live_object import refuse_to_copy
from ..telemetry_map import Functor

__all__ = ["Handler", "Preprocessor", "TelemetryTopicHandler", "TopicHandlers", "WritableTopic"]

_T = TypeVar("_T")

#: Changes the raw telemetry data of one topic in place.
Preprocessor: TypeAlias = Callable[[dict[str, Any]], object]


class Handler(Protocol):
    """Anything that can publish a decoded frame."""

    async def __call__(self, data: dict[str, Any], /) -> object:
        """Publish one frame."""


class WritableTopic(Protocol):
    """The part of a SAL topic that a handler needs."""

    async def set_write(self, **kwargs: Any) -> object:
        """Set some fields and write the topic."""


class TelemetryTopicHandler:
    """Publish the raw telemetry data of one topic.

    Parameters
    ----------
    topic : `WritableTopic`
        The SAL topic, e.g. ``controller.tel_azimuthDrives``.
    field_dict : `dict` [`str`, `Functor`]
        SAL field name: what gets its value from the raw data, as in
        `TELEMETRY_MAP`.
    preprocessor : callable or `None`
        Called with the raw data, which it may change in place, before the
        fields are picked.

    Raises
    ------
    TypeError
        If ``preprocessor`` is a coroutine or generator function, here or when it is set.
    """

    __reduce_ex__ = refuse_to_copy

    def __init__(
        self,
        topic: WritableTopic,
        field_dict: Mapping[str, Functor],
        preprocessor: Preprocessor | None = None,
    ) -> None:
        #: Called after each change of an attribute: one for each place in which this handler is.
        self.on_change: dict[Hashable, Callable[[], object]] = {}
        self.topic = topic
        self.field_dict = field_dict
        self.preprocessor: Preprocessor | None = preprocessor

    def __repr__(self) -> str:
        if "preprocessor" not in vars(self):
            return f"<{type(self).__name__} being made>"
        topic = getattr(self.topic, "attr_name", None) or type(self.topic).__name__
        return f"{type(self).__name__}({topic}, {len(self.field_dict)} fields, {self.preprocessor!r})"

    def __copy__(self) -> "TelemetryTopicHandler":
        return type(self)(self.topic, self.field_dict, self.preprocessor)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "preprocessor" and value is not None:
            check_callable("preprocessor", value)
        super().__setattr__(name, value)
        for call in self.on_change.values():
            call()

    def preprocess(self, data: dict[str, Any]) -> None:
        """Change the data of one frame in place, if there is a preprocessor.

        `TypeError` if it returns a coroutine or a generator, which nobody would run.
        """
        if self.preprocessor is not None:
            check_result("preprocessor", self.preprocessor(data))

    async def __call__(self, data: dict[str, Any]) -> None:
        """Preprocess the data of one frame, its members, and set and write the SAL topic.

        Raises
        ------
        KeyError
            If a member is missing.
        TypeError, ValueError, OverflowError
            If a value does not fit its field.
        """
        self.preprocess(data)
        await self.topic.set_write(
            **{field: functor.sal_value_from_llv_dict(data) for field, functor in self.field_dict.items()}
        )


class TopicHandlers(dict[int, Handler]):
    """Topic ID: handler; tells its owner when an entry changes.

    The owner decodes frames without asking the standard handlers, so it has
    to know when a user puts another one in their place. What is refused
    changes nothing: KeyError for a topic ID that the TMA does not have,
    TypeError for what cannot be called.
    ``on_change`` is called with the topic ID of each entry that was set or removed,
    or whose preprocessor changed, and its handler, or `None`.
    """

    __reduce_ex__ = refuse_to_copy

    def __init__(
        self, topic_ids: Collection[int], on_change: Callable[[int, Handler | None], object]
    ) -> None:
        super().__init__()
        self._topic_ids = topic_ids
        self._on_change = on_change

    def __setitem__(self, topic_id: int, handler: Handler) -> None:
        self._check(topic_id, handler)
        super().__setitem__(topic_id, handler)
        if isinstance(handler, TelemetryTopicHandler):
            handler.on_change[id(self), topic_id] = lambda: self._on_change(topic_id, self.get(topic_id))
        self._on_change(topic_id, handler)

    def __delitem__(self, topic_id: int) -> None:
        super().__delitem__(topic_id)
        self._on_change(topic_id, None)

    def replace(self, handlers: Mapping[int, Handler]) -> None:
        """Put these in the place of all, or, if one of them is refused, change nothing."""
        new = dict(handlers)
        self.update(new)
        for topic_id in set(self) - set(new):
            del self[topic_id]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several entries, or, if one of them is refused, none; arguments are those of `dict.update`."""
        new: dict[int, Handler] = dict(*args, **kwargs)
        for topic_id, handler in new.items():
            self._check(topic_id, handler)
        for topic_id, handler in new.items():
            self[topic_id] = handler

    @overload
    def pop(self, topic_id: int, /) -> Handler: ...

    @overload
    def pop(self, topic_id: int, default: _T, /) -> Handler | _T: ...

    def pop(self, topic_id: int, /, *default: Any) -> Any:
        """Remove an entry and return its handler; arguments are those of `dict.pop`."""
        if topic_id not in self:
            return super().pop(topic_id, *default)
        handler = self[topic_id]
        del self[topic_id]
        return handler

    # dict's other methods do not call `__setitem__` and `__delitem__`; MutableMapping's do.
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    setdefault = MutableMapping.setdefault

    def __ior__(self, other: Mapping[int, Handler] | Iterable[tuple[int, Handler]]) -> "TopicHandlers":  # type: ignore[override,misc]
        self.update(other)
        return self

    def _check(self, topic_id: int, handler: object) -> None:
        if topic_id not in self._topic_ids:
            raise KeyError(f"expected the ID of a topic of the TMA that SAL has, got {topic_id!r}")
        if not callable(handler):
            raise TypeError(f"expected a coroutine function as handler of topic {topic_id}, got {handler!r}")
