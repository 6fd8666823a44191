#!/bin/sh
# Finds the square root of 2 step by step, with a rate that is to be tuned.
set -eu
rate=0.1
while [ $# -gt 0 ]; do
    case $1 in
    --rate) rate=$2 ;;
    *) echo "unknown option $1" >&2 && exit 2 ;;
    esac
    shift 2
done

epoch=0 x=1
if [ -n "${CLUSTERTUNE_CHECKPOINT:-}" ]; then
    read -r epoch x <"$CLUSTERTUNE_CHECKPOINT/state"
    echo "going on from epoch $epoch"
fi

while [ "$epoch" -lt 9 ]; do
    epoch=$((epoch + 1))
    x=$(awk -v x="$x" -v rate="$rate" 'BEGIN { printf "%.12g", x - rate * (x * x - 2) * 2 * x }')
    error=$(awk -v x="$x" 'BEGIN { d = x * x - 2; printf "%.6g", d < 0 ? -d : d }')
    echo "{\"epoch\": $epoch, \"error\": $error}" >>"$CLUSTERTUNE_METRICS"
    if [ -e "$CLUSTERTUNE_SAVE" ]; then
        told=$(cat "$CLUSTERTUNE_SAVE")
        mkdir -p "$CLUSTERTUNE_CHECKPOINTS/part"
        echo "$epoch $x" >"$CLUSTERTUNE_CHECKPOINTS/part/state"
        mv "$CLUSTERTUNE_CHECKPOINTS/part" "$CLUSTERTUNE_CHECKPOINTS/$epoch"
        [ "$told" != exit ] || exit 0
    fi
done
