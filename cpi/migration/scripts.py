"""What runs in the guest: POSIX sh, perl, GNU find and coreutils, flock and setsid of util-linux, rsync: a BOSH stemcell has all.

A listing has a record for every path: its kind, a mark, size, inode, links, ctime and name, ended by NUL. ctime changes with
whatever is done to a file, and the inode tells what was moved in its place, so a path whose record stayed the same is
unchanged. A record younger than two seconds gets a mark of its own, so that it counts as changed next time: clocks of
files are coarse. Before a listing the filesystem is synced: a page mapped into memory tells of the first write to it only,
until it is written back.

Beside it lies, as NAME.about, what must be the same on both disks: kind, mode, owners, links, size, time of change, name and,
behind two slashes, where a link points to; for a device its numbers, for names of one file the first of them. What `find`
complains of ends the script, but for what vanished under it while the jobs run.
"""

from typing import Final

from cpi.migration.flagging import FLAGS
from cpi.migration.holding_scripts import FREEZE
from cpi.migration.mending import MEND

_HEAD: Final = "set -eu; umask 077; export LC_ALL=C\n"

# $1 the folder of notes, $2 the store, $3 the place beside it; the lock is held by every process that this one starts.
_GUARD: Final = """
W=$1 S=$2 T=$3; shift 3
mkdir -p "$W"
exec 9>>"$W/lock"
n=0
until flock -w $((n > 0)) 9; do
  n=$((n + 1))
  if [ $n -gt 60 ]; then echo "what an earlier try has left running does not end" >&2; exit 75; fi
  kill -s TERM -- "-$(cat "$W/group")" 2>/dev/null || :
done
echo $$ >"$W/group"
gently() {
  G=""
  if command -v nice >/dev/null; then G="nice -n 19"; fi
  if command -v ionice >/dev/null && ionice -c3 true 2>/dev/null; then G="ionice -c3 $G"; fi
}
G=""
list() {
  sync -f "$S/."
  walk "$S" "$1"
}
# $1 the folder, $2 where the listing goes; STRICT is set when nothing may vanish any more
STRICT=""
walk() {
  since=$(($(date +%s) - 2)) complaints=0
  rm -f "$2".*
  cd "$1/."
  find . -xdev ${STRICT:--ignore_readdir_race} '!' -type s '(' \
    '(' -newerct "@$since" -printf "%y $since %s %i %n %C@ %p\\0" -o -printf '%y - %s %i %n %C@ %p\\0' ')' , \
    '(' -type d -fprintf "$2.found" 'd %m %U %G - - %T@ %p//\\0' -o \
      -type f -fprintf "$2.found" 'f %m %U %G %n %s %T@ %p//\\0' -o -fprintf "$2.found" '%y %m %U %G %n - %T@ %p//%l\\0' ')' , \
    '(' -type b -o -type c ')' -fprintf "$2.nodes" '%p\\0' , '!' -type d -links +1 -fprintf "$2.inodes" '%i %p\\0' \
    ')' >"$2.part" 2>"$W/complaints" || complaints=$?
  if [ $complaints != 0 ] && { [ -n "$STRICT" ] || grep -qv ': No such file or directory$' "$W/complaints"; }; then
    sed -i "s|^find: |$1: |" "$W/complaints"
    unreadable
  fi
  sort -z -T "$W" -t ' ' -k 2 "$2.inodes" | perl -0ne '
    chomp;
    my ($inode, $path) = split / /, $_, 2;
    $first{$inode} //= $path;
    print "h - - - - - - $path//$first{$inode}\\0"' >>"$2.found"
  xargs -0 -r -a "$2.nodes" stat --printf 'n - - - - - - %n//%t,%T\\0' >>"$2.found"
  sort -z -T "$W" "$2.found" >"$2.about"
  sort -z -T "$W" "$2.part" >"$2.sorted"
  rm "$2.part" "$2.found" "$2.nodes" "$2.inodes"
  mv "$2.sorted" "$2"
}
unreadable() {
  sort -u "$W/complaints" | head -n 20 >&2
  exit 74
}
# How many files there are, and what is allocated for them; a hole is no work.
sum() { files "$1" | weigh; }
weigh() {
  perl -0e '
    my ($top, $files, $bytes) = (shift, 0, 0);
    while (<STDIN>) {
      chomp;
      my @status = lstat "$top/$_" or next;
      $files++;
      $bytes += $status[12] * 512 < $status[7] ? $status[12] * 512 : $status[7];
    }
    print "$files $bytes\\n"' "$S"
}
files() { { grep -z '^f' "$1" || :; } | paths; }
copy() { $G rsync -aHAXSx --numeric-ids --modify-window=-1 "$@"; }
# the root folder itself is never in a list: named there, it would stand for all that is in it
of_list() { list=$1; shift; copy --from0 --files-from="$list" --ignore-missing-args --force "$@" "$S/" "$T/"; }
# Takes away what the list $1 names and the store has no more. rsync could, but 3.4.3 and what took over a correction of it
# ends with "invalid file mode 00". A link on the way to a name is not followed: what lies behind it is not of this disk.
# The folders around what is taken away are added to the list, for rsync to give them their times again.
away_with_missing() {
  (cd "$T/." && perl -0e '
    my $store = shift;
    while (my $name = <STDIN>) {
      chomp $name;
      next if lstat "$store/$name" or !$!{ENOENT} && !$!{ENOTDIR};
      my @folders = split m{/}, $name;
      pop @folders;
      my $path = ".";
      print "$name\\0" unless grep { $path .= "/$_"; !lstat $path or !-d _ } @folders;
    }' "$S" <"$1" >"$W/missing" && xargs -0 -r -a "$W/missing" rm -rf --)
  perl -0pe 's{/[^/]*\\0$}{\\0}s' "$W/missing" | { grep -zvx '[.]/*' || :; } | sort -T "$W" -zu - "$1" >"$W/with folders"
  mv "$W/with folders" "$1"
}
# With a folder goes all that was in it: to ask rsync for what lies below what is no folder any more is an error.
# A newline in a name passes through awk as another character, and a name that has that one passes by it.
below() {
  if [ ! -s "$W/vanished" ]; then cat; return; fi
  one=$(printf '\\001')
  cat >"$W/below"
  grep -z "$one" "$W/below" || :
  tr '\\0\\n' '\\n\\001' <"$W/vanished" >"$W/vanished.lines"
  { grep -zv "$one" "$W/below" || :; } | tr '\\0\\n' '\\n\\001' | awk '
    NR == FNR { gone[$0]; next }
    { path = $0; for (n = 0; n < 6; n++) sub(/^[^ ]* /, "", path); sub("/[^/]*$", "", path); if (!(path in gone)) print }
  ' "$W/vanished.lines" - | tr '\\n\\001' '\\0\\n'
}
# Sockets are left out. What they lay in keeps its time.
away_with_sockets() {
  find "$T/." -xdev -type s -printf '%P\\0' | sort -z >"$W/sockets"
  perl -0pe 's{/?[^/]*\\0$}{\\0}s' "$W/sockets" | sort -zu >"$W/around"
  (cd "$T/." && xargs -0 -r -a "$W/sockets" rm -f --)
  xargs -0 -r -n 1 -a "$W/around" sh -c 'touch -r "$1/$3" "$2/$3"' sh "$S" "$T"
}
root() { copy -r --exclude='/*' "$@" "$S/" "$T/"; }
paths() { cut -z -d ' ' -f 7- | sort -T "$W" -z; }
folders() { { grep -z '^d' "$1" || :; } | paths; }
# What changed since the listing "base": in "changed", with what was told to differ; says how much, and how much did not change.
changes() {
  list "$W/now"
  comm -z -13 "$W/base" "$W/now" >"$W/new"
  comm -z -23 "$W/base" "$W/now" >"$W/old"
  folders "$W/new" >"$W/here"
  folders "$W/old" | comm -z -23 - "$W/here" >"$W/vanished"
  below <"$W/old" | cat - "$W/new" | paths | sort -T "$W" -zu >"$W/moved"
  sort -T "$W" -zu "$W/more" | comm -z -23 - "$W/moved" >"$W/strange"
  sort -T "$W" -zu "$W/moved" "$W/more" | { grep -zvx '[.]/*' || :; } >"$W/changed"
  sort -T "$W" -zu "$W/changed" "$W/unproven" >"$W/doubtful"
  sum "$W/new"
  tr -dc '\\0' <"$W/strange" | wc -c
}
"""

