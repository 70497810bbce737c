"""What finds in a guest who holds its disk, and makes the disk read-only."""

from typing import Final

HELD: Final = 75

# A line for each process and way: pid, whether it belongs to a job, may write, how, where, its command; and one for each
# mount elsewhere. A mount that goes when ours goes, since it is a peer or a slave of it, holds nothing; nor does the one that
# ours is a slave of: a shell may live in a copy of the guest's mounts, and the agent unmounts the guest's own.
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
    for my $pid (@pids) {
      next if $pid == $$ || $pid == getppid;
      my $other = readlink("/proc/$pid/ns/mnt") // next;
      if ($other ne $space && !$seen{$other}++) {
        for my $mount (mounts($pid)) { tell_of($pid, 1, "mount", $mount->{place}) unless goes_with_ours($mount) }
      }
      for my $how ("cwd", "root", "exe") {
        my @status = stat "/proc/$pid/$how";
        tell_of($pid, 0, $how, readlink("/proc/$pid/$how") // "") if @status && $status[0] == $device;
      }
      if (opendir my $open, "/proc/$pid/fd") {
        for my $number (grep { /^[0-9]+$/ } readdir $open) {
          my $path = readlink("/proc/$pid/fd/$number") // next;
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
