#!/bin/sh
# Draws the Mermaid block of docs/guides/topics.md as topic-graph.svg. Needs npx, and a Chromium whose path CHROMIUM says.
# The same block gives the same file.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

sed -n '/^```mermaid$/,/^```$/p' ../guides/topics.md | sed '1d;$d' >"$work/topics.mmd"
# Texts instead of HTML in the labels: an <img> shows no HTML in some viewers.
echo '{"deterministicIds": true, "theme": "neutral", "htmlLabels": false, "flowchart": {"htmlLabels": false}}' >"$work/mermaid.json"
echo "{\"executablePath\": \"${CHROMIUM:-/usr/bin/chromium}\", \"args\": [\"--no-sandbox\", \"--disable-gpu\"]}" >"$work/browser.json"
PUPPETEER_SKIP_DOWNLOAD=1 npx --yes @mermaid-js/mermaid-cli@11.17.0 --quiet --backgroundColor white \
    --input "$work/topics.mmd" --output topic-graph.svg --configFile "$work/mermaid.json" --puppeteerConfigFile "$work/browser.json"
