"""What publishes a decoded frame: one handler for each telemetry topic."""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias

from ..telemetry_map import Functor

__all__ = ["Handler", "Preprocessor", "TelemetryTopicHandler", "TopicHandlers", "WritableTopic"]

#: Changes the raw telemetry data of one topic in place.
Preprocessor: TypeAlias = Callable[[dict[str, Any]], object]


class Handler(Protocol):
    """Anything that can publish a decoded frame."""

    async def __call__(self, data: dict[str, Any]) -> object:
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
    """

    def __init__(
        self,
        topic: WritableTopic,
        field_dict: Mapping[str, Functor],
        preprocessor: Preprocessor | None = None,
    ) -> None:
        #: Called after each change of an attribute.
        self.on_change: Callable[[], object] | None = None
        self.topic = topic
        self.field_dict = field_dict
        self.preprocessor = preprocessor

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name != "on_change" and self.on_change is not None:
            self.on_change()

    async def __call__(self, data: dict[str, Any]) -> None:
        """Preprocess the data of one frame, and set and write the SAL topic.

        Parameters
        ----------
        data : `dict` [`str`, `Any`]
            The frame's members.

        Raises
        ------
        KeyError
            If a member is missing.
        TypeError, ValueError, OverflowError
            If a value does not fit its field.
        """
        if self.preprocessor is not None:
            self.preprocessor(data)
        await self.topic.set_write(
            **{field: functor.sal_value_from_llv_dict(data) for field, functor in self.field_dict.items()}
        )


class TopicHandlers(dict[int, Handler]):
    """Topic ID: handler; tells its owner when an entry changes.

    The owner decodes frames without asking the standard handlers, so it has
    to know when a user puts another one in their place.

    Parameters
    ----------
    handlers : `Mapping` [`int`, `Handler`]
        The entries.
    on_change : callable
        Called with the topic ID of each entry that was set or removed.
    """

    def __init__(self, handlers: Mapping[int, Handler], on_change: Callable[[int], object]) -> None:
        super().__init__(handlers)
        self._on_change = on_change

    def __setitem__(self, topic_id: int, handler: Handler) -> None:
        super().__setitem__(topic_id, handler)
        self._on_change(topic_id)

    def __delitem__(self, topic_id: int) -> None:
        super().__delitem__(topic_id)
        self._on_change(topic_id)

    # dict's other methods do not call the two above; MutableMapping's do.
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    setdefault = MutableMapping.setdefault
    update = MutableMapping.update

    def __ior__(self, other: Mapping[int, Handler] | Iterable[tuple[int, Handler]]) -> "TopicHandlers":  # type: ignore[override,misc]
        self.update(other)
        return self
