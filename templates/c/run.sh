#!/bin/sh
# Compiles where the source is newer; several trials may do so at once, so the program gets its name when it is whole.
set -e
if [ ! train -nt train.c ]; then
    "${CC:-cc}" -O2 -o "train.$$" train.c -lm
    mv "train.$$" train
fi
exec ./train "$@"
