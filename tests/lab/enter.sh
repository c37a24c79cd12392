#!/bin/bash
# Turns into PID 1 of a lab host: runs in its namespaces, on the machine's files at first.
#   enter.sh FOLDER NAME LAYERS LAYOUT NEAR FAR    (see supervise.sh)
set -eu
folder=$1 name=$2 layers=$3 layout=$4 near=$5 far=$6
hostname "$name"
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cd "$folder/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r file major minor <<< "$device"
    mknod -m 666 "dev/$file" c "$major" "$minor"
done
[ ! -c /dev/fuse ] || mknod -m 666 dev/fuse c 10 229  # a host mounts file systems of its own programs
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%:*}" "dev/${stream#*:}"; done
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=1777 tmpfs tmp

# Most kernel settings belong to the whole machine: read-only, but for the network's, and for pid_max, which a pid namespace has of its own
# since Linux 6.14 (before, it is the machine's too). sysrq-trigger acts on the whole machine. The boot id is a new one at each boot, as on
# a machine: journalctl --boot and Ansible's reboot module go by it.
writable=(proc/sys/net)
if printf '%s\n' 6.14 "$(uname -r)" | sort --version-sort --check=quiet; then writable+=(proc/sys/kernel/pid_max); fi
for path in proc/sys proc/sysrq-trigger; do
    [ -e $path ] || continue
    mount --bind $path $path
    [ $path != proc/sys ] || for inside in "${writable[@]}"; do mount --bind $inside $inside; done
    mount -o remount,bind,ro $path
done
cat proc/sys/kernel/random/uuid > run/boot-id
mount --bind run/boot-id proc/sys/kernel/random/boot_id
mount -o remount,bind,ro proc/sys/kernel/random/boot_id

if [ "$layout" = unified ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/{pids,memory,systemd,unified}
    mount -t cgroup -o pids cgroup sys/fs/cgroup/pids
    mount -t cgroup -o memory cgroup sys/fs/cgroup/memory
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
fi

until ip link show eth0 > /dev/null 2>&1; do sleep 0.01; done
ip link set lo up
ip address add "$far" peer "$near" dev eth0
ip link set eth0 up

mkdir .outside
pivot_root . .outside
umount --lazy .outside
rmdir .outside
# Not the machine's clock, modules and ports: what these capabilities allow is not kept apart by any namespace.
exec env -i container=lab setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio /sbin/init