FITNESS: Final = """
missing=""
for name in rsync perl find sort comm cut tr awk flock setsid df du cp xargs; do
  command -v "$name" >/dev/null || missing="$missing $name"
done
echo "$missing"
if [ -z "$missing" ]; then rsync --version | head -n 1; fi
[ "$(id -u)" != 0 ] || exit 0
# a guest without root, as the local cloud's is for an ordinary user: all that is in it is that user's
if ! others=$(find "$1/." -xdev -ignore_readdir_race ! -user "$(id -u)" -print -quit) || [ -n "$others" ]; then
  echo "the shell is not root's, and not all of the disk is its own user's" >&2
  exit 1
fi
"""

# a disk that is a folder of the host has no filesystem of its own to ask
ROOM: Final = """
cd "$1/."
kind=$(stat -f -c %T .)
case $kind in ext*) kind=ext ;; esac
if [ "$(stat -c %d .)" = "$(stat -c %d ..)" ]; then kind=folder; fi
set -- "${2:-}" $(df -B1 --output=used,iused,iavail . | tail -n 1) $(stat -f -c '%S %f' .)
used=$2 inodes=$3 ifree=$4 free=$(($5 * $6))
if [ -n "$1" ] || [ "$kind" = folder ]; then
  used=$(du -sx --block-size=1 . | cut -f1)
  inodes=$(du -sx --inodes . | cut -f1)
fi
case "$inodes $ifree" in *-*) inodes=0 ifree=0 kind=folder ;; esac
echo "$kind $used $inodes $free $ifree"
"""

