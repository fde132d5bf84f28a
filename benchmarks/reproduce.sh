#!/usr/bin/env bash
# From the corpus to networks of the shipped kind, stage by stage:
#
#   benchmarks/reproduce.sh CORPUS RUNS MODELS
#   SCALE=0.001 benchmarks/reproduce.sh CORPUS /tmp/runs /tmp/models      # a try: a thousandth of the steps
#   RTFACE="echo rtface" benchmarks/reproduce.sh CORPUS RUNS MODELS       # says what it would run
#
# Stopped by Ctrl-C or killed, it goes on when it is given again: a training goes on from its checkpoint, one that is
# done ends at once, and labels that are there stay. CORPUS has the files of the data's README; RUNS gets a folder a
# stage, MODELS the ONNX files, registry and cards. The emotion teacher, the first network's own labels and --init are
# how the shipped networks came about; their figures, and how far a run of this script lies from them, depend on steps.
set -euo pipefail

data=${1:?CORPUS} runs=${2:?RUNS} models=${3:?MODELS}
rtface=${RTFACE:-python -m rtface}
scale=${SCALE:-1}

steps() { awk -v n="$1" -v s="$scale" 'BEGIN { v = int(n * s); print (v < 1 ? 1 : v) }'; }
train() { echo "== $2" >&2; $rtface train "$1" --run "$runs/$2" "${@:3}"; }
mkdir -p "$runs/own"

train detector detector --data "$data" --steps "$(steps 40000)"
train teacher emotion-teacher --data "$data" --batch 128 --steps "$(steps 3700)"

# The multi-task network: from scratch, then with the emotion teacher's answers beside the votes.
train engine first --data "$data" --steps "$(steps 8342)"
train engine second --data "$data" --init "$runs/first/last.pt" --teacher "$runs/emotion-teacher" \
    --rate 1.2e-3 --steps "$(steps 8400)"

# 68 points by the second network itself (ten looks a face) where people set five, or none.
$rtface export engine --run "$runs/second" --out "$runs/labeller"
# Faces of `unlabelled` have a mesh too, which is read by the hand-set points of `landmarks`.
label() {
    [ -e "$runs/own/$1.parquet" ] || $rtface label "$data/$1.parquet" --format parquet \
        --out "$runs/own/$1.parquet" --set "models_dir=$runs/labeller" "${@:2}"
}
label points5
label unlabelled --fit "$data/landmarks.parquet"

# Then on all of it, and at last a quarter of the steps at 96 px, for the quality ladder.
sources=(
    --source "$data/landmarks.parquet=16" --source "$data/video_landmarks.parquet=3"
    --source "$data/parsing.parquet=12" --source "$data/emotion.parquet=19" --source "$data/negatives.parquet=3"
    --source "$runs/own/points5.parquet=7" --source "$runs/own/unlabelled.parquet=4"
)
train engine third "${sources[@]}" --data "$data" \
    --init "$runs/second/last.pt" --teacher "$runs/emotion-teacher" --rate 1.2e-3 --steps "$(steps 9500)"
train engine fourth "${sources[@]}" --data "$data" --init "$runs/third/last.pt" \
    --teacher "$runs/emotion-teacher" --rate 1e-3 --small-share 0.25 --steps "$(steps 9825)"

train superfan enhancer --data "$data" --clean 0.3 --steps "$(steps 20000)"

$rtface export detector --run "$runs/detector" --out "$models" --int8 --data "$data"
$rtface export engine --run "$runs/fourth" --out "$models" --int8 --data "$data" --rare-emotions 1.5
$rtface export superfan --run "$runs/enhancer" --out "$models"
$rtface eval all --data "$data" --json "$models/figures.jsonl" -y --set "models_dir=$models"
