"""What runs in the guests of a move between clouds: the scripts of a live copy, the new disk being behind another guest's rsync.

In the old guest $T is that guest's store as rsync names it, $RSH what reaches it, $FAR the rsync there, $FW its folder of notes.
In the new guest $S is its store. What is to be compared is listed, and summed up, by each of them.
"""

from typing import Final

from cpi.migration.between.sparse import SENDING
from cpi.migration.comparing import COMPARING, STILL_DIFFERING, SUMS
from cpi.migration.flagging import FLAGS
from cpi.migration.holding_scripts import FREEZE

# Names and contents on stdin, each ended by NUL.
LAY: Final = r"""
perl -0e '
  my $folder = shift;
  while (defined(my $name = <STDIN>)) {
    my $content = <STDIN> // "";
    s/\0\z// for $name, $content;
    open my $file, ">", "$folder/$name.part" or die "$folder/$name: $!\n";
    print $file $content;
    close $file or die "$folder/$name: $!\n";
    rename "$folder/$name.part", "$folder/$name" or die "$folder/$name: $!\n";
  }' "$W"
"""

TRY: Final = """
timeout "$1" sh "$W/rsh" far true </dev/null || exit 9
"""

FORGET: Final = """
if [ -e "$W/leave" ]; then sh "$W/leave" >/dev/null 2>&1 </dev/null || :; fi
rm -f "$W/key"
"""

# A connection that the others share, if it can be had; it ends with the key.
SHARE: Final = """
sh "$W/share" >/dev/null 2>&1 </dev/null || :
"""

# What rsync runs in the place of ssh, where this machine carries what passes: first the command, then its arguments.
RELAYED: Final = b"""shift
folder=$(dirname "$0")
exec 3<&0
{ printf '%s\\n' "$*"; exec cat <&3; } >"$folder/up" &
exec cat <"$folder/down"
"""

REACHING: Final = f"""
{SENDING}
if [ -e "$W/way" ]; then . "$W/way"; fi
copy() {{ $G rsync -aHAXSxs --numeric-ids --modify-window=-1 -e "$RSH" --rsync-path="$FAR" $PACKED "$@"; }}
carry() {{ rsync -ts -e "$RSH" --rsync-path="$FAR" $PACKED "$@"; }}
fetch() {{ carry "far:$FW/there.about" ":$FW/sums" "$W/"; }}
# Names of one file are written anew, not in place: those that part must not be written to together.
linked() {{ {{ grep -zhE '^f [^ ]+ [0-9]+ [0-9]+ ([2-9]|[1-9][0-9]+) ' "$@" || :; }} | paths; }}
# $1 names, $2 those that are not written in place, $3 the limit in KiB a second
take() {{
  : >"$W/mended"
  mostly_holes <"$1" >"$W/sparse.now"
  if [ -s "$W/sparse.now" ]; then
    told=$(send_pieces "$3" <"$W/sparse.now" | sh "$W/rsh" far "$TAKER") || :
    if [ "$told" != done ]; then exit 12; fi
    sort -z -T "$W" -o "$W/mended" "$W/mended"
  fi
  sort -T "$W" -zu "$2" >"$W/whole.all"
  comm -z -23 "$1" "$W/mended" >"$W/rest"
  comm -z -12 "$W/rest" "$W/whole.all" >"$W/whole"
  comm -z -23 "$W/rest" "$W/whole.all" >"$W/plain"
  limit=$3
  shift 3
  if [ -s "$W/mended" ]; then of_list "$W/mended" --size-only --inplace --bwlimit="$limit" || status=$?; fi
  if [ -s "$W/plain" ]; then of_list "$W/plain" --inplace --bwlimit="$limit" "$@" || status=$?; fi
  if [ -s "$W/whole" ]; then of_list "$W/whole" --bwlimit="$limit" "$@" || status=$?; fi
}}
# what ended the last rsync that did not do all: a later one that did must not hide it
status=0
"""

_CHOOSE: Final = f"""
{SUMS}
choose() {{
  case $1 in
  all) files "$W/base" >"$W/chosen" ;;
  doubtful)
    files "$W/base" >"$W/files"
    sort -T "$W" -zu "$W/unproven" | comm -z -12 - "$W/files" >"$W/chosen"
    ;;
  *)
    sort -T "$W" -zu "$W/changed" "$W/unproven" >"$W/doubtful"
    files "$W/now" >"$W/files"
    if [ "$1" = full ]; then cp "$W/files" "$W/chosen"; else comm -z -12 "$W/doubtful" "$W/files" >"$W/chosen"; fi
    ;;
  esac
  sort_out <"$W/chosen"
  carry "$W/sparse" "$W/dense" "far:$FW/"
}}
"""

# What is to be read: $1 "all", or what was "doubtful" while the jobs run.
CHOOSE: Final = f"""
{_CHOOSE}
choose "$1"
"""

