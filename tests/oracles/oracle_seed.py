"""Which random cases our reading of files is compared on with the programs that read them for a living.

Without a word every run compares the same cases, so that a change fails by what it changed. PIDHYGIENE_ORACLE_SEED=random explores new ones and prints
their seed; a number repeats them.
"""

from __future__ import annotations

import os
import random

FIXED = 20261128


def seed() -> int:
    wanted = os.environ.get("PIDHYGIENE_ORACLE_SEED") or str(FIXED)
    return random.SystemRandom().randrange(2 ** 32) if wanted == "random" else int(wanted)
