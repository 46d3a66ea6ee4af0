"""Frames for tests of faults."""

import json
from functools import cache
from typing import Any

from ..core.topics import golden_records

#: Topic ID of `azimuth_frame`.
AZIMUTH = 6


@cache
def _azimuth() -> dict[str, Any]:
    (line,) = (v["line"] for v in golden_records() if (v["sal_topic"], v["case"]) == ("azimuth", "six"))
    data: dict[str, Any] = json.loads(line)
    return data


def azimuth_frame(**changes: Any) -> bytes:
    """A good frame of the topic azimuth."""
    return json.dumps(_azimuth() | changes).encode()
