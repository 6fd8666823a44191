# The first process of a machine of the tests, in namespaces of its own: makes its root from the host's programs and what
# is in its folder, waits for its network, becomes its sshd. Arguments: FOLDER ADDRESS ADDRESS6 UID USER HOME_BYTES PYTHONS...
set -eu
folder=$1 address=$2 address6=$3 uid=$4 user=$5 home_bytes=$6
shift 6
root=$folder/root

mount -t tmpfs -o mode=755,size=16m tmpfs "$root"
cd "$root"
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L /$name ]; then
        cp -P /$name $name
    elif [ -d /$name ]; then
        mkdir $name && mount --rbind /$name $name
    fi
done
mkdir usr etc dev proc sys tmp run home root var var/empty var/log var/tmp before "home/$user"
ln -s /run var/run
mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind "$folder/etc" etc
mount --bind "$folder/tmp" tmp
mount --rbind /sys sys
mount -t proc proc proc
mount --bind "$folder/boot-id" proc/sys/kernel/random/boot_id
mount -t tmpfs -o mode=755,size=64m tmpfs run
mkdir -m 755 run/sshd run/lock
mkdir -m 700 -p "run/user/$uid" && chmod 755 run/user && chown "$uid:$uid" "run/user/$uid"
chmod 1777 var/tmp run/lock && chmod 711 root

mount -t tmpfs -o mode=755,size=1m tmpfs dev
for name in null zero full random urandom tty; do
    : >dev/$name && mount --bind /dev/$name dev/$name
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777,size=256m tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

if [ "$home_bytes" = 0 ]; then
    mount --bind "$folder/home" "home/$user"
else
    mount -t tmpfs -o "mode=700,uid=$uid,gid=$uid,size=$home_bytes" tmpfs "home/$user"
    cp -a "$folder/home/." "home/$user"
fi

if [ -d "$folder/programs" ]; then
    mkdir run/programs
    mount --bind /usr/bin run/programs
    mount --bind "$folder/programs" usr/bin
    if [ -d /usr/local/bin ]; then mount --bind "$folder/local" usr/local/bin; fi
fi
for python in "$@"; do
    mkdir -p "$root$python"
    mount --bind "$python" "$root$python"
    mount -o remount,bind,ro "$root$python"
done

exec 2>>"$folder/sshd.log"
pivot_root . before
cd /
umount -l /before
hostname "$(cat /etc/hostname)"

echo ready
read -r _
ip link set lo up
ip addr add "$address/24" dev eth0
ip addr add "$address6/64" dev eth0 nodad
ip link set eth0 up
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config </dev/null >/dev/null
