#!/usr/bin/env perl
# Writes the reference in docs/api.md from include/onnxplain.h, and the example above it from examples/. What stands above the
# marker in docs/api.md is written by hand and kept. Usage: api_docs.pl [--check]   (--check changes nothing, fails when stale)
#
# The header is read as text: "/* ---- group: stability ---- */" begins a group; a comment in column 1 with the declarations that
# follow it, up to the next one or an empty line, is an entry; a comment without declarations is the group's own.
use strict;
use warnings;
use FindBin '$Bin';

my $root = "$Bin/..";
my ($header, $page) = ("$root/include/onnxplain.h", "$root/docs/api.md");
my $marker = "<!-- From here on: tools/api_docs.pl, from include/onnxplain.h. Change the header, then make docs. -->\n";

sub slurp { local $/; open my $f, '<', $_[0] or die "$_[0]: $!\n"; return scalar <$f> }

# Comment text as Markdown: names as code, other characters that Markdown would take for its own escaped.
sub prose {
    my @parts = split /(`[^`]*`)/, $_[0];
    for (@parts) {
        next if /^`/;
        s/([*<>|\\])/\\$1/g;
        s/(?<![\w"])((?:\\\*)?(?:(?:oxp|OXP)_(?:\.\.\._)?[\w]+|struct_size|NULL|NaN))(?![\w"])/my $w = $1; $w =~ s{\\}{}g; "`$w`"/ge;
        s/\\\*(out|starts)\b/`*$1`/g;
    }
    return join '', @parts;
}

# The words of a comment, without its frame; list items keep their bullets.
sub words {
    my @lines = split /\n/, $_[0];
    s{^/\* ?| ?\*/$|^ \* ?}{}g for @lines;
    return join "\n", @lines;
}

sub names { # declared in this code, in order
    my ($code) = @_;
    my (@found, %seen);
    $code =~ s{/\*.*?\*/}{}gs;
    while ($code =~ /^OXP_API[^;]*?\b(oxp_\w+)\(|^\}\s*(oxp_\w+);|^typedef struct \w+ (oxp_\w+);|\(\*(oxp_\w+)\)\(/gm) {
        my ($name) = grep { defined } $1, $2, $3, $4;
        push @found, $name unless $seen{$name}++;
    }
    return @found;
}

my $text = slurp($header);
my ($top) = $text =~ m{\A(/\*.*?\*/)}s or die "$header: no opening comment\n";
my ($body) = $text =~ m{^(/\* ---- .*)^#ifdef __cplusplus\n\}}ms or die "$header: no groups\n";
my (undef, @groups) = split m{^/\* ---- (.+?) -+ \*/\n}m, $body;

my ($reference, @index) = ('');
while (my ($title, $content) = splice @groups, 0, 2) {
    my ($name, $stability) = $title =~ /^(.*): (stable|provisional)$/ or die "$header: group '$title' has no stability\n";
    $name = ucfirst $name;
    my @all;
    $reference .= "\n## $name\n\n*\u$stability.*\n";
    for my $entry (split m{\n\n+|\n(?=/\*)}, $content) {
        next unless $entry =~ /\S/;
        my ($comment, $code) = $entry =~ m{\A\s*(/\*.*?\*/)?\n?(.*)\z}s;
        my @names = names($code);
        push @all, @names;
        die "$header: neither a name nor a comment in:\n$entry\n" unless @names || defined $comment;
        if (@names) {
            my $heading = join ', ', map { "`$_`" } @names;
            $heading = "`$names[0]` to `$names[-1]`" if length $heading > 110;
            $reference .= "\n### $heading\n";
        }
        $reference .= "\n" . prose(words($comment)) . "\n" if defined $comment;
        $code =~ s/^OXP_API (.*(?:\n {8}.*)*)/my $c = $1; $c =~ s{^ {8}}{}gm; $c/gem;
        $code =~ s/\s+\z//;
        $reference .= "\n```c\n$code\n```\n" if length $code;
    }
    (my $anchor = lc $name) =~ s/[^a-z -]//g;
    $anchor =~ s/ /-/g;
    push @index, "| [$name](#$anchor) | $stability | " . join(', ', map { "`$_`" } @all) . " |\n";
}
my ($rules) = words($top) =~ /^( - .*)\z/ms or die "$header: the opening comment has no list\n";
$rules =~ s/^ - /- /gm;
$rules =~ s/^   /  /gm;

my $old = slurp($page);
my ($written) = $old =~ /\A(.*?)^\Q$marker\E/ms or die "$page: the marker is missing:\n$marker";
$written =~ s{(<!-- file: (\S+) -->\n```c\n).*?(?=^```)}{$1 . slurp("$root/$2")}gmse;
my $new = $written . $marker . "\n## Conventions\n\n" . prose($rules) . "\n\n## Groups\n\n| group | stability | declares |\n|---|---|---|\n"
    . join('', @index) . $reference;
exit 0 if $new eq $old;
die "docs/api.md is stale: make docs\n" if @ARGV && $ARGV[0] eq '--check';
open my $out, '>', $page or die "$page: $!\n";
print $out $new;
