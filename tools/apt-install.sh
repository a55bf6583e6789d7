#!/bin/sh
# Installs Debian packages where that is possible without asking; else says what to install.
set -eu
if ! command -v apt-get >/dev/null; then
    echo "Please install what Debian calls: $*" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "Please run: sudo apt-get install $*" >&2
    exit 1
fi
echo "== Installing $*"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
