"""The calendar of a history: the days, weeks, months, quarters or years in which stock is reviewed."""

import re
from dataclasses import dataclass

import numpy as np

from sandtable.simulators.errors import InputError

_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = {"M": 1, "Q": 3, "Y": 12}


@dataclass(frozen=True)
class ReviewPeriods:
    """A calendar cut into review periods: days, weeks, months, quarters or years, or a fixed number of them.

    Attributes:
        alias: The pandas offset alias whose ``date_range`` gives the first days: ``D``, ``W-MON``, ``2W-MON``, ``MS``.
        multiple: How many base periods make one review period.
        days: Days in a base period (1 or 7), or 0 if it is made of months.
        months: Months in a base period (1, 3 or 12), or 0 if it is made of days.
        weekday: First day of the week, 0 for Monday; 0 unless ``days`` is 7.
    """

    alias: str
    multiple: int
    days: int
    months: int
    weekday: int = 0

    @classmethod
    def from_alias(cls, alias: str) -> "ReviewPeriods":
        """Return the calendar of ``D``, ``W`` (from Monday), ``W-SUN``, ``M``, ``Q``, ``Y`` or a multiple like ``2W``.

        Months, quarters and years begin on their first day, so ``M``, ``ME`` and ``MS`` mean the same here.

        Raises:
            InputError: The alias is none of these.
        """
        match = re.fullmatch(r"([1-9]\d{0,2})?(D|W(?:-(\w{3}))?|([MQY])[SE]?)", str(alias).strip().upper())
        if match is None or match[3] not in (None, *_WEEKDAYS):
            raise InputError(f"review period {alias!r} is not known; use D, W, W-SUN, MS, QS, YS or a multiple like 2W")
        multiple = int(match[1] or 1)
        prefix = str(multiple) if multiple > 1 else ""
        if match[4]:
            return cls(f"{prefix}{match[4]}S", multiple, 0, _MONTHS[match[4]])
        if match[2] == "D":
            return cls(f"{prefix}D", multiple, 1, 0)
        day = match[3] or "MON"
        return cls(f"{prefix}W-{day}", multiple, 7, 0, _WEEKDAYS.index(day))

    def base(self, days: np.ndarray) -> np.ndarray:
        """Return the number of the base period that holds each day, counted from 1970: int64, the shape of ``days``."""
        if self.months:
            return days.astype("datetime64[M]").astype(np.int64) // self.months
        monday = 4 if self.days == 7 else 0  # 1970-01-05 was a Monday
        return (days.astype("datetime64[D]").astype(np.int64) - monday - self.weekday) // self.days

    def starts(self, first: np.datetime64, periods: int) -> np.ndarray:
        """Return the first days of ``periods`` review periods, datetime64[D]; the first of them holds ``first``."""
        base = self.base(np.asarray([first]))[0] + self.multiple * np.arange(periods)
        if self.months:
            return (base * self.months).astype("datetime64[M]").astype("datetime64[D]")
        monday = 4 if self.days == 7 else 0
        return (base * self.days + monday + self.weekday).astype("datetime64[D]")

    def index(self, days: np.ndarray, first: np.datetime64) -> np.ndarray:
        """Return which review period holds each day; period 0 is that of ``first``."""
        return (self.base(days) - self.base(np.asarray([first]))[0]) // self.multiple
