"""PH-PID through audit()."""

import pytest
from pidhygiene.readers.stuck import alike
from simulated import SimulatedHost, judge

BOOT = "3a9c4a5e-0000-4000-8000-000000000001"


def marks(host, **more):
    return dict({"version": 1, "boot_id": BOOT, "wall": host.wall - 3600, "boot": host.boot - 3600}, **more)


def with_sysctl(**values):
    host = SimulatedHost()
    for name, value in values.items():
        host.file("/proc/sys/kernel/" + name.replace("_", "-" if name == "threads_max" else "_"), "%s\n" % value)
    return host


@pytest.mark.case("PH-PID-001", "fires")
@pytest.mark.parametrize("tasks, status", [(800, "warn"), (950, "fail")])
def test_near_threads_max(tasks, status):
    assert judge(with_sysctl(threads_max=1000).tasks(tasks), "PH-PID-001").only(status)


def proposed(finding):
    assert finding["remedy"]["state"] == "kernel_limits"
    return finding["remedy"]["parameters"]


@pytest.mark.parametrize("threads_max, memory, more", [(1000, 16384000, 2000), (1000, 192000, 1500), (1000, 128000, None), (1000, None, None)])
def test_more_tasks_are_proposed_as_far_as_there_is_memory(threads_max, memory, more):
    host = with_sysctl(threads_max=threads_max).file("/proc/meminfo", "MemTotal: %s kB\n" % memory)
    finding = judge(host.tasks(950), "PH-PID-001").only("fail")
    assert (finding["remedy"] and proposed(finding)) == (more and {"values": {"kernel.threads-max": more}})


@pytest.mark.case("PH-PID-001", "silent")
def test_far_from_threads_max():
    assert judge(with_sysctl(threads_max=1000).tasks(799), "PH-PID-001").status == "pass"


@pytest.mark.case("PH-PID-001", "unreadable")
def test_threads_max_unreadable():
    assert judge(SimulatedHost().forbid("/proc/sys/kernel/threads-max"), "PH-PID-001").status == "unknown"


@pytest.mark.case("PH-PID-002", "fires")
@pytest.mark.parametrize("pid_max, tasks, status", [(32768, 18451, "warn"), (32768, 27700, "fail"), (4194304, 3400000, "warn"), (4194304, 4000000, "fail")])
def test_numbers_nearly_used(pid_max, tasks, status):
    finding = judge(with_sysctl(pid_max=pid_max, threads_max=9999999).tasks(tasks), "PH-PID-002").only(status)
    assert "of %d process numbers" % (pid_max - 300) in finding["message"]


def test_the_seeds_figure():
    """18,451 tasks of 32,468 usable numbers are 56.8 % (F01)."""
    finding = judge(with_sysctl(pid_max=32768).tasks(18451), "PH-PID-002").only("warn")
    assert "(56.8 %; pid_max 32768)" in finding["message"]
    assert proposed(finding) == {"values": {"kernel.pid_max": 4194304}}


@pytest.mark.case("PH-PID-002", "silent")
@pytest.mark.parametrize("pid_max, tasks", [(32768, 16000), (4194304, 200000)])
def test_numbers_with_room(pid_max, tasks):
    assert judge(with_sysctl(pid_max=pid_max).tasks(tasks), "PH-PID-002").status == "pass"


def test_a_full_pid_namespace_speaks_of_itself():
    """Inside a container the machine's task count says nothing of the container's numbers (F17)."""
    host = with_sysctl(pid_max=310).tasks(50000).file("/proc/sys/kernel/osrelease", "6.18.5\n")
    host.links["/proc/self/ns/pid"] = "pid:[4026532999]"
    for pid in range(296, 305):
        host.process(pid, 1, "sleep")
    host.tasks(50000)
    assert "This pid namespace has used 10 of 10" in judge(host, "PH-PID-002").only("fail")["message"]


@pytest.mark.case("PH-PID-002", "unreadable")
def test_pid_max_unreadable():
    assert judge(SimulatedHost().forbid("/proc/sys/kernel/pid_max"), "PH-PID-002").status == "unknown"


