"""Would the client publish the frames that the TMA sends?"""

from collections import Counter
from collections.abc import Collection, Iterator

from ...core import FrameError, Record
from ...pipeline.topic_fields import choose_fields, make_codec
from ...sal.avro_schema import make_attr_name
from ...sal.interface import Interface
from ...tma_interface import list_names
from .finding import Finding, count, failed, ok, warning

__all__ = ["FrameCheck"]


class FrameCheck:
    """Decodes frames as the client does, and tells what it would drop or ignore.

    Frames of topics in ``preprocessed`` are left out: a subclass of the client changes them first.
    """

    def __init__(self, interface: Interface, preprocessed: Collection[str] = ()) -> None:
        self._codecs = {}
        self._known = interface.tma_interface.by_id
        for topic_id, topic in self._known.items():
            info = interface.topics.get(make_attr_name(topic.sal_topic))
            if info is None or topic.sal_topic in preprocessed:
                # What SAL lacks is unsupported.
                continue
            record = Record(info.record_fields(), schema_id=None, rev_code="", origin=0)
            codec = make_codec(topic, "", record, choose_fields(topic, record))
            # All members that frames lack are to be told, and not the first one.
            codec.accept_incomplete = True
            self._codecs[topic_id] = codec
        self._num_frames = 0
        # By topic ID: members that some frames lacked, errors of other frames.
        self._missing: dict[int, Counter[str]] = {}
        self._errors: dict[int, list[str]] = {}

    def decode(self, topic_id: int, frame: bytes) -> None:
        """Decode a frame of a topic of the interface."""
        codec = self._codecs.get(topic_id)
        if codec is None:
            return
        self._num_frames += 1
        try:
            codec.decode_frame(frame)
        except FrameError as error:
            self._errors.setdefault(topic_id, []).append(str(error))
        else:
            if missing := codec.missing_members:
                self._missing.setdefault(topic_id, Counter()).update(missing)

    def tell(self, accept_incomplete: bool) -> Iterator[Finding]:
        """Yield what was found; ``accept_incomplete`` is the client's option."""
        is_well = True
        for topic_id, codec in self._codecs.items():
            topic = self._known[topic_id]
            subject = f"frames of {topic.sal_topic}"
            if errors := self._errors.get(topic_id):
                is_well = False
                yield failed(
                    subject, f"{len(errors)} cannot be decoded, first: {errors[0]}", "they are dropped"
                )
            if missing := self._missing.get(topic_id):
                is_well = False
                found = f"up to {count(max(missing.values()), 'lacks', 'lack')} {list_names(missing)}"
                if accept_incomplete:
                    yield warning(subject, found, "the fields keep their values")
                else:
                    yield failed(
                        subject,
                        found,
                        "they are dropped: give the TMA's file with --tma-interface, or --accept-incomplete",
                    )
            if unknown := codec.unknown_members:
                is_well = False
                yield warning(subject, f"also have {list_names(unknown)}", "these members are ignored")
        if is_well and self._num_frames:
            yield ok("frames", f"all {self._num_frames} can be published")
