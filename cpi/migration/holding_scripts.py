"""What finds in a guest who holds its disk, and makes the disk read-only."""

from typing import Final

HELD: Final = 75

# A line for each process and way: pid, whether it belongs to a job, may write, how, where, its command; and one for each
# mount elsewhere. A mount that goes when ours goes, since it is a peer or a slave of it, holds nothing; nor does the one that
# ours is a slave of: a shell may live in a copy of the guest's mounts, and the agent unmounts the guest's own.
# What the kernel itself uses has no process: files behind loop devices, swap, overlays. A socket bound to a name on the disk
# holds it too, though its process has only "socket:[N]" open: where it is the kernel tells by netlink.
_HOLDERS: Final = r"""
holders() {
  perl -e '
    use strict; use warnings;
    my ($store, $vcap) = @ARGV;
    my $device = (stat "$store/.")[0];
    exit 0 if $device == (stat "$store/..")[0];
    my $major = (($device >> 8) & 0xfff) | (($device >> 32) & ~0xfff);
    my $minor = ($device & 0xff) | (($device >> 12) & 0xffffff00);
    my ($number, $hex) = ("$major:$minor", sprintf "%02x:%02x", $major, $minor);
    chomp(my $place = qx(cd "$store/." && pwd -P));
    my (%job, @found, %seen, %ours, %above);
    sub slurp { my ($path) = @_; open my $file, "<", $path or return ""; local $/; return <$file> // "" }
    sub shown { my ($text) = @_; $text =~ s/[^\x20-\x7e]/?/g; return length $text > 160 ? substr($text, 0, 160) . "..." : $text }
    my @pids = grep { /^[0-9]+$/ } do { opendir my $all, "/proc" or die "/proc: $!\n"; readdir $all };
    for my $file (glob("$vcap/sys/run/*.pid"), glob("$vcap/sys/run/*/*.pid"), glob("$vcap/sys/run/bpm/*/*.pid")) {
      $job{$1} = 1 if slurp($file) =~ /^\s*([0-9]+)/;
    }
    sub is_a_job {
      my ($pid) = @_;
      my $programs = qr{/var/vcap/(?:data/)?(?:jobs|packages)/};
      return $job{$pid} //= slurp("/proc/$pid/environ") =~ /(?:^|\0)BOSH_JOB_NAME=/
        || slurp("/proc/$pid/cmdline") =~ m{(?:^|\0)$programs} || (readlink("/proc/$pid/exe") // "") =~ m{^$programs} ? 1 : 0;
    }
    sub of_a_job {
      my ($pid) = @_;
      for (my $steps = 0; $pid && $steps < 100; $steps++) {
        return 1 if is_a_job($pid);
        $pid = slurp("/proc/$pid/stat") =~ /^.*\) \S+ ([0-9]+)/s ? $1 : 0;
      }
      return 0;
    }
    sub tell_of {
      my ($pid, $writes, $how, $path) = @_;
      my $command = slurp("/proc/$pid/cmdline") || slurp("/proc/$pid/comm");
      $command =~ s/\0/ /g;
      $command =~ s/\s+$//;
      $command = "this mount namespace" if $pid == $$;
      print join("\t", $pid, of_a_job($pid), $writes, $how, shown($path), shown($command)), "\n";
    }
    sub mounts {
      my ($pid) = @_;
      return grep { $_->{device} eq $number } map {
        my @part = split / /;
        my @shared = map { /^shared:([0-9]+)$/ } @part;
        my @masters = map { /^master:([0-9]+)$/ } @part;
        { device => $part[2] // "", place => $part[4] // "", shared => \@shared, masters => \@masters }
      } split /\n/, slurp("/proc/$pid/mountinfo");
    }
    my $space = readlink("/proc/self/ns/mnt") // "";
    for my $mount (mounts("self")) {
      if ($mount->{place} ne $place) { push @found, $mount; next }
      $ours{$_} = 1 for @{$mount->{shared}};
      $above{$_} = 1 for @{$mount->{masters}};
    }
    sub goes_with_ours {
      my ($mount) = @_;
      return (grep { $ours{$_} } @{$mount->{shared}}, @{$mount->{masters}})
        || $mount->{place} eq $place && (grep { $above{$_} } @{$mount->{shared}}, @{$mount->{masters}});
    }
    tell_of($$, 1, "mount", $_->{place}) for @found;
    sub tell_of_kernel { my ($how, $path, $what) = @_; print join("\t", 0, 0, 1, $how, shown($path), shown($what)), "\n" }
    sub on_it { my @status = stat $_[0]; return @status && $status[0] == $device }
    sub tell_of_overlays {
      for my $line (split /\n/, slurp("/proc/$_[0]/mountinfo")) {
        my ($before, $kind, undef, $how) = $line =~ /^(.*?) - (\S+) (\S+) (.*)$/ or next;
        next if $kind ne "overlay";
        my ($at) = (split / /, $before)[4];
        for my $folder (map { split /:/ } $how =~ /(?:upper|lower|work)dir\+?=([^,]+)/g) {
          if (on_it("/proc/$_[0]/root$folder")) { tell_of_kernel("overlay", $at, $folder); last }
        }
      }
    }
    tell_of_overlays("self");
    for my $line (split /\n/, slurp("/proc/swaps")) {
      if ((my ($path) = split " ", $line)[0] =~ m{^/}) { tell_of_kernel("swap", $path, "swap") if on_it($path) }
    }
    for my $name (map { m{^/sys/block/(.*)/loop/backing_file$} } glob "/sys/block/loop*/loop/backing_file") {
      open my $loop, "<", "/dev/$name" or next;
      my $status = "\0" x 232;  # LOOP_GET_STATUS64: it begins with the number of the device that the file is on
      next unless ioctl $loop, 0x4c05, $status;
      next unless unpack("Q", $status) == $device;
      chomp(my $path = slurp("/sys/block/$name/loop/backing_file"));
      tell_of_kernel("loop", $path, "/dev/$name");
    }
    # by inode of the socket: those bound to a name on the disk
    my %bound;
    if (socket my $asked, 16, 3, 4) {
      # SOCK_DIAG_BY_FAMILY for all of AF_UNIX in all states: the name, and the inode that it is bound to
      syswrite $asked, pack "L S S L L C C S L L L L L", 40, 20, 0x301, 1, 0, 1, 0, 0, 0xffffffff, 0, 3, 0xffffffff, 0xffffffff;
      my $over = 0;
      while (!$over && defined recv $asked, my $answer, 1 << 20, 0) {
        last unless length $answer;
        while (length $answer >= 16) {
          my ($size, $type) = unpack "L S", $answer;
          if ($type == 3 || $type == 2 || $size < 16) { $over = 1; last }
          my ($number, $rest, $name, $on) = (unpack("x20 L", $answer), substr($answer, 32, $size - 32), "", undef);
          while (length $rest >= 4) {
            my ($long, $what) = unpack "S S", $rest;
            last if $long < 4;
            $name = substr $rest, 4, $long - 4 if $what == 0;
            $on = unpack "x8 L", $rest if $what == 1;
            $rest = substr $rest, ($long + 3 & ~3) < length $rest ? $long + 3 & ~3 : length $rest;
          }
          $name =~ s/\0.*//s;
          # the kernel has the minor in the low 20 bits
          $bound{$number} = $name if defined $on && ($on >> 20) == $major && ($on & 0xfffff) == $minor;
          $answer = substr $answer, ($size + 3 & ~3) < length $answer ? $size + 3 & ~3 : length $answer;
        }
      }
    }
    for my $pid (@pids) {
      next if $pid == $$ || $pid == getppid;
      my $other = readlink("/proc/$pid/ns/mnt") // next;
      if ($other ne $space && !$seen{$other}++) {
        for my $mount (mounts($pid)) { tell_of($pid, 1, "mount", $mount->{place}) unless goes_with_ours($mount) }
        tell_of_overlays($pid);
      }
      for my $how ("cwd", "root", "exe") {
        my @status = stat "/proc/$pid/$how";
        tell_of($pid, 0, $how, readlink("/proc/$pid/$how") // "") if @status && $status[0] == $device;
      }
      if (opendir my $open, "/proc/$pid/fd") {
        for my $number (grep { /^[0-9]+$/ } readdir $open) {
          my $path = readlink("/proc/$pid/fd/$number") // next;
          if ($path =~ /^socket:\[([0-9]+)\]$/ && exists $bound{$1}) { tell_of($pid, 0, "socket", $bound{$1}) }
          next unless $path =~ m{^/};
          my @status = stat "/proc/$pid/fd/$number";
          next unless @status && $status[0] == $device;
          my $writes = slurp("/proc/$pid/fdinfo/$number") =~ /^flags:\s*[0-7]*([0-7])$/m && $1 & 3 ? 1 : 0;
          tell_of($pid, $writes, "open", $path);
        }
      }
      my %mapped;
      my $maps = slurp("/proc/$pid/maps");
      next if index($maps, " $hex ") < 0;
      for my $line (split /\n/, $maps) {
        my (undef, $rights, undef, $on, undef, $path) = split " ", $line, 6;
        tell_of($pid, $rights =~ /w.s/ ? 1 : 0, "mapped", $path) if defined $path && $on eq $hex && !$mapped{$path}++;
      }
    }
  ' "$S" "${S%/store}"
}
"""