@pytest.mark.case("PH-PID-003", "fires")
def test_small_pid_max_under_load_and_a_file_that_was_not_applied():
    assert judge(with_sysctl(pid_max=32768).tasks(9000), "PH-PID-003").only("warn")
    host = SimulatedHost().file("/etc/sysctl.d/10-x.conf", "kernel.pid_max = 65536\n")
    assert "but /etc/sysctl.d/10-x.conf says 65536" in judge(host, "PH-PID-003").only("warn")["message"]
    assert proposed(judge(host, "PH-PID-003").only("warn")) == {"values": {"kernel.pid_max": 65536}}
    host.file("/etc/sysctl.d/10-x.conf", "kernel.pid_max = 64k; reboot\n")
    assert judge(host, "PH-PID-003").only("warn")["remedy"] is None
    assert judge(host, "PH-PID-003", policy={"sixteen_bit_pids": True}).only("warn")


@pytest.mark.case("PH-PID-003", "silent")
def test_distribution_default_is_information_and_an_applied_file_is_silent():
    assert judge(with_sysctl(pid_max=32768), "PH-PID-003").status == "info"
    applied = SimulatedHost().file("/etc/sysctl.d/10-x.conf", "kernel/pid_max = 4194304\n")
    assert judge(applied, "PH-PID-003").status == "pass"
    hidden = SimulatedHost().file("/usr/lib/sysctl.d/10-x.conf", "kernel.pid_max=1000\n").link("/etc/sysctl.d/10-x.conf", "/dev/null")
    assert judge(hidden, "PH-PID-003").status == "pass"
    vendor = SimulatedHost().file("/usr/lib/sysctl.d/50-pid-max.conf", "kernel.pid_max=99999\n")
    assert judge(vendor, "PH-PID-003").status == "info"


def with_tuned(profile="[main]\ninclude=throughput-performance\n[sysctl]\nkernel/pid_max=131072\n", folder="/etc/tuned/ours", runs=True):
    """The profile is active, and includes one of the vendor."""
    host = SimulatedHost().file("/etc/tuned/active_profile", "ours\n").file(folder + "/tuned.conf", profile)
    host.file("/usr/lib/tuned/throughput-performance/tuned.conf", "[sysctl]\nkernel.pid_max=65536\nkernel.sched_x = >5\n")
    return host.process(800, 1, "tuned") if runs else host


@pytest.mark.case("PH-PID-003", "fires")
def test_a_profile_of_tuned_that_is_not_in_force():
    assert "runs with 4194304, but /etc/tuned/ours/tuned.conf says 131072" in judge(with_tuned(), "PH-PID-003").only("warn")["message"]
    assert "/usr/lib/tuned/throughput-performance/tuned.conf says 65536" in judge(with_tuned("[main]\ninclude=throughput-performance\n"), "PH-PID-003").only("info")["message"]
    loses = with_tuned().file("/etc/sysctl.d/10-x.conf", "kernel.pid_max = 4194304\n")
    assert judge(loses, "PH-PID-003").status == "pass"
    assert judge(loses.file("/etc/tuned/tuned-main.conf", "daemon = 1\nreapply_sysctl = 0\n"), "PH-PID-003").only("warn")


@pytest.mark.case("PH-PID-003", "silent")
def test_profiles_that_are_in_force_or_not_used():
    in_force = with_tuned(folder="/usr/lib/tuned/profiles/ours").file("/proc/sys/kernel/pid_max", "131072\n")
    vendor = in_force.file("/usr/lib/sysctl.d/50-pid-max.conf", "kernel.pid_max=99999\n")
    looped = with_tuned("[main]\ninclude=ours,ours\n")
    for host in (in_force, vendor, with_tuned(runs=False), looped, with_tuned("[sysctl]\nkernel.pid_max=${x}\n")):
        assert judge(host, "PH-PID-003").status == "pass"


@pytest.mark.parametrize("threads_max, tasks, status", [(20000, 9000, "warn"), (20000, 900, "info"), (70000, 60000, "pass")])
def test_threads_max_of_less_memory(threads_max, tasks, status):
    """16,384,000 KiB of memory give 128,000 threads."""
    host = with_sysctl(threads_max=threads_max).tasks(tasks)
    verdict = judge(host, "PH-PID-003")
    assert verdict.status == status
    if status != "pass":
        assert "where the kernel would choose 128000 for this memory" in verdict.only(status)["message"]
    assert judge(host.file("/etc/sysctl.d/t.conf", "kernel.threads-max = %d\n" % threads_max), "PH-PID-003").status == "pass"