# The block device that the working folder lies on, by its number; a folder of the host has none.
DEVICE: Final = """
number=$(stat -c %d .)
if [ "$number" = "$(stat -c %d ..)" ]; then exit 0; fi
device=/sys/dev/block/$(((number >> 8) & 4095)):$(((number & 255) | ((number >> 12) & 1048320)))
"""

# What an ext4 knows of its own errors, for people; nothing if it is well.
HEALTH: Final = f"""
cd "$1/."
{DEVICE}
name=$(basename "$(readlink -f "$device")")
errors=/sys/fs/ext4/$name
if [ ! -d "$errors" ]; then exit 0; fi
count=$(cat "$errors/errors_count" 2>/dev/null || echo 0)
if [ "$count" != 0 ]; then
  echo "$count errors, the last at inode $(cat "$errors/last_error_ino" 2>/dev/null || echo unknown)"
  exit 0
fi
if command -v dumpe2fs >/dev/null && [ -b "/dev/$name" ]; then
  dumpe2fs -h "/dev/$name" 2>/dev/null | sed -n 's/^Filesystem state: *\\(.*with errors.*\\)/its state is "\\1"/p'
fi
"""

# How many bytes the disk has there, its partition (itself, if there is none), and the filesystem on it; nothing of a folder.
EXTENT: Final = f"""
cd "$1/."
{DEVICE}
if [ ! -e "$device/size" ]; then exit 0; fi
own=$(cat "$device/size") whole=$own
if [ -e "$device/partition" ]; then whole=$(cat "$device/../size"); fi
set -- $(stat -f -c '%S %b' .)
echo "$((whole * 512)) $((own * 512)) $(($1 * $2))"
"""

# A disk that is a folder of the host was never read-only.
THAW: Final = """
cd "$1/."
if [ "$(stat -c %d .)" != "$(stat -c %d ..)" ]; then mount -o remount,rw "$(pwd -P)"; fi
"""

REMEMBER: Final = """
if [ -e "$1" ]; then printf %s "$2" >"$1.part"; mv "$1.part" "$1"; sync; fi
"""

CLEAR: Final = """
[ -d "$1" ] || exit 0
exec 9>>"$1/lock"
n=0
until flock -w $((n > 0)) 9; do
  n=$((n + 1))
  if [ $n -gt 60 ]; then echo "what an earlier try has left running does not end" >&2; exit 75; fi
  kill -s TERM -- "-$(cat "$1/group")" 2>/dev/null || :
done
rm -rf -- "$1"
"""

# What a job makes that cannot be copied, and what a later pass is measured against.
BEGIN: Final = """
find "$S/." -xdev -ignore_readdir_race -type s -printf . | wc -c
list "$W/base"
: >"$W/more"
: >"$W/unproven"
sum "$W/base"
"""

# An agent's copy adds to what it finds.
EMPTY: Final = """
gently
$G find "$T/." -xdev -mindepth 1 ! -path "$T/./lost+found" -delete
sync -f "$T/."
"""

