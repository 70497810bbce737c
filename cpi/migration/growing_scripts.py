"""What grows a mounted disk in the guest: each looks before it acts, and unmounts nothing. POSIX sh and the stemcell's tools."""

from typing import Final

from cpi.migration.extent import MBR_LABEL
from cpi.migration.scripts import DEVICE

# The disk under the working folder, its last partition if it has any, and what is on it; nothing of a folder of the host.
_PARTS: Final = f"""
cd "$1/."
{DEVICE}
if [ ! -e "$device/size" ]; then exit 0; fi
own=$(basename "$(readlink -f "$device")")
whole=$own number=""
if [ -e "$device/partition" ]; then
  whole=$(basename "$(readlink -f "$device/..")")
  number=$(cat "$device/partition")
fi
kind=$(stat -f -c %T .)
case $kind in ext*) kind=ext ;; esac
block=/sys/class/block
has() {{ command -v "$1" >/dev/null; }}
"""

# $2 the bytes wished for. Why the disk cannot grow while it is mounted; nothing if it can.
FITNESS: Final = f"""{_PARTS}
no() {{ echo "$*"; exit 0; }}
if [ "$(id -u)" != 0 ]; then no "the shell in the guest is not root's"; fi
case $own in dm-*|md*) no "the disk is under a device mapper or RAID ($own), which has to be grown by its own tools" ;; esac
case $kind in
  ext) has resize2fs || no "the guest lacks resize2fs" ;;
  xfs) has xfs_growfs || no "the guest lacks xfs_growfs" ;;
  *) no "the filesystem is $kind: only ext4 and xfs grow mounted" ;;
esac
if [ "$kind" = ext ]; then
  caps=$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)
  if [ $((0x$caps >> 24 & 1)) = 0 ]; then no "root in the guest lacks CAP_SYS_RESOURCE, without which ext4 does not grow"; fi
  set -- "$1" "$2" $(stat -f -c '%S %b' .)
  if [ $(($2 / 1000)) -gt $(($3 * $4)) ]; then no "this ext4 was made small: it grows to about a thousand times its size"; fi
fi
if [ -n "$number" ]; then
  has sfdisk || no "the guest lacks sfdisk"
  has growpart || has partx || no "the guest lacks growpart and partx"
  start=$(cat "$block/$own/start")
  for other in "$block/$whole/$whole"*/start; do
    if [ "$(cat "$other")" -gt "$start" ]; then no "the partition $own is not the last one on $whole"; fi
  done
  label=$(sfdisk --dump "/dev/$whole" 2>/dev/null | sed -n 's/^label: *//p')
  if [ "$label" = dos ] && [ "$2" -gt 2199023255552 ]; then no "{MBR_LABEL}"; fi
fi
"""

# Let the kernel look, and say how many bytes it sees of the disk. virtio and Xen tell it by themselves.
LOOK: Final = f"""{_PARTS}
for trigger in "$block/$whole/device/rescan" "$block/$whole/device/rescan_controller"; do
  if [ -w "$trigger" ]; then echo 1 >"$trigger"; fi
done
echo "$(($(cat "$block/$whole/size") * 512))"
"""

# As large as the disk, if there is more than a MiB to gain: tables keep some sectors at the end.
PARTITION: Final = f"""{_PARTS}
if [ -z "$number" ]; then exit 0; fi
end=$(($(cat "$block/$own/start") + $(cat "$block/$own/size")))
if [ $(($(cat "$block/$whole/size") - end)) -le 4096 ]; then exit 0; fi
if has growpart; then
  status=0
  said=$(growpart "/dev/$whole" "$number" 2>&1) || status=$?
  case "$status $said" in 0*|"1 NOCHANGE"*) ;; *) echo "growpart: $said" >&2; exit "$status" ;; esac
else
  echo ', +' | sfdisk --quiet --no-reread --no-tell-kernel -N "$number" "/dev/$whole" >&2
  partx --update --nr "$number" "/dev/$whole" >&2
fi
"""

# As large as its partition; what it has already is found by its own tool.
FILESYSTEM: Final = f"""{_PARTS}
case $kind in
  ext) resize2fs "/dev/$own" ;;
  xfs) xfs_growfs -d "$(pwd -P)" ;;
esac >/dev/null
sync -f .
"""
