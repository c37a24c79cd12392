"""The oracle of the time zone tests: the C library of the machine (or tree) that this file runs on.

Reads lines of JSON [value of TZ or null, [moments]] and answers each with [[offset, summer, abbreviation, wall clock minus UTC], …].
Runs on any Python 3; started as a process of its own, because glibc may abort on a broken zone file.
"""

import calendar
import json
import os
import sys
import time


def answer(value, moments):
    if value is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = value
    time.tzset()
    found = []
    for moment in moments:
        local = time.localtime(moment)
        found.append([local.tm_gmtoff, bool(local.tm_isdst), local.tm_zone, calendar.timegm(local) - moment])
    return found


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.flush()
        child = os.fork()  # glibc keeps state from one zone to the next, and may abort on a broken file
        if child == 0:
            sys.stdout.write(json.dumps(answer(*json.loads(line))) + "\n")
            sys.stdout.flush()
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.stdout.write("null\n")
