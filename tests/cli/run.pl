#!/usr/bin/env perl
# Plays a transcript against the command. Usage: run.pl COMMAND SOURCE_DIR TRANSCRIPT
#
#   # a remark
#   $ onnxplain explain $S/model.onnx x.npy    run by bash in a fresh folder; $S is the source folder
#   ! a line of standard error
#   ? 1                                        exit status, 0 when not written
#   a line of standard output
#
# Lines must agree in number and order; "*" stands for any text within a line, and a line "..." for any
# number of lines up to the end.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Temp 'tempdir';

my ($command, $source, $transcript) = @ARGV;
$ENV{S} = abs_path($source);
$command = abs_path($command);
my $folder = tempdir(CLEANUP => 1);
open my $in, '<', $transcript or die "$transcript: $!\n";
chdir $folder or die;
mkdir 'bin';
symlink $command, 'bin/onnxplain';
$ENV{PATH} = "$folder/bin:$ENV{PATH}";
delete $ENV{OXP_LOG};

my (@steps, $line);
while (defined($line = <$in>)) {
    chomp $line;
    if ($line =~ /^\$ (.*)/) { push @steps, {run => $1, at => $., out => [], err => [], rc => 0} }
    elsif ($line =~ /^#/ or ($line eq '' and (!@steps or !@{$steps[-1]{out}}))) { next }
    elsif ($line =~ /^! ?(.*)/) { push @{$steps[-1]{err}}, $1 }
    elsif ($line =~ /^\? (\d+)/) { $steps[-1]{rc} = $1 }
    else { push @{$steps[-1]{out}}, $line }
}

my $bad = 0;
sub slurp { open my $f, '<', $_[0] or return (); my @l = <$f>; chomp @l; return @l }
sub compare {
    my ($what, $step, $want, @got) = @_;
    my @want = @$want;
    pop @want while @want and $want[-1] eq '';
    my $open = @want && $want[-1] eq '...';
    pop @want if $open;
    my $same = $open ? @got >= @want : @got == @want;
    for my $i (0 .. $#want) {
        last unless $same;
        my $pattern = join '.*', map { quotemeta } split /\*/, $want[$i], -1;
        $same = 0 unless $got[$i] =~ /^$pattern$/;
    }
    return if $same;
    $bad = 1;
    print "$transcript:$step->{at}: \$ $step->{run}\n  $what should be:\n", map({ "    $_\n" } @$want),
        "  but is:\n", map({ "    $_\n" } @got);
}
die "$transcript: no commands\n" unless @steps;
for my $step (@steps) {
    my $status = system('bash', '-c', "{ $step->{run}\n} >.out 2>.err </dev/null");
    my $rc = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    compare('standard output', $step, $step->{out}, slurp('.out'));
    compare('standard error', $step, $step->{err}, slurp('.err'));
    if ($rc != $step->{rc}) {
        print "$transcript:$step->{at}: \$ $step->{run}\n  exit status $rc, expected $step->{rc}\n";
        $bad = 1;
    }
}
exit $bad;
