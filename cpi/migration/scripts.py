"""What runs in the guest: POSIX sh, GNU find and coreutils, flock and setsid of util-linux, rsync: a BOSH stemcell has all.

A listing has a record for every path: its kind, a mark, size, inode, links, ctime and name, ended by NUL. ctime changes with
whatever is done to a file, and the inode tells what was moved in its place, so a path whose record stayed the same is
unchanged. A record younger than two seconds gets a mark of its own, so that it counts as changed next time: clocks of
files are coarse. Before a listing the filesystem is synced: a page mapped into memory tells of the first write to it only,
until it is written back.
"""

from typing import Final

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
  since=$(($(date +%s) - 2))
  cd "$S/."
  find . -xdev -ignore_readdir_race -path ./lost+found -prune -o '(' -type f -o -type d -o -type l ')' '(' \
    -newerct "@$since" -printf "%y $since %s %i %n %C@ %p\\0" -o -printf '%y - %s %i %n %C@ %p\\0' ')' |
    sort -z -T "$W" >"$W/listing.part"
  mv "$W/listing.part" "$1"
}
sum() { tr '\\0\\n' '\\n?' <"$1" | awk '$1 == "f" { n++; s += $3 } END { printf "%d %.0f\\n", n, s }'; }
copy() { $G rsync -aHAXSx --numeric-ids --modify-window=-1 --no-devices --no-specials --info=nonreg0 "$@"; }
# the root folder itself is never in a list: named there, it would stand for all that is in it
of_list() { list=$1; shift; copy --from0 --files-from="$list" --delete-missing-args --force "$@" "$S/" "$T/"; }
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
root() { copy -r --exclude='/*' "$@" "$S/" "$T/"; }
"""

FITNESS: Final = """
missing=""
for name in rsync find sort comm cut tr awk flock setsid df du cp xargs; do
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

# What a job makes that can not be copied, and what a later pass is measured against.
BEGIN: Final = """
find "$S/." -xdev -ignore_readdir_race '(' -type s -o -type p -o -type b -o -type c ')' -printf '%y\\n' | wc -l
list "$W/base"
: >"$W/more"
sum "$W/base"
"""

# $1 the limit in KiB a second. cp keeps up with the disk where rsync does not, but it can only fill what is empty.
BULK: Final = """
gently
status=0
if [ "$1" = 0 ] && [ -z "$(find "$T/." -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit)" ]; then
  before=$(df -B1 --output=used "$T/." | tail -n 1)
  # a sleep that is left behind must not keep the shell's connection open
  (while sleep 1 >/dev/null 2>&1; do echo "$(($(df -B1 --output=used "$T/." | tail -n 1) - before))"; done) 9>&- &
  watch=$!
  cd "$S/."
  find . -mindepth 1 -maxdepth 1 ! -name lost+found -print0 >"$W/top"
  $G xargs -0 -r -a "$W/top" cp -ax -t "$T/." -- || status=23
  kill "$watch"
  find "$T/." -xdev '(' -type s -o -type p -o -type b -o -type c ')' -delete
else
  copy -r --delete --exclude=/lost+found --bwlimit="$1" --info=progress2 --no-human-readable "$S/" "$T/" || status=$?
fi
sync -f "$T/."
root
exit "$status"
"""

_CHANGES: Final = """
list "$W/now"
comm -z -13 "$W/base" "$W/now" >"$W/new"
comm -z -23 "$W/base" "$W/now" >"$W/old"
paths() { cut -z -d ' ' -f 7- | sort -T "$W" -z; }
folders() { { grep -z '^d' "$1" || :; } | paths; }
folders "$W/new" >"$W/here"
folders "$W/old" | comm -z -23 - "$W/here" >"$W/vanished"
below <"$W/old" | cat - "$W/new" | paths | sort -T "$W" -zu >"$W/moved"
sort -T "$W" -zu "$W/more" | comm -z -23 - "$W/moved" >"$W/strange"
sort -T "$W" -zu "$W/moved" "$W/more" | { grep -zvx '[.]/*' || :; } >"$W/changed"
sum "$W/new"
tr -dc '\\0' <"$W/strange" | wc -c
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
_TAKE: Final = """
status=0
of_list "$W/changed" -I --inplace --no-whole-file --bwlimit="$1" || status=$?
root
sync -f "$T/."
"""

# $1 the limit in KiB a second.
ROUND: Final = f"""
gently
{_CHANGES}{_PART}{_TAKE}
mv "$W/now" "$W/base"
: >"$W/more"
exit "$status"
"""

# The last one runs with the jobs down, at full speed; what it is measured against stays, so that it can be repeated.
LAST: Final = f"""
{_CHANGES}{_PART}
set -- 0
{_TAKE}
exit "$status"
"""

_DIFFER: Final = "-n -c -i --out-format='%i %n'"

VERIFY_ALL: Final = f"""
gently
sum "$W/base"
status=0
copy -r --delete --exclude=/lost+found {_DIFFER} "$S/" "$T/" || status=$?
exit "$status"
"""

VERIFY_CHANGED: Final = f"""
status=0
of_list "$W/changed" {_DIFFER} || status=$?
root {_DIFFER}
exit "$status"
"""

# What is named on stdin is known to differ: to be copied with the next pass, or at once.
NOTE: Final = 'cat >"$W/more"'
REPAIR: Final = """
cat >"$W/differing"
of_list "$W/differing" -I --no-inplace --whole-file
root -I
sync -f "$T/."
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
find . -xdev -type f -size +1M -print0 | head -z -n 8 |
  xargs -0 -r -n 1 sh -c 'dd if="$1" iflag=direct bs=1M count=16 2>/dev/null || head -c 16M "$1"' sh | wc -c
echo $(($(date +%s%N) - began))
"""


def alone(script: str, *words: str) -> list[str]:
    """The command that runs a short script."""
    return ["sh", "-c", _HEAD + script, "cpi", *words]


def guarded(script: str, *words: str) -> list[str]:
    """The command that runs a script after ending what an earlier one has left running, in a process group of its own."""
    return ["setsid", "-w", "sh", "-c", _HEAD + _GUARD + script, "cpi", *words]