HOLDERS: Final = f"""
{_HOLDERS}
holders >"$W/holders"
cat "$W/holders"
"""

# With the jobs down. A process of theirs may still be ending. Who is known to hold the disk while the jobs run has to be gone
# altogether, for it could not be unmounted; else only who may write is in the way. Says why, where it is no disk.
FREEZE: Final = f"""
{_HOLDERS}
freeze() {{
  if [ "$(stat -c %d "$S/.")" = "$(stat -c %d "$S/..")" ]; then echo "it is a folder of another filesystem"; return; fi
  if [ "$(id -u)" != 0 ]; then echo "the shell is not root's"; return; fi
  place=$(cd "$S/." && pwd -P)
  end=$(($(date +%s) + 3)) strangers=""
  if [ -e "$W/holders" ]; then strangers=$(cut -f 2 "$W/holders" | grep -x 0 || :); fi
  while :; do
    if mount -o remount,ro "$place" 2>"$W/complaints"; then
      if [ -z "$strangers" ]; then return; fi
      holders >"$W/holders"
      if [ ! -s "$W/holders" ]; then return; fi
    fi
    if [ "$(date +%s)" -ge "$end" ]; then break; fi
    sleep 0.1
  done
  holders
  cat "$W/complaints" >&2
  exit {HELD}
}}
"""
