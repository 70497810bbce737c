"""What compares both disks in the guest: lists of all that is on them, content byte by byte, attributes by rsync.

Paths that differ are collected in $W/differing. Holes are passed over: only where one of the two has data both are read.
"""

from typing import Final

from cpi.migration.flagging import FLAGS
from cpi.migration.holes import HOLES

COMPARING: Final = (
    """
# $1 and $2 two listings: the paths whose records are not in both. A new ext4 has a lost+found of its own.
differ() {
  { comm -z -23 "$1.about" "$2.about"; comm -z -13 "$1.about" "$2.about"; } | cut -z -d ' ' -f 8- |
    perl -0ne 's{//.*\\0}{\\0}s; print' | sort -T "$W" -zu >"$W/unlike"
  if grep -zq '^d .* [.]/lost+found//$' "$1.about"; then cat "$W/unlike"; else grep -zvxF ./lost+found "$W/unlike" || :; fi
}
# Those named on stdin, byte by byte. Says how many files and bytes that were; what vanished is what differs.
content() {
  $G perl -e '
    use strict; use warnings; use Fcntl;
    my ($left, $right, $differing, $complaints) = @ARGV;
    my ($files, $bytes) = (0, 0);
    open my $unlike, ">>", $differing or die "$differing: $!\\n";
    open my $faults, ">>", $complaints or die "$complaints: $!\\n";
    sub opened {
      my ($path) = @_;
      if (sysopen my $file, $path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) { return $file }
      die "$!\\n" if $!{ENOENT} || $!{ENOTDIR} || $!{ELOOP};
      die "cannot open $path: $!\\n";
    }
"""
    + HOLES
    + """    sub same {
      my ($name) = @_;
      my @path = ("$left/$name", "$right/$name");
      my @file = map { opened($_) } @path;
      my ($size, $other) = map { -s $_ || 0 } @file;
      return 0 if $size != $other || grep { !-f $_ } @file;
      my $at = 0;
      while ($at < $size) {
        my @data = map { sought($_, $at, 3, $size) } @file;
        my $from = $data[0] < $data[1] ? $data[0] : $data[1];
        last if $from >= $size;
        my ($end) = sort { $b <=> $a } map { $data[$_] > $from ? $from : sought($file[$_], $from, 4, $size) } 0, 1;
        $end = $size if $end <= $from || $end > $size;
        for ($at = $from; $at < $end;) {
          my $length = $end - $at > 1048576 ? 1048576 : $end - $at;
          my @read = map { read_from($file[$_], $at, $length, $path[$_]) } 0, 1;
          return 0 if $read[0] ne $read[1] || length $read[0] != $length;
          $at += $length; $bytes += $length;
        }
      }
      $files++;
      return 1;
    }
    $/ = "\\0";
    while (my $name = <STDIN>) {
      chomp $name;
      my $same = eval { same($name) };
      next if $same;
      print $unlike "$name\\0";
      if (!defined $same && $@ =~ /^cannot /) { (my $fault = $@) =~ s/[^\\x20-\\x7e](?=.)/?/gs; print $faults $fault }
    }
    close $unlike or die "$differing: $!\\n";
    close $faults or die "$complaints: $!\\n";
    print "$files $bytes\\n";
  ' "$S" "$T" "$W/differing" "$W/complaints"
}
# What rsync would change, as names
names() {
  perl -ne '
    next if /^cS\\+/ || !/^(?:[<>ch.*][fdLDS][^ ]{9}|\\*deleting {2,3}) ?(.+)$/s;
    (my $name = $1) =~ s/\\n$//;
    $name =~ s/\\\\#([0-7]{3})/chr oct $1/ge;
    $name =~ s{^\\./|/$}{}g;
    print "./$name\\0" if length $name && $name ne "."'
}
belongings() {
  status=0
  "$@" -n -i --out-format='%i %n' >"$W/items" || status=$?
  names <"$W/items" >>"$W/differing"
  return $status
}
"""
)

