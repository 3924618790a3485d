#!/usr/bin/env bash
# Builds the modules of this example, tests them, runs the pipeline over the observations and compares what comes out
# with what has to. Needs weir on PATH (or as $WEIR) and what the languages need; says so where something is missing.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
weir=${WEIR:-weir}
plugins=../../plugins

for project in metric grade seal "$plugins/csv-to-json" "$plugins/route"; do
    "$weir" build "$project"
    "$weir" test "$project"
done

"$weir" run weather.toml --input observations.csv --output weather.ndjson --dead dead.ndjson \
    --module "csv-to-json=$plugins/csv-to-json/csv_to_json.wasm" --module metric=metric/metric.wasm \
    --module grade=grade/grade.wasm --module seal=seal/seal.wasm --module "route=$plugins/route/route.wasm"
diff weather.ndjson expected.ndjson
echo "as expected"
