#!/usr/bin/env bash
# Follow every link of the built site, from its first page; with --check-extern also those to other sites.
set -euo pipefail

site=${1:?Usage: check_links.sh FOLDER [options of linkchecker]}
shift
tools=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --disable-pip-version-check linkchecker==10.6.0

# Served as it will be, so that a link to a folder finds its index.html.
"$tools/bin/python" -m http.server --bind 127.0.0.1 --directory "$site" 8765 >/dev/null 2>&1 &
server=$!
for _ in $(seq 50); do
  (exec 3<>/dev/tcp/127.0.0.1/8765) 2>/dev/null && break
  sleep 0.2
done
"$tools/bin/linkchecker" --no-status --no-robots --threads=4 "$@" http://127.0.0.1:8765/index.html
