"""Run on a lab host: leaves sessions of cron behind that logind keeps as closing, their process and their scope gone.

What systemd says when a scope ends does not reach logind, as when the message bus was replaced under it. Arguments: how many.
"""

import ctypes
import os
import subprocess
import sys
import time

DEAF = "/etc/dbus-1/system.d/zz-deaf.conf"
POLICY = ('<busconfig><policy context="mandatory"><deny receive_type="signal" receive_sender="org.freedesktop.systemd1"/></policy></busconfig>')
LOGIN = [ctypes.c_char_p(text) for text in (b"org.freedesktop.login1", b"/org/freedesktop/login1", b"org.freedesktop.login1.Manager", b"CreateSession")]


def opened(systemd, bus, leader):
    """As pam_systemd does it. The FIFO in the answer is closed at once, so the session is closing, while its process stays."""
    text, number, reply = (lambda value: ctypes.c_char_p(value)), ctypes.c_uint, ctypes.c_void_p()
    result = systemd.sd_bus_call_method(
        bus, *LOGIN, None, ctypes.byref(reply), text(b"uusssssussbssa(sv)"), number(0), number(leader), text(b"crond"), text(b"unspecified"), text(b"background"),
        text(b""), text(b""), number(0), text(b""), text(b""), ctypes.c_int(0), text(b""), text(b""), number(0))
    if result < 0:
        sys.exit(os.strerror(-result))
    systemd.sd_bus_message_unref(reply)


def closing():
    found = 0
    for name in os.listdir("/run/systemd/sessions"):
        if not name.endswith(".ref"):  # a FIFO
            try:
                with open("/run/systemd/sessions/" + name) as stream:
                    found += "STATE=closing\n" in stream.readlines()
            except OSError:
                pass
    return found


def wait(condition):
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("%d sessions are closing" % closing())
        time.sleep(0.05)


def reload_bus():
    subprocess.run(["busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig"], check=True)


def main(count):
    systemd, bus = ctypes.CDLL("libsystemd.so.0"), ctypes.c_void_p()
    if systemd.sd_bus_open_system(ctypes.byref(bus)) < 0:
        sys.exit("no message bus")
    before, leaders = closing(), []
    for _number in range(count):
        leaders.append(subprocess.Popen(["sleep", "300"], start_new_session=True, stdin=-3, stdout=-3, stderr=-3))
        opened(systemd, bus, leaders[-1].pid)
    wait(lambda: closing() >= before + count)
    with open(DEAF, "w") as stream:
        stream.write(POLICY)
    reload_bus()
    for leader in leaders:
        leader.kill()
        leader.wait()
    wait(lambda: not [name for name in os.listdir("/run/systemd/transient") if name.startswith("session-c")])
    subprocess.run(["systemctl", "list-units", "session-*"], stdout=-3, check=True)  # by its answer, systemd has said all that it had to say
    os.unlink(DEAF)
    reload_bus()


main(int(sys.argv[1]))
