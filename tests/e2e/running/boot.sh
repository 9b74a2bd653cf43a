#!/bin/sh
# The first process of namespaces of its own: makes of them a machine with our service files and
# nothing else to start, and becomes its systemd. $1: where the service files are, $2: distccd,
# $3: a name for the cgroup, $4: an empty directory.
set -e
mount --make-rprivate /
ip link set lo up

# systemd takes the root of its cgroup namespace for its own.
mount -t cgroup2 cgroup2 "$4"
if [ "${5-}" != entered ]; then
    mkdir "$4/$3"
    echo 0 >"$4/$3/cgroup.procs"
    umount "$4"
    exec unshare --cgroup "$0" "$1" "$2" "$3" "$4" entered
fi
umount "$4"

mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup

cp "$2" "$1/distccd-service" /run/
cp "$1/systemd/distccd.socket" "$1/systemd/distccd.service" /run/
for dir in /usr/local /var/lib /var/log /etc/default; do mount -t tmpfs tmpfs "$dir"; done
mkdir -p /usr/local/bin /usr/local/lib/distcc-zeroconf /run/systemd/system
mv /run/distccd /usr/local/bin/
mv /run/distccd-service /usr/local/lib/distcc-zeroconf/
mv /run/distccd.socket /run/distccd.service /run/systemd/system/
printf '%s\n' 'ALLOWEDNETS="127.0.0.1 10.77.0.0/16"' 'NICE="10"' 'JOBS="3"' >/etc/default/distcc

# Without the rest of this machine's services.
for unit in distccd.service distccd.socket; do
    mkdir "/run/systemd/system/$unit.d"
    printf '[Unit]\nDefaultDependencies=no\n' >"/run/systemd/system/$unit.d/alone.conf"
done
printf '[Service]\nEnvironment=LC_ALL=C\n' >>/run/systemd/system/distccd.service.d/alone.conf
ln -s /dev/null /run/systemd/system/network-online.target
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/alone.target

container=test exec /lib/systemd/systemd --system --unit=alone.target --show-status=no
