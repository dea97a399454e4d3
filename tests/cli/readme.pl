#!/usr/bin/env perl
# Keeps README.md true. Usage: readme.pl methods COMMAND README.md
#                              readme.pl example CC LIB_DIR SOURCE_DIR [FLAGS]
# methods: the table is what `COMMAND methods --markdown` prints; --update makes it so. example: the C block compiles without a
# warning against the public header, runs in SOURCE_DIR and prints a line.
use strict;
use warnings;
use File::Temp 'tempdir';

my $what = shift;
sub slurp { local $/; open my $f, '<', $_[0] or die "$_[0]: $!\n"; return scalar <$f> }
if ($what eq 'methods') {
    my ($command, $readme, $update) = @ARGV;
    my ($table, $text) = (scalar `$command methods --markdown`, slurp($readme));
    die "methods --markdown printed nothing\n" unless length $table;
    exit 0 if index($text, $table) >= 0;
    die "README.md: the table of methods is stale: tests/cli/readme.pl methods build/onnxplain README.md --update\n"
        unless ($update // '') eq '--update';
    $text =~ s/^\| method \|.*?\n(?=\n)/$table/ms or die "README.md has no table of methods\n";
    open my $out, '>', $readme or die "$readme: $!\n";
    print $out $text;
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
