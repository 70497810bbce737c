"""Reading a file with holes: Perl for the scripts that run in the guest."""

from typing import Final

HOLES: Final = r"""    # where there is data from here on, or its end
    sub sought {
      my ($file, $at, $what, $else) = @_;
      my $found = sysseek $file, $at, $what;
      return defined $found ? 0 + $found : $!{ENXIO} ? $else : $at;
    }
    sub read_from {
      my ($file, $at, $size, $path) = @_;
      my $data = "";
      defined sysseek $file, $at, 0 or die "cannot read $path: $!\n";
      while (length $data < $size) {
        my $got = sysread $file, $data, $size - length $data, length $data;
        die "cannot read $path at byte $at: $!\n" unless defined $got;
        return $data unless $got;
      }
      return $data;
    }
"""