# While the jobs run: all of it. What differs or cannot be read goes with the next pass, and is read again after it.
ALL: Final = f"""
gently
{COMPARING}
walk "$T" "$W/there"
differ "$W/base" "$W/there" >"$W/differing"
: >"$W/complaints"
files "$W/base" | content
belongings copy -r "$S/" "$T/" || :
sort -zu "$W/differing" >>"$W/more"
tr -dc '\\0' <"$W/more" | wc -c
"""

# What was copied after its content had been compared, the jobs still running; the rest is read again when they are down.
DOUBTFUL: Final = f"""
gently
{COMPARING}
: >"$W/differing"
: >"$W/complaints"
files "$W/base" >"$W/files"
sort -T "$W" -zu "$W/unproven" | comm -z -12 - "$W/files" | content
if [ -s "$W/complaints" ]; then unreadable; fi
sort -T "$W" -zu "$W/differing" >"$W/unproven"
"""

# Of names, those that lie in none of the others.
_TOPMOST: Final = r"""
topmost() {
  perl -0ne '
    chomp;
    push @all, $_;
    $is{$_} = 1;
    END { for (@all) { (my $around = $_) =~ s{/[^/]*\z}{}s; print "$_\0" unless $is{$around} } }'
}
"""

# What differs though it did not change: it would never be the same. What lies on the new disk alone came and went while a pass
# looked at it: the next one removes it, with all that is in it.
STILL_DIFFERING: Final = f"""
{COMPARING}{_TOPMOST}
differ "$W/base" "$W/there" >"$W/differing"
if [ -s "$W/differing" ]; then
  changes >"$W/numbers"
  sort -T "$W" -zu "$W/differing" | comm -z -23 - "$W/changed" >"$W/lasting"
  paths <"$W/base" >"$W/known"
  comm -z -23 "$W/lasting" "$W/known" | topmost >>"$W/more"
  comm -z -12 "$W/lasting" "$W/known"
fi
"""
LASTING: Final = f"""
gently
walk "$T" "$W/there"
{STILL_DIFFERING}
"""

# With the jobs down: everything has to be the same; with "full" all content is read. Says how many paths were listed, how many
# files and bytes read.
LAST: Final = f"""
{COMPARING}{FLAGS}
STRICT=-noignore_readdir_race
sort -T "$W" -zu "$W/changed" "$W/unproven" >"$W/doubtful"
walk "$T" "$W/there"
differ "$W/now" "$W/there" >"$W/differing"
: >"$W/complaints"
files "$W/now" >"$W/files"
if [ "$1" = full ]; then cat "$W/files"; else comm -z -12 "$W/doubtful" "$W/files"; fi | content >"$W/numbers"
if [ -s "$W/complaints" ]; then unreadable; fi
paths <"$W/now" | comm -z -12 - "$W/doubtful" >"$W/kept"
belongings of_list "$W/kept"
belongings root
echo "$(tr -dc '\\0' <"$W/now" | wc -c) $(cat "$W/numbers")"
sort -T "$W" -zu "$W/differing"
if [ ! -s "$W/differing" ]; then set_flags; fi
"""

REPAIR: Final = """
grep -zvx '[.]/*' "$W/differing" >"$W/repairing" || :
away_with_missing "$W/repairing"
of_list "$W/repairing" -I --no-inplace --whole-file
root -I
away_with_sockets
sync -f "$T/."
"""

