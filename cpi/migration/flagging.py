"""What rsync leaves behind, carried over in the guest: immutable and append-only files, other flags, ids of project quotas.

Files that cannot be written to any more come last. Which flags there are is looked for while the jobs run, and anew where
something changed; a flag changes a file's ctime.
"""

from typing import Final

# Flags are those of chattr: S i a d A C j D T P. The numbers of requests are those of x86, ARM and all with the generic ones.
FLAGS: Final = """
# $1 the folder, names on stdin: "flags project name" of those that have any
flagged() {
  $G perl -0e '
    use Fcntl;
    my $top = shift;
    while (my $name = <STDIN>) {
      chomp $name;
      sysopen my $file, "$top/$name", O_RDONLY | O_NOFOLLOW | O_NONBLOCK or next;
      my ($flags, $more) = (pack("q", 0), "\\0" x 28);
      ioctl $file, 0x80086601, $flags or next;
      my $kept = unpack("q", $flags) & 0x208340f8;
      my $project = ioctl($file, 0x801c581f, $more) ? (unpack "L4", $more)[3] : 0;
      print "$kept $project $name\\0" if $kept || $project;
    }' "$1"
}
# $1 the folder, $2 "probe" to take them back at once; what flagged says on stdin. Names what cannot be kept.
flag() {
  perl -0e '
    use Fcntl;
    my ($top, $probe) = @ARGV;
    my $failed = 0;
    sub flags_of {
      my ($file) = @_;
      my $flags = pack "q", 0;
      return ioctl($file, 0x80086601, $flags) ? unpack "q", $flags : -1;
    }
    sub project_of {
      my ($file, $more) = @_;
      $$more = "\\0" x 28;
      return ioctl($file, 0x801c581f, $$more) ? (unpack "L4", $$more)[3] : 0;
    }
    sub set_project {
      my ($file, $more, $project) = @_;
      substr $$more, 12, 4, pack "L", $project;
      return ioctl $file, 0x401c5820, $$more;
    }
    sub set { my ($file, $flags) = @_; my $packed = pack "q", $flags; return ioctl $file, 0x40086602, $packed }
    while (my $record = <STDIN>) {
      chomp $record;
      my ($kept, $project, $name) = split / /, $record, 3;
      sysopen my $file, "$top/$name", O_RDONLY | O_NOFOLLOW | O_NONBLOCK or do { next if $probe; die "$name: $!\\n" };
      my $more;
      my ($flags, $had) = (flags_of($file), project_of($file, \\$more));
      my $wanted = ($flags & ~0x208340f8) | $kept;
      my $fine = ($had == $project || set_project($file, \\$more, $project)) && ($flags == $wanted || set($file, $wanted));
      my $fault = $!;
      if (!$fine || flags_of($file) != $wanted || project_of($file, \\$more) != $project) {
        (my $shown = $name) =~ s/[^\\x20-\\x7e]/?/g;
        print STDERR "the flags (chattr) or the project id of $shown cannot be kept on the new disk: $fault\\n" if $failed++ < 5;
      }
      if ($probe) { set($file, $flags); project_of($file, \\$more) == $had or set_project($file, \\$more, $had) }
    }
    exit($failed ? 1 : 0)' "$@"
}
# With the jobs down, when all else is the same on both: which there are now is in "flagging".
flags_of_all() {
  standing "$W/now" | comm -z -12 - "$W/changed" >"$W/anew"
  flagged "$S" <"$W/anew" >"$W/flagged.anew"
  perl -0ne 'BEGIN { open my $list, "<", shift; while (<$list>) { $changed{$_} = 1 } }
    my (undef, undef, $name) = split / /, $_, 3; print unless $changed{$name}' "$W/changed" "$W/flagged" >"$W/flagged.kept"
  cat "$W/flagged.kept" "$W/flagged.anew" >"$W/flagging"
}
set_flags() {
  flags_of_all
  flag "$T" <"$W/flagging"
  sync -f "$T/."
}
# Before a last pass that is repeated after they were set.
take_back() {
  if [ -s "$W/flagging" ]; then perl -0pe 's/^[0-9]+ [0-9]+ /0 0 /' "$W/flagging" | flag "$T" || :; fi
}
standing() { { grep -z '^[df]' "$1" || :; } | paths; }
"""

# While the jobs run: which there are, and whether the new disk can have each kind.
PROBE: Final = f"""
gently
{FLAGS}
standing "$W/base" | flagged "$S" >"$W/flagged"
perl -0ne 'my ($kept, $project) = split / /; print unless $seen{{$kept, $project}}++' "$W/flagged" | flag "$T" probe
"""
