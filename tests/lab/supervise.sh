#!/bin/bash
# Boots a lab host, and boots it again whenever it reboots; ends when it powers off or is killed. Runs on the machine, outside the host.
#   supervise.sh FOLDER NAME LAYERS LAYOUT LINK NEAR FAR SUPERVISOR_GROUP HOST_GROUP...
# FOLDER holds upper/, work/, root/ and init.pid; LAYERS is overlayfs's lowerdir; LAYOUT is hybrid or unified; LINK is the name of the near
# end of the host's only link, NEAR and FAR are the addresses of its two ends. The first HOST_GROUP is the one of the unified hierarchy.
set -eu
folder=$1 name=$2 layers=$3 layout=$4 link=$5 near=$6 far=$7 supervisor=$8
shift 8
here=$(dirname "$0")
echo $$ > "$supervisor/cgroup.procs"

boot() {
    for group; do echo "$BASHPID" > "$group/cgroup.procs"; done
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child --propagation private \
        bash "$here/enter.sh" "$folder" "$name" "$layers" "$layout" "$near" "$far"
}

# What unshare forked, among the members of a group: it becomes PID 1.
child_of() {
    for pid in $(cat "$2/cgroup.procs"); do
        if grep -qsx "PPid:	$1" "/proc/$pid/status"; then echo "$pid"; fi
    done
}

while :; do
    rm -f "$folder/init.pid"
    # New groups: a limit set in the last boot must not be met again in this one, nor a controller handed down, which lets no process in.
    for group; do find "$group" -depth -type d -exec rmdir {} \; && mkdir -p "$group"; done
    boot "$@" &
    outer=$!
    inner=
    until [ -n "$inner" ]; do kill -0 $outer; inner=$(child_of $outer "$1"); done
    # unshare leaves the group: a group with a process of its own can hand no controller down (cgroup-v2.rst, "No Internal Process
    # Constraint"), and the host could not move this one, which it does not see.
    echo $outer > "$supervisor/cgroup.procs"
    ip link delete "$link" 2> /dev/null || true   # of the boot before: the kernel takes it away, but not at once
    ip link add "$link" type veth peer name eth0 netns $outer
    ip address add "$near" peer "$far" dev "$link"
    ip link set "$link" up
    echo "$inner" > "$folder/init.pid.new"
    mv "$folder/init.pid.new" "$folder/init.pid"
    # reboot(2): the parent of a pid namespace's init sees it end by SIGHUP after a reboot, by SIGINT after a halt or power off.
    status=0
    wait $outer || status=$?
    [ $status -eq $((128 + 1)) ] || exit $status
done