# Checksums of the files that are named on stdin. Of a sparse one only what is not zero is read, and the place of it: so it has
# the same in a guest that keeps more of the zeros, if it gets the names of sparse files. What vanishes has none.
SUMS: Final = r"""
sort_out() {
  perl -0e '
    use strict; use warnings;
    my ($top, $sparse, $dense) = @ARGV;
    open my $few, ">", $sparse or die "$sparse: $!\n";
    open my $many, ">", $dense or die "$dense: $!\n";
    while (my $name = <STDIN>) {
      chomp $name;
      my @status = lstat "$top/$name" or do { next if $!{ENOENT}; die "cannot read $name: $!\n" };
      print { $status[7] >= 1048576 && $status[12] * 1024 < $status[7] ? $few : $many } "$name\0";
    }
    close $_ or die "cannot write: $!\n" for $few, $many;
  ' "$S" "$W/sparse" "$W/dense"
}
summed() {
  perl -0e '
    use strict; use warnings; use Fcntl;
    my ($top, $one) = @ARGV;
    while (my $name = <STDIN>) {
      chomp $name;
      sysopen my $file, "$top/$name", O_RDONLY | O_NOFOLLOW or do { next if $!{ENOENT}; die "cannot read $name: $!\n" };
      my $size = -s $file || 0;
      open my $sum, "|-", "sha256sum >\"$one\"" or die "sha256sum: $!\n";
      print $sum pack "Q", $size;
      for (my $at = 0; $at < $size;) {
        my $from = sysseek $file, $at, 3;
        last if !defined $from && $!{ENXIO};
        my $end = defined $from ? sysseek $file, $from, 4 : $size;
        $end = $size unless defined $end;
        # by whole blocks, for another filesystem may keep more of the zeros
        for ($at = (defined $from ? 0 + $from : $at) & ~4095; $at < $end; $at += 4096) {
          sysseek $file, $at, 0;
          defined sysread $file, my $data, 4096 or die "cannot read $name: $!\n";
          print $sum pack("Q", $at), $data if $data =~ /[^\0]/;
        }
      }
      close $sum or die "sha256sum: $?\n";
      open my $made, "<", $one or die "$one: $!\n";
      { local $/ = "\n"; chomp(my $line = <$made>); print substr($line, 0, 64), "  $name\0" }
    }
  ' "$S" "$W/one" <"$W/sparse" >"$W/sums.part"
  complaints=0
  (cd "$S/." && xargs -0 -r -a "$W/dense" sha256sum -z --) >>"$W/sums.part" 2>"$W/complaints" || complaints=$?
  if [ $complaints != 0 ] && { [ -n "$STRICT" ] || grep -qv ': No such file or directory$' "$W/complaints"; }; then unreadable; fi
  sort -z -T "$W" "$W/sums.part"
}
sums() {
  sort_out
  summed
}
"""

# Before an agent copies by itself, the jobs down: what there is to be copied.
BEFORE: Final = f"""
{FLAGS}
{SUMS}
STRICT=-noignore_readdir_race
list "$W/before"
standing "$W/before" | flagged "$S" >"$W/flagging"
rm -f "$W/sums"
if [ "$1" = full ]; then files "$W/before" | sums >"$W/sums"; fi
"""

# After it, the new disk in the old one's place. An agent's pipe of tar keeps times to the second.
AFTER: Final = f"""
{COMPARING}
{FLAGS}
{SUMS}
STRICT=-noignore_readdir_race
if [ ! -e "$W/before" ] || [ ! -e "$W/before.about" ] || [ ! -e "$W/flagging" ]; then exit 0; fi
list "$W/after"
for name in before after; do
  sed -z 's,^\\([^/]* -*[0-9]*\\)[.][0-9]* [.],\\1 .,' "$W/$name.about" | sort -z -T "$W" >"$W/$name.rough.about"
done
differ "$W/before.rough" "$W/after.rough" >"$W/differing"
if [ -e "$W/sums" ]; then
  summed >"$W/sums.after"
  comm -z -13 "$W/sums" "$W/sums.after" | cut -z -c 67- | sort -z | comm -z -13 "$W/differing" - >"$W/unequal"
  cat "$W/unequal" >>"$W/differing"
fi
flag "$S" <"$W/flagging"
sync -f "$S/."
tr -dc '\\0' <"$W/before" | wc -c
cat "$W/differing"
"""
