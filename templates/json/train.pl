#!/usr/bin/env perl
# Walks down a bowl; its configuration comes as JSON, and what it finds leaves as lines of JSON.
use strict;
use warnings;
use JSON::PP;

sub slurp { open(my $file, '<', $_[0]) or die "$_[0]: $!\n"; local $/; return <$file>; }

my $config = decode_json(slurp($ENV{CLUSTERTUNE_CONFIG}));
my ($x, $y, $sign) = (3, -2, $config->{direction} eq 'down' ? 1 : -1);
open(my $metrics, '>>', $ENV{CLUSTERTUNE_METRICS}) or die "no metrics: $!\n";
$metrics->autoflush(1);
for my $epoch (1 .. 9) {
    $x -= $sign * $config->{rate} * 2 * $x;
    $y -= $sign * $config->{rate} * 8 * $y;
    print $metrics encode_json({epoch => $epoch, loss => $x * $x + 4 * $y * $y}), "\n";
}
