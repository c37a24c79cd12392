"""A build machine: make with many jobs, compilers behind a cache, processes that live for a moment, and zombies for a shorter one."""

from __future__ import annotations

from ..host import LabHost
from .recipe import Recipe, processes

MAKEFILE = """CC = ccache gcc
SOURCES := $(wildcard src/*.c)
all: $(SOURCES:.c=.o) tests
%.o: %.c
\t@$(CC) -O2 -c -o $@ $<; :
tests:
\t@for i in 1 2 3 4 5 6 7 8 9 10; do (for j in 1 2 3 4 5 6 7 8 9 10; do true; sleep 0.05; done) & done; wait
.PHONY: all tests
"""
SOURCE = """import sys
for number in range(400):
    with open("src/part%d.c" % number, "w") as file:
        for function in range(400):
            file.write("double f%d_%d(double x) { double s = %d; for (int i = 0; i < 100; i++) { s += x * i / (s + %d); if (s > 1e9) s -= x; } return s; }\\n"
                       % (number, function, function, number + 1))
"""
BUILD = """[Unit]
Description=Builds the product, again and again
[Service]
User=builder
Nice=19
WorkingDirectory=/home/builder
Environment=CCACHE_DIR=/home/builder/.ccache
ExecStart=/bin/sh -c 'while :; do make -j 60 -s; rm -f src/*.o; done'
"""


def start(host: LabHost) -> None:
    host.run(["useradd", "--create-home", "--shell", "/bin/bash", "builder"])
    host.write("/home/builder/Makefile", MAKEFILE)
    host.write("/home/builder/source.py", SOURCE)
    host.shell("cd /home/builder && mkdir src && python3 source.py && chown -R builder: .")
    host.write("/etc/systemd/system/build.service", BUILD)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "build"])


def busy(host: LabHost) -> bool:
    return processes(host, "-x", "cc1") >= 40 and processes(host) >= 170


RECIPE = Recipe("build", "bookworm", ("gcc", "make", "ccache"), start, busy)
