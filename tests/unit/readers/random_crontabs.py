"""Random crontabs for the oracle tests: good lines, near misses, garbage."""

from __future__ import annotations

import random

NAMES = ("jan", "Feb", "DEC", "sun", "Mon", "sat", "foo", "mond", "7", "00", "08")


def field(dice: random.Random, low: int, high: int) -> str:
    def number() -> str:
        if dice.random() < 0.06:
            return dice.choice(["60", "99", "24", "32", "13", "8", "-1", "", "x", "1x", "5;", "*", "+1", "1.5", "99999999999"])
        if dice.random() < 0.08:
            return dice.choice(NAMES)
        return str(dice.randint(low, high))

    def one() -> str:
        roll = dice.random()
        if roll < 0.35:
            text = "*"
        elif roll < 0.75:
            text = number()
        else:
            text = number() + dice.choice(["-", "-", "-", "~"]) + number()
        if dice.random() < 0.2:
            text += "/" + dice.choice(["2", "5", "0", "", "x", "100"])
        if dice.random() < 0.03:
            text += dice.choice([";", "x", "*", "/", "-", "~"])
        return text

    text = one()
    while dice.random() < 0.15:
        text += "," + (one() if dice.random() < 0.95 else "")
    return text


def line(dice: random.Random, user: str = "") -> str:
    roll = dice.random()
    if roll < 0.12:
        return assignment(dice)
    blank = dice.choice([" ", " ", " ", "\t", "  ", " \t "])
    if roll < 0.25:
        fields = [dice.choice(["@reboot", "@daily", "@hourly", "@weekly", "@yearly", "@annually", "@monthly", "@midnight", "@Daily", "@never", "@"])]
    else:
        fields = [field(dice, low, high) for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))]
        if dice.random() < 0.04:
            fields.pop()
        elif dice.random() < 0.04:
            fields.append("*")
    if user:
        fields.append(user)
    if dice.random() < 0.97:
        fields.append(dice.choice(["/bin/true", "echo a=b", "true # x", "date +\\%s", "true " + "x" * dice.choice([10, 900, 990, 993, 994, 1100])]))
    return dice.choice(["", "", "", " ", "\t"]) + blank.join(fields) + dice.choice(["", "", "", " ", "\r"])


def assignment(dice: random.Random) -> str:
    name = dice.choice(["TZ", "CRON_TZ", "PATH", "'TZ'", '"CRON_TZ"', "A B", "", "1"])
    value = dice.choice(["UTC", "Asia/Shanghai", '""', "''", '"a b"', "'a b' c", '"open', "", "a b  ", "x=y", "'it''s'"])
    return name + dice.choice(["=", "=", " = ", "= ", " =", " "]) + value


def table(dice: random.Random, user: str = "") -> str:
    """Mostly one line of interest: Debian's cron stops at the first mistake."""
    lines = []
    for _ in range(dice.choice([1, 1, 1, 2])):
        if dice.random() < 0.2:
            lines.append(dice.choice(["", "# comment", "   # comment", "\t"]))
        lines.append(line(dice, user))
    return "\n".join(lines) + ("\n" if dice.random() < 0.95 else "")