# $1 the limit in KiB a second. What is there already, by size and time, is not sent again.
BULK: Final = """
gently
copy -r --delete --existing --ignore-existing --filter='protect /lost+found' "$S/" "$T/" || status=$?
paths <"$W/base" | { grep -zvx '[.]/*' || :; } >"$W/all"
linked "$W/base" >"$W/together"
take "$W/all" "$W/together" "$1" --info=progress2 --no-human-readable
root
exit "$status"
"""

# $1 the limit in KiB a second. Times are not believed: a page mapped into memory can change without them.
_TAKE: Final = """
linked "$W/old" "$W/new" | cat - "$W/more" >"$W/together"
take "$W/changed" "$W/together" "$1" -I
if sort -T "$W" -zu "$W/moved" "$W/more" | grep -zqx '[.]/*'; then root; fi
"""

ROUND: Final = f"""
gently
changes
{_TAKE}
case $status in 0 | 23 | 24) ;; *) exit "$status" ;; esac
mv "$W/now" "$W/base"
mv "$W/now.about" "$W/base.about"
mv "$W/doubtful" "$W/unproven"
: >"$W/more"
exit "$status"
"""

# $1 what is to be read afterwards: what may have changed, or "full".
LAST: Final = f"""
{FREEZE}{_CHOOSE}
freeze
STRICT=-noignore_readdir_race
changes
what=$1
set -- 0
{_TAKE}
choose "$what"
exit "$status"
"""

# In the new guest, before a last pass that is repeated after flags were set.
TAKE_BACK: Final = f"""
{FLAGS}
T=$S
take_back
"""

# In the new guest: the same, read there; only listed if $1 is not empty. What was written is on the disk before that.
THERE: Final = f"""
{SUMS}
list "$W/there"
if [ -z "$1" ]; then summed >"$W/sums"; fi
"""

_SET_AGAINST: Final = f"""
{COMPARING}{SUMS}
# The content that differs, by its checksums
content_unlike() {{
  summed >"$W/sums.here"
  {{ comm -z -23 "$W/sums.here" "$W/sums"; comm -z -13 "$W/sums.here" "$W/sums"; }} | cut -z -c 67- | sort -T "$W" -zu
}}
"""

# While the jobs run: what differs goes with the next pass, and is read again after it.
ALL: Final = f"""
gently
{_SET_AGAINST}
fetch
: >"$W/there"
differ "$W/base" "$W/there" >"$W/differing"
content_unlike >"$W/unequal"
cat "$W/unequal" >>"$W/differing"
belongings copy -r "$S/" "$T/" || :
sort -T "$W" -zu "$W/differing" >>"$W/more"
weigh <"$W/chosen"
tr -dc '\\0' <"$W/more" | wc -c
"""

DOUBTFUL: Final = f"""
gently
{_SET_AGAINST}
fetch
content_unlike >"$W/unequal"
sort -T "$W" -zu "$W/unequal" >"$W/unproven"
"""

LASTING: Final = f"""
gently
fetch
{STILL_DIFFERING}
"""

# Which flags there are: one of each kind, for the new guest to try.
FLAGGED: Final = f"""
gently
{FLAGS}
standing "$W/base" | flagged "$S" >"$W/flagged"
perl -0ne 'my ($kept, $project) = split / /; print unless $seen{{$kept, $project}}++' "$W/flagged"
"""

# In the new guest; $1 "probe" to take them back at once.
FLAG: Final = f"""
{FLAGS}
if [ "$1" = probe ]; then flag "$S" probe; else flag "$S" <"$W/flagging"; fi
sync -f "$S/."
"""

# With the jobs down: everything has to be the same. Says how many have flags, how many paths were listed, how many files and
# bytes read, and what differs.
SAME: Final = f"""
{_SET_AGAINST}{FLAGS}
STRICT=-noignore_readdir_race
fetch
: >"$W/there"
: >"$W/flagging"
differ "$W/now" "$W/there" >"$W/differing"
content_unlike >"$W/unequal"
cat "$W/unequal" >>"$W/differing"
paths <"$W/now" | comm -z -12 - "$W/doubtful" >"$W/kept"
belongings of_list "$W/kept"
belongings root
if [ ! -s "$W/differing" ]; then
  flags_of_all
  if [ -s "$W/flagging" ]; then carry "$W/flagging" "far:$FW/"; fi
fi
echo "$(tr -dc '\\0' <"$W/flagging" | wc -c) $(tr -dc '\\0' <"$W/now" | wc -c) $(weigh <"$W/chosen")"
sort -T "$W" -zu "$W/differing"
"""

REPAIR: Final = """
sort -T "$W" -zu "$W/differing" | { grep -zvx '[.]/*' || :; } >"$W/repairing"
if [ -s "$W/repairing" ]; then of_list "$W/repairing" -I --whole-file || status=$?; fi
root -I
exit "$status"
"""

# The move is made: the old guest says so if it is to be made again.
MARK: Final = """
: >"$1"
sync -f "$1"
"""

IS_MARKED: Final = """
if [ -e "$1" ]; then echo marked; fi
"""
