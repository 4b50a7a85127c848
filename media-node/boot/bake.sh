#!/bin/sh
# Makes the system it runs on ready to be an image of a media node: Debian as it was on one day, the node by install.sh, and nothing
# that changes either later. Run as root from the bundle: bake.sh [DAY], DAY as 20261126T000000Z; without one no package is touched.
set -eu

boot=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
day=${1:-}

if [ -n "$day" ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq --error-on=any   # apt learns here where the archive keeps its days
    as_it_was="--snapshot $day -o Acquire::Check-Valid-Until=false"   # what is past has lists that are past their own date
    apt-get update -qq --error-on=any $as_it_was
    apt-get dist-upgrade -y -qq $as_it_was
    apt-get install -y -qq --no-install-recommends $as_it_was python3-venv
    apt-get clean
fi

sh "$boot/install.sh" --image

# What is on an image stays: security updates come as another image, rolled (docs/runbook.md).
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service

# Each instance is another: who it is, it finds out when it boots.
if command -v cloud-init >/dev/null; then cloud-init clean --logs; fi
rm -f /etc/ssh/ssh_host_*_key* /var/lib/systemd/random-seed
: > /etc/machine-id
