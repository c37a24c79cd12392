"""Opens real PAM sessions and tells what limits they have. Runs inside a Debian tree, as process 1 of a pid namespace of its own.

Standard input is one JSON object: ``library`` (libpam to load), ``module`` (pam_limits as the service file names it),
``process_1`` (item to [soft, hard]: the limits that /proc/1/limits shall show) and ``cases``. A case has ``files`` (path to text, one
character for one byte; below /etc/security; null makes a directory, a leading "->" a link), ``user``, ``arguments`` of pam_limits and
``start`` (limits of the process that opens the session); with ``stack`` (absolute path to text) and ``service`` it brings its own services
instead of one that runs pam_limits alone. One line of JSON comes out for each case: ``result`` of pam_open_session (0 is
PAM_SUCCESS; null when the process died), ``limits``, ``nice``, ``no_new_privs`` and ``root`` of the process afterwards.

Limits are read from outside with prlimit(2): the session's process may have no descriptor, no memory and no time left.
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import sys

ITEMS = ("cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue",
         "nice", "rtprio", "rttime")  # in the kernel's order
SECURITY = "/etc/security"
SERVICE = "pidhygiene-oracle"
ATTEMPTS = 50  # a session with a CPU limit of 0 may be killed before it can answer

ANSWERS = [bytes([number]) for number in range(256)]


class Conversation(ctypes.Structure):
    TALK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    _fields_ = [("talk", TALK), ("data", ctypes.c_void_p)]


SILENT = Conversation(Conversation.TALK(lambda *_args: 19), None)  # PAM_CONV_ERR


def limits_of(pid):
    return {item: [number % 2 ** 64 for number in resource.prlimit(pid, index)] for index, item in enumerate(ITEMS)}


def set_limits(limits):
    for item, pair in limits.items():
        resource.setrlimit(ITEMS.index(item), tuple(-1 if number == 2 ** 64 - 1 else number for number in pair))


def write_files(files):
    shutil.rmtree(SECURITY)
    os.makedirs(SECURITY + "/limits.d")
    for path, text in files.items():
        target = os.path.join(SECURITY, path)
        if text is None:
            os.mkdir(target)
        elif text.startswith("->"):
            os.symlink(text[2:], target)
        else:
            with open(target, "wb") as stream:
                stream.write(text.encode("latin-1"))


def write_services(case, module):
    for folder in ("/etc/pam.d", "/usr/lib/pam.d"):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    stack = case.get("stack") or {"/etc/pam.d/" + SERVICE: "session required %s %s\n" % (module, " ".join(case["arguments"]))}
    for path, text in stack.items():
        with open(path, "w") as stream:
            stream.write(text)


def open_session(pam, case, answer):
    """In the child. Nothing that needs memory or a descriptor comes after pam_open_session."""
    for number in (signal.SIGXCPU, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_IGN)
    set_limits(case["start"])
    handle = ctypes.c_void_p()
    name, user = case.get("service", SERVICE).encode(), case["user"].encode()
    result = pam.pam_start(name, user, ctypes.byref(SILENT), ctypes.byref(handle))  # fails where the service's file is beyond repair
    os.write(answer, ANSWERS[result or pam.pam_open_session(handle, 0)])
    signal.pause()


def observe(pam, case):
    for _attempt in range(ATTEMPTS):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                open_session(pam, case, writer)
            finally:
                os._exit(4)
        os.close(writer)
        result = os.read(reader, 1)
        os.close(reader)
        try:
            if result:
                return seen(pid, result[0])
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return {"result": None}


def seen(pid, result):
    with open("/proc/%d/status" % pid) as stream:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)
    return {
        "result": result, "limits": limits_of(pid), "nice": os.getpriority(os.PRIO_PROCESS, pid),
        "no_new_privs": int(facts["NoNewPrivs"]), "root": os.readlink("/proc/%d/root" % pid),
    }


def main():
    work = json.load(sys.stdin)
    pam = ctypes.CDLL(work["library"])
    set_limits(work["process_1"])
    print(json.dumps({"process_1": limits_of(1)}))
    for case in work["cases"]:
        write_files(case["files"])
        write_services(case, work["module"])
        print(json.dumps(observe(pam, case)))


if __name__ == "__main__":
    main()
