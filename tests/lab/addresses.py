"""The addresses of a host's link, from the number that no other host of this machine has.

A network of four addresses for each: the second is this machine's end, the third the host's.
"""

from __future__ import annotations

import ipaddress

NETWORK = ipaddress.IPv4Network("10.98.0.0/16")
MOST_HOSTS = NETWORK.num_addresses // 4


def near_address(number: int) -> str:
    return str(NETWORK[4 * number + 1])


def far_address(number: int) -> str:
    return str(NETWORK[4 * number + 2])
