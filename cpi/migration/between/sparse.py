"""Files with holes on their way to another guest: rsync would read, and send, every zero of them.

What is sent: for each file the length of its name and its size, the name, then pieces by place and length; one of no length ends
it. At the end the new guest answers "done".
"""

from typing import Final

from cpi.migration.holes import HOLES

SENDING: Final = (
    r"""
# Of the names on stdin, regular files that are mostly holes
mostly_holes() {
  perl -0ne '
    BEGIN { our $top = shift }
    chomp;
    my @status = lstat "$top/$_" or next;
    print "$_\0" if -f _ && $status[7] >= 1048576 && $status[12] * 1024 < $status[7];
  ' "$S"
}
# $1 the limit in KiB a second, names on stdin. Those that were sent are in $W/mended; what cannot be read is left to rsync.
send_pieces() {
  $G perl -e '
    use strict; use warnings; use Fcntl;
    my ($top, $limit, $sent) = @ARGV;
    open my $done, ">", $sent or die "$sent: $!\n";
    binmode STDOUT;
    my ($began, $written, %seen) = (time, 0);
"""
    + HOLES
    + r"""    sub say_all { print @_ or die "the other guest takes no more: $!\n" }
    sub pieces {
      my ($file, $size, $path) = @_;
      for (my $at = 0; $at < $size;) {
        my $from = sought($file, $at, 3, $size);
        return if $from >= $size;
        my $end = sought($file, $from, 4, $size);
        $end = $size if $end <= $from || $end > $size;
        for ($at = $from; $at < $end;) {
          my $data = read_from($file, $at, $end - $at > 1048576 ? 1048576 : $end - $at, $path);
          return unless length $data;
          say_all(pack("Q>N", $at, length $data), $data);
          $at += length $data;
          $written += length $data;
          my $early = $limit ? $written / 1024 / $limit - (time - $began) : 0;
          select undef, undef, undef, $early if $early > 0;
        }
      }
    }
    $/ = "\0";
    while (my $name = <STDIN>) {
      chomp $name;
      my @status = lstat "$top/$name" or next;
      # another name of one that is sent: rsync links it
      if ($status[3] > 1 && $seen{$status[1]}++) { print $done "$name\0"; next }
      sysopen my $file, "$top/$name", O_RDONLY | O_NOFOLLOW | O_NONBLOCK or next;
      next unless -f $file;
      my $size = -s $file || 0;
      say_all(pack("NQ>", length $name, $size), $name);
      my $whole = eval { pieces($file, $size, "$top/$name"); 1 };
      die $@ if !$whole && $@ !~ /^cannot read/;
      say_all(pack("Q>N", 0, 0));
      print $done "$name\0" if $whole;
    }
    close STDOUT or die "the other guest takes no more: $!\n";
    close $done or die "$sent: $!\n";
  ' "$S" "$1" "$W/mended"
}
"""
)

TAKING: Final = (
    r"""use strict; use warnings; use Fcntl;
    my ($top) = @ARGV;
    binmode STDIN;
"""
    + HOLES
    + r"""    sub taken {
      my ($size, $may_end) = @_;
      my $data = "";
      while (length $data < $size) {
        my $got = sysread STDIN, $data, $size - length $data, length $data;
        die "cannot read from the other guest: $!\n" unless defined $got;
        return undef if !$got && $may_end && !length $data;
        die "the other guest ended in the middle\n" unless $got;
      }
      return $data;
    }
    sub put {
      my ($file, $at, $data, $path) = @_;
      defined sysseek $file, $at, 0 or die "cannot write $path: $!\n";
      for (my $put = 0; $put < length $data;) {
        my $some = syswrite $file, $data, length($data) - $put, $put;
        die "cannot write $path: $!\n" unless defined $some;
        $put += $some;
      }
    }
    sub emptied {
      my ($file, $at, $end, $path) = @_;
      while ($at < $end) {
        my $from = sought($file, $at, 3, $end);
        return if $from >= $end;
        my $to = sought($file, $from, 4, $end);
        $to = $end if $to <= $from || $to > $end;
        if (system("fallocate", "-p", "-o", $from, "-l", $to - $from, $path) != 0) {
          for (my $zero = $from; $zero < $to; $zero += 1048576) {
            put($file, $zero, "\0" x ($to - $zero > 1048576 ? 1048576 : $to - $zero), $path);
          }
        }
        $at = $to;
      }
    }
    # a file that may be written to; nothing if something else is in its place, which rsync will replace
    sub opened {
      my ($name) = @_;
      my ($path, @folders) = ($top, split m{/}, $name);
      pop @folders;
      for my $folder (@folders) {
        $path .= "/$folder";
        return undef if lstat $path ? !-d _ : !mkdir $path, 0700;
      }
      my @status = lstat "$top/$name";
      return undef if @status && !-f _;
      unlink "$top/$name" if @status && $status[3] > 1;
      sysopen my $file, "$top/$name", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600 or return undef;
      return $file;
    }
    while (defined(my $head = taken(12, 1))) {
      my ($length, $size) = unpack "NQ>", $head;
      my $name = taken($length);
      die "no name of a file below the store: $name\n" if grep { $_ eq ".." } split m{/}, $name;
      my ($path, $file, $at) = ("$top/$name", opened($name), 0);
      truncate $file, $size or die "cannot write $path: $!\n" if $file;
      while (1) {
        my ($from, $count) = unpack "Q>N", taken(12);
        emptied($file, $at, $count ? $from : $size, $path) if $file;
        last unless $count;
        my $data = taken($count);
        put($file, $from, $data, $path) if $file;
        $at = $from + $count;
      }
      if ($file) { close $file or die "cannot write $path: $!\n" }
    }
    print "done\n";
"""
)
