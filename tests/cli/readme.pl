#!/usr/bin/env perl
# Keeps README.md and docs/methods.md true. Usage: readme.pl methods COMMAND README.md [--update]
#                                                 readme.pl example CC LIB_DIR SOURCE_DIR [FLAGS]
# methods: docs/methods.md is what `COMMAND methods --markdown` prints, and README's table of families the one in it; --update makes
# it so. example: the C block compiles without a warning against the public header, runs in SOURCE_DIR and prints a line.
use strict;
use warnings;
use File::Temp 'tempdir';

my $what = shift;
sub spill { open my $f, '>', $_[0] or die "$_[0]: $!\n"; print $f $_[1] }
sub slurp { local $/; open my $f, '<', $_[0] or die "$_[0]: $!\n"; return scalar <$f> }
if ($what eq 'methods') {
    my ($command, $readme, $update) = @ARGV;
    (my $page = $readme) =~ s{[^/]*$}{docs/methods.md};
    my ($printed, $text) = (scalar `$command methods --markdown`, slurp($readme));
    my ($table) = $printed =~ /^(\| family \|.*?\n)(?=\n)/ms or die "methods --markdown printed no table of families\n";
    $table =~ s{\[(`[^`]+`)\]\(#[^)]*\)}{$1}g; # links to the page for families only
    $table =~ s{\]\(#}{](docs/methods.md#}g;
    my @stale = grep { length } ((-e $page ? slurp($page) : '') ne $printed && $page, index($text, $table) < 0 && $readme);
    exit 0 unless @stale;
    die "stale: @stale; make docs\n" unless ($update // '') eq '--update';
    $text =~ s/^\| family \|.*?\n(?=\n)/$table/ms or die "README.md has no table of families\n";
    spill($readme, $text);
    spill($page, $printed);
    exit 0;
}
my ($cc, $lib, $source, @flags) = @ARGV;
my ($code) = slurp("$source/README.md") =~ /^```c\n(.*?)^```/ms or die "README.md has no C block\n";
my $folder = tempdir(CLEANUP => 1);
open my $out, '>', "$folder/readme.c" or die;
print $out $code;
close $out;
system($cc, '-std=c11', '-Wall', '-Wextra', '-Werror', grep({ length } @flags), "-I$source/include", '-o',
    "$folder/readme", "$folder/readme.c", "-L$lib", '-lonnxplain', "-Wl,-rpath,$lib") == 0 or exit 1;
chdir $source or die;
my $said = `$folder/readme`;
die "the example failed\n" if $?;
die "the example printed nothing\n" unless $said =~ /\S/;
print $said;
