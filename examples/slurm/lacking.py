"""Prints the shards that lack rows, for `sbatch --array`: `datafast status FOLDER --json | python3 lacking.py SHARDS`."""

import json
import sys

status = json.load(sys.stdin)
if status["of"] != int(sys.argv[1]):
    sys.exit(f"The folder has {status['of']} shards. Give that number, or change it with `datafast reshard`.")
lacking = {*status["missing"], *status["unknown"]}
lacking |= {int(shard["shard"].split("/")[0]) for shard in status["shards"] if shard["pending"]}
print(",".join(map(str, sorted(lacking))))
