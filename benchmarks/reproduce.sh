#!/usr/bin/env bash
# From the corpus to networks of the shipped kind, stage by stage:
#
#   benchmarks/reproduce.sh CORPUS RUNS MODELS
#   benchmarks/reproduce.sh --quick CORPUS RUNS MODELS              # every stage in minutes, on a small part of the corpus
#   SCALE=0.1 benchmarks/reproduce.sh CORPUS RUNS MODELS            # a tenth of the steps
#   RTFACE="echo rtface" benchmarks/reproduce.sh CORPUS RUNS MODELS # says what it would run
#
# Stopped by Ctrl-C or killed, it goes on when it is given again: a training goes on from its checkpoint, labelling from
# its parts, and stages that ended are left out (RUNS/done has a file for each; delete one to have its stage again). CORPUS has the files of the data's README; RUNS gets a folder a stage, MODELS the ONNX files,
# registry, gates and cards. TRAIN="--device cuda --compile" adds flags to every training. The emotion teacher, the first
# network's own labels and --init are how the shipped networks came about; their figures, and how far a run of this
# script lies from them, depend on steps.
set -euo pipefail

quick=
[ "${1:-}" != --quick ] || { quick=1; shift; }
data=${1:?CORPUS} fit=$1/landmarks.parquet runs=${2:?RUNS} models=${3:?MODELS}
python=${PYTHON:-python}
rtface=${RTFACE:-$python -m rtface}
scale=${SCALE:-${quick:+0.0002}}
extra=() keep=() limit=() begin=()
[ -z "${TRAIN:-}" ] || read -ra extra <<<"$TRAIN"
mkdir -p "$runs/own" "$runs/done"

if [ -n "$quick" ]; then
    "$python" -m benchmarks.corpus_part "$data" "$runs/part" --rows "${ROWS:-16}" >&2
    data=$runs/part
    extra+=(--cache "$runs/cache" --batch 16)
    # a network of two steps is sure of nothing
    keep=(--min-quality 0 --max-spread 1000000)
    limit=(--limit 20)
    # and a detector of eight finds no face to calibrate on
    begin=(--init "$(dirname "$0")/../rtface/models/detector.onnx")
fi

steps() { awk -v n="$1" -v s="${scale:-1}" 'BEGIN { v = int(n * s); print (v < 2 ? 2 : v) }'; }
train() { stage "$2" train "$1" --run "$runs/$2" "${@:3}" "${extra[@]}"; }
stage() {
    [ -e "$runs/done/$1" ] || { echo "== $1" >&2; $rtface "${@:2}"; touch "$runs/done/$1"; }
}

train detector detector --data "$data" --steps "$(steps 40000)" "${begin[@]}"
train teacher emotion-teacher --data "$data" --steps "$(steps 3700)"

# The multi-task network: from scratch, then with the emotion teacher's answers beside the votes.
train engine first --data "$data" --steps "$(steps 8342)"
train engine second --data "$data" --init "$runs/first/last.pt" --teacher "$runs/emotion-teacher" \
    --rate 1.2e-3 --steps "$(steps 8400)"

# 68 points by the second network itself (ten looks a face) where people set five, or none.
stage labeller export engine --run "$runs/second" --out "$runs/labeller"
# Faces of `unlabelled` have a mesh too, which is read by the hand-set points of `landmarks`: of more than 200 faces.
label() {
    stage "$1-labels" label "$data/$1.parquet" --format parquet --out "$runs/own/$1.parquet" -y \
        --set "models_dir=$runs/labeller" "${@:2}" "${keep[@]}"
}
label points5
label unlabelled --fit "$fit"

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

int8=(--int8 --data "$data" ${quick:+--cache "$runs/cache"})
stage detector-files export detector --run "$runs/detector" --out "$models" "${int8[@]}"
stage engine-files export engine --run "$runs/fourth" --out "$models" "${int8[@]}" --rare-emotions 1.5
stage enhancer-files export superfan --run "$runs/enhancer" --out "$models"
# What INT8 loses, head by head: the gates that let it run.
stage gates calibrate "$data" --data "$data" --out "$models/calibration" --set "models_dir=$models" "${limit[@]}"
# What these networks do; mesh, expression and gaze are of heads that are trained apart.
for task in landmarks points5 parsing emotion pose detection; do
    stage "figures-$task" eval "$task" --data "$data" --json "$models/figures-$task.jsonl" -y \
        --set "models_dir=$models" "${limit[@]}"
done