@pytest.mark.case("PH-PID-003", "unreadable")
def test_sysctl_file_unreadable():
    host = SimulatedHost().file("/etc/sysctl.d/10-x.conf", "").forbid("/etc/sysctl.d/10-x.conf")
    assert judge(host, "PH-PID-003").status == "unknown"
    assert judge(with_tuned().forbid("/etc/tuned/ours/tuned.conf"), "PH-PID-003").status == "unknown"
    assert judge(with_tuned(runs=False).forbid("/etc/tuned/active_profile"), "PH-PID-003").status == "pass"


def large_unit(threads, maximum="max"):
    host = SimulatedHost().process(700, 1, "java", uid=33, threads=threads, cgroup="/system.slice/app.service")
    return host.group("/system.slice/app.service", maximum, threads)


@pytest.mark.case("PH-PID-004", "fires")
def test_large_unit_is_told_what_binds():
    finding = judge(large_unit(1200, 1300), "PH-PID-004").only("info")
    assert finding["binding"] == "pids.max of /system.slice/app.service: 1200 of 1300"


@pytest.mark.case("PH-PID-004", "silent")
def test_small_units_are_left_out():
    assert judge(large_unit(900), "PH-PID-004").status == "pass"


@pytest.mark.case("PH-PID-004", "unreadable")
def test_group_files_unreadable():
    host = large_unit(1200, 1300).forbid("/sys/fs/cgroup/system.slice/app.service/pids.max")
    assert judge(host, "PH-PID-004").status == "unknown"


def rejecting(refused, path="/system.slice/app.service"):
    host = SimulatedHost().process(700, 1, "app", uid=33, cgroup=path)
    return host.group(path, 50, 50, refused=refused)


@pytest.mark.case("PH-PID-005", "fires")
def test_rejections_since_the_last_audit():
    host = rejecting(7)
    finding = judge(host, "PH-PID-005", previous=marks(host, refused={})).only("fail")
    assert "refused 7 forks since the last audit in /system.slice/app.service (/system.slice/app.service allows 50)" in finding["message"]
    assert finding["remedy"]["parameters"] == {"unit": "app.service", "tasks": 100}
    pod = rejecting(7, "/kubepods.slice/pod1.slice/cri-1.scope")
    assert judge(pod, "PH-PID-005", previous=marks(pod)).only("warn")["remedy"] is None


@pytest.mark.case("PH-PID-005", "silent")
def test_rejections_of_the_first_run_are_information_and_known_ones_are_silent():
    assert judge(rejecting(7), "PH-PID-005").status == "info"
    host = rejecting(7)
    inode = host.stat("/sys/fs/cgroup/system.slice/app.service").ino
    assert judge(host, "PH-PID-005", previous=marks(host, refused={"/system.slice/app.service#%d" % inode: 7})).status == "pass"
    assert judge(host, "PH-PID-005", previous=marks(host, refused={"/system.slice/app.service#1": 7})).status == "fail", "a new group starts at zero"


@pytest.mark.case("PH-PID-005", "unreadable")
def test_group_unreadable_for_rejections():
    assert judge(rejecting(7).forbid("/sys/fs/cgroup/system.slice/app.service/pids.current"), "PH-PID-005").status == "unknown"


def waiting(count, idle=1200.0):
    host = SimulatedHost()
    for index in range(count):
        host.process(800 + index, 1, "df", "D", start=7200, dead=idle, cgroup="/system.slice/monitor.service")
    return host


@pytest.mark.case("PH-PID-006", "fires")
def test_pile_up_in_state_d():
    host = waiting(6)
    assert "6 tasks df of monitor.service are stuck in the kernel" in judge(host, "PH-PID-006").only("warn")["message"]
    before = marks(host, stuck={"df|monitor.service": 4})
    assert "2 more than at the last audit" in judge(host, "PH-PID-006", previous=before).only("fail")["message"]


