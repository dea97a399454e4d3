#!/usr/bin/env bash
# What the documents name must exist: files, make targets, subcommands and options of onnxplain, public and
# internal symbols (oxp_*, OXP_*). Looks at code (spans and fenced blocks) and at links of the documents given.
# An example that is not in the tree is announced by `<!-- example: NAME... -->` in its document.
# Usage: check_docs.sh ROOT BUILD DOCUMENT...   (paths build/... are looked up in BUILD). Offences as FILE:LINE: what.
set -euo pipefail
root=$1 build=$2
shift 2
cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT

{ find src include cli examples tests bench fuzz tools python CMakeLists.txt CMakePresets.json Makefile \
      -type f \( -name '*.[ch]' -o -name '*.def' -o -name '*.txt' -o -name '*.json' -o -name Makefile -o -name run \
              -o -name '*.sh' -o -name '*.py' \) 2>/dev/null || true; } | LC_ALL=C sort >"$list"

perl - "$build" "$list" "$@" <<'PERL'
use strict;
my ($build, $list, @docs) = @ARGV;
my (%word, %base, %option, $bad);
open my $l, '<', $list or die;
while (my $file = <$l>) {
    chomp $file;
    open my $f, '<', $file or next;
    local $/;
    my $text = <$f>;
    $word{$1} = 1 while $text =~ /\b((?:oxp|OXP)_\w+)/g;
    (my $name = $file) =~ s{.*/}{};
    $base{$name} = 1;
    if ($file =~ m{^cli/}) { $option{$1} = 1 while $text =~ /"(?:--)?([a-z][a-z0-9-]+)/g; }
}
my %target;
if (open my $m, '<', 'Makefile') { while (<$m>) { $target{$1} = 1 if /^([a-z-]+):/; } }

sub exists_here {
    my $path = shift;
    $path =~ s{^build(?=/|$)}{$build};
    return (glob $path) ? 1 : -e $path if $path =~ /[*?\[{]/;
    return -e $path;
}

sub check_code {
    my ($code, $known, $tell) = @_;
    while ($code =~ m{(?<![\w/.-])((?:\.ci|bench|build|cli|cmake|docs|examples|fuzz|include|models|photos|python|src|tests|tools)/[\w.*/+-]*)}g) {
        (my $path = $1) =~ s/[.,:]+$//;
        $tell->("there is no $path") unless $known->{$path} || exists_here($path);
    }
    while ($code =~ m{(?<![\w/.*-])([\w-]+\.(?:[ch]|def|cases|sh|py))\b}g) {
        next if $1 =~ /^(?:stdio|math)\.h$/; # the C library's
        $tell->("no file is called $1") unless $known->{$1} || $base{$1} || $1 =~ /\.(cases)$/ && glob "tests/ops/$1";
    }
    while ($code =~ /\bmake ([a-z][a-z-]*)/g) { $tell->("make has no target $1") unless $target{$1}; }
    while ($code =~ /\bunit_([a-z]+)/g) { $tell->("there is no tests/unit/$1") unless -d "tests/unit/$1"; }
    while ($code =~ /\b((?:oxp|OXP)_\w+)/g) {
        my $symbol = $1;
        next if $known->{$symbol} || $word{$symbol} || $symbol =~ /_$/;
        $tell->("no source knows $symbol");
    }
    return unless %option;
    for my $line (split /\n/, $code) {
        next if $line =~ /^\s*import onnxplain\b/; # Python's
        next unless $line =~ m{(?:^|[\s/\$])onnxplain +([a-z]+)\b(.*)};
        my ($sub, $rest) = ($1, $2);
        $tell->("onnxplain has no subcommand $sub") unless $option{$sub};
        while ($rest =~ /--([a-z][a-z0-9-]*)/g) { $tell->("onnxplain has no option --$1") unless $option{$1}; }
    }
}

for my $doc (@docs) {
    open my $f, '<', $doc or die "$doc: $!\n";
    my @lines = <$f>;
    my %known = map { map { $_ => 1 } split } "@lines" =~ /<!-- example: (.*?) -->/g;
    my $fenced = 0;
    for my $i (0 .. $#lines) {
        my $line = $lines[$i];
        my $tell = sub { print "$doc:", $i + 1, ": $_[0]\n"; $bad = 1; };
        if ($line =~ /^\s*```/) { $fenced = !$fenced; next; }
        if ($fenced) { check_code($line, \%known, $tell); next; }
        check_code($2, \%known, $tell) while $line =~ /(`+)(.+?)\1/g;
        while ($line =~ /\]\(([^)#\s]+)[^)]*\)/g) {
            my $link = $1;
            next if $link =~ /^[a-z]+:/;
            (my $folder = $doc) =~ s{[^/]*$}{};
            $tell->("the link leads to no file: $link") unless -e "$folder$link";
        }
    }
}
exit($bad ? 1 : 0);
PERL
