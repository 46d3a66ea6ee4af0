"""Plausible values of the members: tracks of the axes, drifts and noise.

All signals are periodic in the length of a ring of frames, so that a ring that
is streamed over and over has no jumps. Each signal depends on the seed, its
topic and its place in the topic, and on nothing else: the same topic has the
same values whichever other topics are simulated.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...tma_interface import TmaMember
from .schedule import SimulatedTopic

__all__ = ["INTEGER_TYPES", "make_signals"]

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """How a quantity moves about a level of its own."""

    #: Where the level of a signal may lie.
    low: float
    high: float
    drift: float  #: Amplitude of the slow drift
    noise: float  #: Standard deviation of the noise


#: How quantities move, by their units. Orders of magnitude of a large
#: telescope mount at work, so that readings look right to people.
LEVELS = {
    "%": Level(25.0, 75.0, 5.0, 0.2),
    "A": Level(2.0, 12.0, 0.5, 0.05),
    "N m": Level(-500.0, 500.0, 100.0, 5.0),
    "V": Level(470.0, 490.0, 1.0, 0.2),
    "bar": Level(2.0, 8.0, 0.2, 0.01),
    "deg": Level(-5.0, 5.0, 1.0, 0.001),
    "deg/s": Level(0.0, 0.0, 0.2, 0.001),
    "deg_C": Level(8.0, 20.0, 0.4, 0.02),
    "l/min": Level(20.0, 60.0, 1.0, 0.1),
    "mm": Level(50.0, 300.0, 2.0, 0.01),
    "mm/s": Level(0.0, 0.0, 0.5, 0.01),
    "um": Level(60.0, 110.0, 3.0, 0.2),
    "unitless": Level(1.0, 5.0, 0.1, 0.01),
}


@dataclass(frozen=True)
class Axis:
    """How an axis swings, and what its drives need for that."""

    centre: float  #: Middle of the swing [deg]
    amplitude: float  #: Half the swing [deg]
    inertia: float  #: Torque for an acceleration [N m s^2/deg]
    friction: float  #: Torque for a velocity [N m s/deg]

    def move(self, phase: Floats, angular_rate: float, derivative: int) -> Floats:
        """Return the track or a time derivative of it [deg, deg/s, ...]."""
        swing = self.amplitude * angular_rate**derivative * np.sin(phase + derivative * np.pi / 2)
        return swing + self.centre if derivative == 0 else swing

    def torque(self, phase: Floats, angular_rate: float) -> Floats:
        """Return the torque that the motion needs [N m]."""
        acceleration = self.move(phase, angular_rate, 2)
        return self.inertia * acceleration + self.friction * self.move(phase, angular_rate, 1)


AZIMUTH = Axis(centre=-30.0, amplitude=8.0, inertia=90_000.0, friction=12_000.0)
ELEVATION = Axis(centre=60.0, amplitude=4.0, inertia=40_000.0, friction=6_000.0)

#: Which derivative of the track a field of an axis is.
DERIVATIVES = {"Position": 0, "Inclinometer": 0, "Velocity": 1, "Acceleration": 2, "Jerk": 3}

#: What the servo leaves of a demand [deg, deg/s, ...].
SERVO_NOISE = 2e-5

#: Current of a drive for the torque of its axis [A/(N m)].
CURRENT_PER_TORQUE = 2e-4

#: Part of the ring during which a fuse is blown.
BLOWN_PART = 0.05

#: SAL type: its largest value, all bits of which are set.
INTEGER_TYPES = {
    "byte": 2**7 - 1,
    "short": 2**15 - 1,
    "unsigned short": 2**16 - 1,
    "int": 2**31 - 1,
    "long": 2**31 - 1,
    "unsigned int": 2**32 - 1,
    "long long": 2**63 - 1,
}

#: Reference marks that an encoder head passes in one swing.
REFERENCE_MARKS = 50_000


def make_signals(topic: SimulatedTopic, num_frames: int, duration: float, seed: int) -> list[list[Any]]:
    """Make the values of a topic's members for one ring: for each member one for each frame.

    The ring has ``num_frames`` of the topic, and is ``duration`` long at the full rate [s].
    Values are `float`, or `int` or `bool` where the SAL type of the field is such.
    """
    phase = 2 * np.pi * np.arange(num_frames) / num_frames
    angular_rate = 2 * np.pi / duration
    signals: list[list[Any]] = []
    for index, member in enumerate(topic.values):
        random = np.random.default_rng([seed, topic.topic_id, index])
        values: NDArray[Any]
        if member.sal_type == "boolean":
            values = (phase / (2 * np.pi) + random.random()) % 1 < BLOWN_PART
        elif member.sal_type in INTEGER_TYPES:
            start = random.integers(10**9, 10**10)
            marks = start + np.rint(REFERENCE_MARKS * np.sin(phase)).astype(np.int64)
            values = marks & INTEGER_TYPES[member.sal_type]
        else:
            axis_values = _follow_axis(topic, member, phase, angular_rate, random)
            values = _drift(phase, member, random) if axis_values is None else axis_values
        signals.append(values.tolist())
    return signals


def _drift(phase: Floats, member: TmaMember, random: np.random.Generator) -> Floats:
    level = LEVELS.get(member.unit or "", LEVELS["unitless"])
    cycles = random.integers(1, 4)
    slow = level.drift * np.sin(cycles * phase + random.uniform(0, 2 * np.pi))
    return random.uniform(level.low, level.high) + slow + random.normal(0, level.noise, len(phase))


def _follow_axis(
    topic: SimulatedTopic, member: TmaMember, phase: Floats, rate: float, random: np.random.Generator
) -> Floats | None:
    """Make the values of a member that follows one of the axes; None if it follows none."""
    axis = AZIMUTH if "azimuth" in topic.name + member.field else ELEVATION
    if topic.name in ("azimuthDrives", "elevationDrives"):
        values = CURRENT_PER_TORQUE * axis.torque(phase, rate) * random.uniform(0.9, 1.1)
        noise = LEVELS["A"].noise
    elif topic.name not in ("azimuth", "elevation", "encoder"):
        return None
    elif member.field == "actualTorque":
        values, noise = axis.torque(phase, rate), LEVELS["N m"].noise
    else:
        orders = [order for suffix, order in DERIVATIVES.items() if member.field.endswith(suffix)]
        if not orders:
            return None
        values = axis.move(phase, rate, orders[0])
        noise = 0.0 if member.field.startswith("demand") else SERVO_NOISE
    return values + random.normal(0, noise, len(phase))
