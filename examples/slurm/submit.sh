#!/bin/bash
# Submits the shards of a dataset that lack rows, and then the merge. Run it again after anything: it submits only what is still to do.
#
#   ./submit.sh CONFIG.yaml FOLDER SHARDS [options of `datafast generate`]
#
# The rows go into FOLDER, and merged into FOLDER.jsonl. If FOLDER is a URL, like s3://bucket/rows, they are merged into rows.jsonl here.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "Usage: $0 CONFIG.yaml FOLDER SHARDS [options of datafast generate]" >&2
    exit 2
fi
config=$1 folder=${2%/} shards=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)

array=1-$shards merged=$folder.jsonl status=
if [[ $folder == *://* ]]; then
    merged=${folder##*/}.jsonl
    status=$(datafast status "$folder" --json) || status= # nothing is there yet
elif compgen -G "$folder/shard-*" >/dev/null; then
    status=$(datafast status "$folder" --json)
fi
if [ -n "$status" ]; then
    array=$(python3 "$here/lacking.py" "$shards" <<<"$status")
fi

after=()
if [ -n "$array" ]; then
    job=$(sbatch --parsable --array="$array" "$here/shard.sbatch" "$config" "$folder" "$shards" "$@")
    echo "shards $array of $shards: job $job"
    after=(--dependency="afterok:${job%%;*}" --kill-on-invalid-dep=yes)
fi
job=$(sbatch --parsable "${after[@]}" "$here/merge.sbatch" "$folder" "$merged")
echo "merge: job $job"
