"""The project's lab: real systemd hosts for the tests, without a container engine.

A host is a Debian tree under an overlay, with systemd as PID 1 in namespaces and cgroups of its own; it boots in about a second and leaves
nothing behind.  Where the unified cgroup hierarchy must have working controllers and this machine's has none, a virtual machine stands in.
`python -m tests.lab --help` starts hosts by hand; `fixtures.py` starts them for tests.
"""
