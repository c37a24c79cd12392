"""The backup agent of the first seed, made small: forks children that end at once as another user, and never waits for them.

Runs on the lab host. Arguments: how many, uid of the children, seconds to spread them over.
"""

import os
import sys
import time

count, uid, spread = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
start = time.monotonic()
for number in range(count):
    ahead = start + spread * number / count - time.monotonic()
    if ahead > 0.005:
        time.sleep(ahead)
    if os.fork() == 0:
        os.setuid(uid)
        os._exit(0)
with open("/run/leaked", "w") as done:
    done.write(str(count))
time.sleep(100000)
