"""Files that changed, made the same on the new disk where they lie: only what differs is written, and holes are not even read."""

from typing import Final

from cpi.migration.holes import HOLES

# $1 the limit in KiB a second, names on stdin. Takes regular files that are on both disks, and sparse ones that are new; with
# a $2 only sparse ones. Those that it made the same are in $W/mended, for rsync to give them their times and owners. What it
# cannot open is left to rsync.
MEND: Final = (
    r"""
mend() {
  : >"$W/mended"
  : >"$W/complaints"
  $G perl -e '
    use strict; use warnings; use Fcntl;
    my ($left, $right, $limit, $only, $mended, $complaints) = @ARGV;
    open my $done, ">", $mended or die "$mended: $!\n";
    open my $faults, ">", $complaints or die "$complaints: $!\n";
    my ($began, $written, %seen, %done) = (time, 0);
    my $block = 65536;
"""
    + HOLES
    + r"""    sub write_to {
      my ($file, $at, $data, $path) = @_;
      defined sysseek $file, $at, 0 or die "cannot write $path: $!\n";
      for (my $put = 0; $put < length $data;) {
        my $some = syswrite $file, $data, length($data) - $put, $put;
        die "cannot write $path: $!\n" unless defined $some;
        $put += $some;
      }
      $written += length $data;
      my $early = $limit ? $written / 1024 / $limit - (time - $began) : 0;
      select undef, undef, undef, $early if $early > 0;
    }
    sub made_same {
      my ($from, $to, @path) = @_;
      my $size = -s $from || 0;
      my $had = -s $to || 0;
      truncate $to, $size or die "cannot write $path[1]: $!\n" if $had != $size;
      for (my $at = 0; $at < $size;) {
        my @data = map { sought($_, $at, 3, $size) } $from, $to;
        my $next = $data[0] < $data[1] ? $data[0] : $data[1];
        last if $next >= $size;
        if ($data[0] > $next) {
          # a hole in the one, data in the other
          my $end = sought($to, $next, 4, $size);
          $end = $data[0] if $data[0] < $end;
          $end = $next + 1 if $end <= $next;
          my $punched = $end - $next >= $block && system("fallocate", "-p", "-o", $next, "-l", $end - $next, $path[1]) == 0;
          for ($at = $next; !$punched && $at < $end;) {
            my $length = $end - $at > $block ? $block : $end - $at;
            my $there = read_from($to, $at, $length, $path[1]);
            write_to($to, $at, "\0" x $length, $path[1]) if $there =~ /[^\0]/;
            $at += $length;
          }
          $at = $end;
          next;
        }
        my $end = sought($from, $next, 4, $size);
        $end = $size if $end <= $next || $end > $size;
        for ($at = $next; $at < $end;) {
          my $length = $end - $at > $block ? $block : $end - $at;
          my $here = read_from($from, $at, $length, $path[0]);
          last unless length $here;
          my $there = read_from($to, $at, length $here, $path[1]);
          write_to($to, $at, $here, $path[1]) if $here ne $there;
          $at += length $here;
        }
        $at = $end;
      }
    }
    # whether what a new file lies in is there; rsync gives it its owner and mode
    sub folders {
      my ($path, $name) = @_;
      my @folders = split m{/}, $name;
      pop @folders;
      for my $folder (@folders) {
        $path .= "/$folder";
        return 0 if lstat $path ? !-d _ : !mkdir $path, 0700;
      }
      return 1;
    }
    $/ = "\0";
    while (my $name = <STDIN>) {
      chomp $name;
      my @path = ("$left/$name", "$right/$name");
      my @status = lstat $path[0] or next;
      next unless -f _;
      my $sparse = $status[7] >= 1048576 && $status[12] * 1024 < $status[7];
      next if $only && !$sparse;
      # another name of one that is done: rsync links it
      if ($status[3] > 1 && $seen{$status[1]}++) { print $done "$name\0" if $done{$status[1]}; next }
      if (!lstat $path[1]) { next unless $sparse && folders($right, $name) } elsif (!-f _) { next }
      sysopen my $from, $path[0], O_RDONLY | O_NOFOLLOW | O_NONBLOCK or next;
      sysopen my $to, $path[1], O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600 or next;
      next unless -f $from && -f $to;
      if (eval { made_same($from, $to, @path); close $to or die "cannot write $path[1]: $!\n"; 1 }) {
        print $done "$name\0";
        $done{$status[1]} = 1;
        next;
      }
      die $@ if $@ !~ /^cannot read/;
      (my $fault = $@) =~ s/[^\x20-\x7e](?=.)/?/gs;
      print $faults $fault;
    }
    close $done or die "$mended: $!\n";
    close $faults or die "$complaints: $!\n";
  ' "$S" "$T" "$1" "${2:-}" "$W/mended" "$W/complaints"
  sort -z -o "$W/mended" -T "$W" "$W/mended"
}
"""
)
