# Prints C files with comments and the insides of literals blanked, each line as FILE:LINE:TEXT, so that the
# check scripts match code only. `--keep-strings` leaves literals alone (for #include lines).
use strict;
use warnings;
my $keep = @ARGV && $ARGV[0] eq '--keep-strings' ? shift : '';
for my $file (@ARGV) {
    open my $in, '<', $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}{
        my ($comment, $literal) = ($1, $2);
        if (defined $comment) { ($comment =~ tr/\n//cdr) || ' ' }
        else { $keep ? $literal : substr($literal, 0, 1) x 2 }
    }gse;
    my $line = 0;
    print "$file:", ++$line, ":$_\n" for split /\n/, $text;
}
