# Process 1 of a host of the lab, until it becomes systemd. It runs in network, mount, pid, host name, IPC and cgroup namespaces
# of its own, which vanish with it, with all that is mounted, listened on and written here.
#
#   sh -c "$(cat boot.sh)" boot FOLDER LAYERS BANNER
#
# FOLDER is an empty folder of the host; LAYERS are the folders whose files it starts with, the first one on top, separated by
# colons; BANNER is the binary. The folder gets `pid`, the number that the machine's own processes know this one by.
set -eu
folder=$1 layers=$2 banner=$3

# /proc is still the machine's own. The first word of this file is the process that reads it, seen from there.
read -r pid _ < /proc/self/stat

# systemd lets this many messages wait for the logger on a machine, and does not touch it in a namespace, where it is 10.
echo 512 > /proc/sys/net/unix/max_dgram_qlen

mount -t tmpfs -o mode=755,size=2g lab "$folder/space"
mkdir "$folder/space/upper" "$folder/space/work" "$folder/space/root"
root=$folder/space/root
mount -t overlay -o "lowerdir=$layers,upperdir=$folder/space/upper,workdir=$folder/space/work" lab "$root"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# The machine's kernel is no business of this host, but for the network, which is its own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
mount -t bpf -o nosuid,nodev,noexec,mode=700 bpf "$root/sys/fs/bpf"

mount -t tmpfs -o mode=755,nosuid dev "$root/dev"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  name=${node%%:*} numbers=${node#*:}
  mknod -m 666 "$root/dev/$name" c "${numbers%:*}" "${numbers#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"

touch "$root/usr/sbin/banner"
mount --bind "$banner" "$root/usr/sbin/banner"

hostname mail
echo "$pid" > "$folder/pid"
mkdir "$root/machine"
cd "$root"
pivot_root . machine
umount -l /machine
rmdir /machine
# `container` tells systemd that this is no machine (https://systemd.io/CONTAINER_INTERFACE/).
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=no