def behind_servers(channel, waiting=(6,), kinds=("fuse.sshfs",)):
    """Six tasks wait there; mounted are /mnt/0, /mnt/1 … of these kinds, whose servers owe as many answers."""
    host = waiting_in(channel)
    lines = "".join("4%d 22 0:6%d / /mnt/%d rw,relatime - %s office:/x rw\n" % (number, number, number, kind) for number, kind in enumerate(kinds))
    host.file("/proc/self/mountinfo", host.files["/proc/self/mountinfo"].decode() + lines)
    for number, count in enumerate(waiting):
        if count is not None:
            host.file("/sys/fs/fuse/connections/6%d/waiting" % number, "%d\n" % count)
    return host


def waiting_in(channel):
    host = waiting(6)
    for index in range(6):
        host.file("/proc/%d/wchan" % (800 + index), channel)
    return host


def test_every_login_has_a_scope_of_its_own():
    """A home on a dead server: each login hangs in another session, and no unit has more than one."""
    host = SimulatedHost()
    for index in range(6):
        host.process(800 + index, 1, "bash", "D", uid=500, start=7200, dead=1200.0, cgroup="/user.slice/user-500.slice/session-%d.scope" % index)
    judged = judge(host, "PH-PID-006")
    assert "6 tasks bash of sessions are stuck" in judged.only("warn")["message"]
    before = dict(judged.result["marks"], stuck={"bash|sessions": 4})
    assert judged.result["marks"]["stuck"] == {"bash|sessions": 6}
    assert judge(host, "PH-PID-006", previous=before).only("fail")


@pytest.mark.parametrize("unit, common", [
    ("session-c12.scope", "sessions"), ("run-u12.service", "run-*.service"), ("run-r0af3.scope", "run-*.scope"), ("web@8080.service", "web@.service"),
    ("user@1000.service", "user@.service"), ("cron.service", "cron.service"), ("session-1.scope.service", "session-1.scope.service"), ("", "")])
def test_units_that_differ_in_a_number(unit, common):
    assert alike(unit) == common


def test_the_mount_that_is_waited_for_is_named():
    message = judge(behind_servers("request_wait_answer"), "PH-PID-006").only("warn")["message"]
    assert ("they wait for /mnt/0 (fuse.sshfs of office:/x), whose server owes 6 answers: restart it, or cut it off with "
            "echo 1 > /sys/fs/fuse/connections/60/abort") in message
    finding = judge(behind_servers("d_alloc_parallel", (0, 2), ("fuse", "fuseblk")), "PH-PID-006").only("warn")
    assert "they wait for /mnt/1 (fuseblk" in finding["message"], "behind a lock, and one server owes answers"
    assert finding["evidence"][-1] == {"source": "/sys/fs/fuse/connections/61/waiting", "value": "2, /mnt/1"}
    two = judge(behind_servers("rpc_wait_bit_killable", (), ("nfs4", "fuse.sshfs", "nfs")), "PH-PID-006").only("warn")["message"]
    assert "they wait for one of /mnt/0 (nfs4 of office:/x), /mnt/2 (nfs of office:/x): mend its server" in two


def test_no_mount_is_blamed_without_a_sign():
    for host in (behind_servers("blk_mq_get_tag", (0,)), behind_servers("blk_mq_get_tag", (None,)), behind_servers("request_wait_answer", (), ("ext4",))):
        assert "mend the mount or device they wait for" in judge(host, "PH-PID-006").only("warn")["message"]


def test_the_table_of_mounts_cannot_be_read():
    host = waiting(6)
    host.forbid("/proc/self/mountinfo")
    assert judge(host, "PH-PID-006").status == "unknown"


@pytest.mark.case("PH-PID-006", "silent")
def test_busy_disks_are_silent():
    assert judge(waiting(20, idle=3), "PH-PID-006").status == "pass"
    assert judge(waiting(3), "PH-PID-006").status == "pass"


def test_nothing_of_a_stuck_task_is_touched_that_could_block():
    host = waiting(6)
    for index in range(6):
        for name in ("cmdline", "environ", "maps", "exe"):
            host.forbid("/proc/%d/%s" % (800 + index, name), AssertionError("touched"))  # type: ignore[arg-type]
    assert judge(host, "PH-PID-006").status == "warn"


@pytest.mark.case("PH-PID-006", "unreadable")
def test_since_when_is_unknown():
    assert judge(waiting(6).without_sched(), "PH-PID-006").status == "unknown"


