"""Random calendar events for the oracle tests: good ones, near misses, a few of each form."""

from __future__ import annotations

import random

WEEKDAYS = ("Mon", "Tue", "wed", "Thursday", "Fri", "sat", "Sunday", "SUN", "Mond")
SHORT = ("hourly", "daily", "weekly", "MONTHLY", "yearly", "quarterly", "semiannually", "minutely", "dayly", "anually")


def number(dice: random.Random, low: int, high: int) -> str:
    value = dice.randint(low, high) if dice.random() < 0.95 else dice.randint(0, 2 * high + 5)
    return f"{value:02}" if dice.random() < 0.6 else str(value)


def chain(dice: random.Random, low: int, high: int, *, decimal: bool = False) -> str:
    if dice.random() < 0.35:
        return "*"
    parts = []
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        text = number(dice, low, high)
        if decimal and dice.random() < 0.2:
            text += f".{dice.randint(0, 9999999)}"
        if dice.random() < 0.2:
            text += ".." + number(dice, low, high)
        if dice.random() < 0.2:
            text += f"/{dice.randint(0, max(1, (high - low) // 2))}"
        parts.append(text)
    return ",".join(parts)


def weekdays(dice: random.Random) -> str:
    text = dice.choice(WEEKDAYS)
    for _ in range(dice.choice((0, 0, 1, 2))):
        text += dice.choice((",", "..", "-", ",")) + dice.choice(WEEKDAYS)
    return text + (dice.choice((",", "..", "-", ".")) if dice.random() < 0.05 else "")


def event(dice: random.Random) -> str:
    if dice.random() < 0.04:
        return dice.choice(SHORT)
    words = []
    if dice.random() < 0.3:
        words.append(weekdays(dice))
    if dice.random() < 0.6:
        day = chain(dice, 1, 12) + dice.choice("---~") + chain(dice, 1, 31)
        if dice.random() < 0.7:
            day = dice.choice(("*", "2027", "27", "2026..2030", "2026,2028", "1999")) + dice.choice("----~") + day
        words.append(day)
    if dice.random() < 0.8 or not words:
        time = chain(dice, 0, 23) + ":" + chain(dice, 0, 59)
        words.append(time + (":" + chain(dice, 0, 59, decimal=True) if dice.random() < 0.5 else ""))
    return (" " if dice.random() < 0.97 else "  ").join(words) + (dice.choice(("x", ":", "-", "/")) if dice.random() < 0.03 else "")


def night_time(dice: random.Random) -> str:
    """A daily event that often falls between midnight and four."""
    hours = dice.choice(("*", "1..3", "2", "02,14", "0/2", "2..3", "0", "3", "1,2,3", "23"))
    minutes = dice.choice(("00", "30", "0/15", "0/20", "59", "15,45"))
    return dice.choice(("", "*-*-* ", "Sun ", "Fri,Sun *-*-* ")) + f"{hours}:{minutes}"