# $1 the limit in KiB a second. cp keeps up with the disk where rsync does not, but it can only fill what is empty.
BULK: Final = f"""
{MEND}
gently
status=0
if [ "$1" = 0 ] && [ -z "$(find "$T/." -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit)" ]; then
  before=$(df -B1 --output=used "$T/." | tail -n 1)
  # a sleep that is left behind must not keep the shell's connection open
  (while sleep 1 >/dev/null 2>&1; do echo "$(($(df -B1 --output=used "$T/." | tail -n 1) - before))"; done) 9>&- &
  watch=$!
  cd "$S/."
  find . -mindepth 1 -maxdepth 1 -print0 >"$W/top"
  $G xargs -0 -r -a "$W/top" cp -ax -t "$T/." -- || status=23
  kill "$watch"
else
  files "$W/base" | mend "$1" sparse
  xargs -0 -r -n 1 -a "$W/mended" sh -c 'touch -r "$1/$3" "$2/$3"' sh "$S" "$T" || status=23
  copy -r --delete --filter='protect /lost+found' --bwlimit="$1" --info=progress2 --no-human-readable "$S/" "$T/" || status=$?
fi
away_with_sockets
sync -f "$T/."
root
exit "$status"
"""

# What is written in place is written under all its names: names of one file that are now names of two must part first.
_PART: Final = """
if [ -s "$W/more" ] || grep -zqE '^f [^ ]+ [0-9]+ [0-9]+ ([2-9]|[1-9][0-9]+) ' "$W/new" "$W/old"; then
  cd "$T/."
  find . -xdev -type f -links +1 -print0 | sort -T "$W" -z | comm -z -12 - "$W/changed" | xargs -0 -r rm -f --
fi
"""

# In place and by differences: a large file that changes a little is not written anew, and needs no room twice.
# Times are not believed: a page mapped into memory can change without them.
_TAKE: Final = f"""
{MEND}
status=0
mend "$1" <"$W/changed"
if [ -n "$STRICT" ] && [ -s "$W/complaints" ]; then unreadable; fi
comm -z -23 "$W/changed" "$W/mended" >"$W/plain"
away_with_missing "$W/plain"
if [ -s "$W/mended" ]; then of_list "$W/mended" --size-only --inplace --no-whole-file --bwlimit="$1" || status=$?; fi
if [ -s "$W/plain" ]; then of_list "$W/plain" -I --inplace --no-whole-file --bwlimit="$1" || status=$?; fi
root
sync -f "$T/."
"""

# $1 the limit in KiB a second.
ROUND: Final = f"""
gently
changes{_PART}{_TAKE}
mv "$W/now" "$W/base"
mv "$W/now.about" "$W/base.about"
mv "$W/doubtful" "$W/unproven"
: >"$W/more"
exit "$status"
"""

# The last one runs with the jobs down, the old disk read-only, at full speed. What it is measured against stays, so that it can
# be repeated; then flags that were set before are taken back.
LAST: Final = f"""
{FREEZE}{FLAGS}
freeze
take_back
STRICT=-noignore_readdir_race
changes{_PART}
set -- 0
{_TAKE}
exit "$status"
"""

# How much there is, what changed within $1 seconds, how many nanoseconds it took to find that, and to read a part of the large
# files past the guest's memory. Nothing is written to the store.
SAMPLE: Final = """
list "$W/base"
sum "$W/base"
sleep "$1"
began=$(date +%s%N)
list "$W/now"
comm -z -13 "$W/base" "$W/now" >"$W/new"
sum "$W/new"
echo $(($(date +%s%N) - began))
began=$(date +%s%N)
find . -xdev -type f -size +1M -printf '%S %p\\0' | grep -zE '^(0[.]9|[1-9])' | cut -z -d ' ' -f 2- | head -z -n 8 |
  xargs -0 -r -n 1 sh -c 'dd if="$1" iflag=direct bs=1M count=16 2>/dev/null || head -c 16M "$1"' sh | wc -c
echo $(($(date +%s%N) - began))
"""


def alone(script: str, *words: str) -> list[str]:
    """The command that runs a short script."""
    return ["sh", "-c", _HEAD + script, "cpi", *words]


def guarded(script: str, *words: str) -> list[str]:
    """The command that runs a script after ending what an earlier one has left running, in a process group of its own."""
    return ["setsid", "-w", "sh", "-c", _HEAD + _GUARD + script, "cpi", *words]