def mapping(count):
    host = SimulatedHost().process(700, 1, "java", uid=33, vsize=10 ** 12)
    return host.file("/proc/700/maps", "7f0000000000-7f0000001000 r--p 0 0 0\n" * count)


@pytest.mark.case("PH-PID-007", "fires")
def test_maps_commitment_and_keys():
    assert "whatever its NPROC is" in judge(mapping(60000), "PH-PID-007").only("warn")["message"]
    assert proposed(judge(mapping(60000), "PH-PID-007").only("warn")) == {"values": {"vm.max_map_count": 131060}}
    commit = SimulatedHost().file("/proc/sys/vm/overcommit_memory", "2\n").file("/proc/meminfo", "CommitLimit: 1000 kB\nCommitted_AS: 950 kB\n")
    assert "ENOMEM" in judge(commit, "PH-PID-007").only("warn")["message"]
    keys = SimulatedHost().file("/proc/key-users", "  500:   190 190/190 190/200 4000/20000\n")
    assert "User oracle holds 190 kernel keys of 200" in judge(keys, "PH-PID-007").only("warn")["message"]
    assert proposed(judge(keys, "PH-PID-007").only("warn")) == {"values": {"kernel.keys.maxkeys": 400}}
    roots = SimulatedHost().file("/proc/key-users", "    0:   190 190/190 190/200 4000/20000\n")
    assert proposed(judge(roots, "PH-PID-007").only("warn")) == {"values": {"kernel.keys.root_maxkeys": 400}}


@pytest.mark.case("PH-PID-007", "silent")
def test_budgets_with_room():
    assert judge(mapping(40000), "PH-PID-007").status == "pass"
    overcommitting = SimulatedHost().file("/proc/meminfo", "CommitLimit: 1000 kB\nCommitted_AS: 5000 kB\n")
    assert judge(overcommitting, "PH-PID-007").status == "pass"


@pytest.mark.case("PH-PID-007", "unreadable")
def test_maps_unreadable():
    assert judge(mapping(60000).forbid("/proc/700/maps"), "PH-PID-007").status == "unknown"


def test_a_database_that_reads_its_disk_is_counted():
    """In state D when it was seen first, and no more when its maps are read."""
    host = SimulatedHost().process(700, 1, "mysqld", "D", uid=33, vsize=10 ** 12).file("/proc/700/maps", "7f0000000000-7f0000001000 r--p 0 0 0\n" * 60000)
    host.file("/proc/700/task/700/stat", host.files["/proc/700/stat"])
    assert judge(host, "PH-PID-007").status == "unknown"
    host.file("/proc/700/task/700/stat", host.files["/proc/700/stat"].replace(b") D ", b") S "))
    assert judge(host, "PH-PID-007").only("warn")


def watcher(instances, aio=0):
    host = SimulatedHost().process(700, 1, "node", uid=500, files=instances)
    for number in range(instances):
        host.link("/proc/700/fd/%d" % number, "anon_inode:inotify")
    return host.file("/proc/sys/fs/aio-nr", "%d\n" % aio)


@pytest.mark.case("PH-PID-008", "fires")
def test_watches_and_contexts():
    assert "User oracle has 120 inotify instances of 128 allowed" in judge(watcher(120), "PH-PID-008").only("warn")["message"]
    assert "60000 asynchronous I/O contexts of 65536" in judge(watcher(0, 60000), "PH-PID-008").only("warn")["message"]
    assert proposed(judge(watcher(120), "PH-PID-008").only("warn")) == {"values": {"fs.inotify.max_user_instances": 512}}
    assert proposed(judge(watcher(0, 60000), "PH-PID-008").only("warn")) == {"values": {"fs.aio-max-nr": 131072}}


@pytest.mark.case("PH-PID-008", "silent")
def test_inherited_instances_count_once():
    assert judge(watcher(60), "PH-PID-008").status == "pass"
    forked = watcher(60).process(701, 700, "node", uid=500, files=60)
    for number in range(60):
        forked.link("/proc/701/fd/%d" % number, "anon_inode:inotify")
    assert judge(forked, "PH-PID-008").status == "pass"


@pytest.mark.case("PH-PID-008", "unreadable")
def test_descriptors_unreadable_for_watches():
    assert judge(watcher(10).forbid("/proc/700/fd"), "PH-PID-008").status == "unknown"
