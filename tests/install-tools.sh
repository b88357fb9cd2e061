#!/bin/sh
# Installs what the tests need and the machine lacks. As root on Debian: apt. Otherwise it says
# what is missing; the tests that need it then skip, or fail where CI=true.
set -eu

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need chromium chromium
need strace strace
need wrk wrk
need nginx nginx-light
need patch patch
need node nodejs
need npm npm
need sqlite3 sqlite3

if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || echo "apt-get update failed; trying with the lists at hand" >&2
    # shellcheck disable=SC2086 # a list of words is meant
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
  else
    echo "Not installed:$missing. As root: apt-get install$missing" >&2
  fi
fi

stamp=node_modules/.from-lock
if command -v npm >/dev/null 2>&1; then
  if [ ! -f "$stamp" ] || [ package-lock.json -nt "$stamp" ]; then
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    touch "$stamp"
  fi
else
  echo "npm is missing: the tests with the Adobe Web SDK and axe-core cannot run." >&2
fi
