#!/bin/sh
# Installs the media node from the bundle this script lies in, without any network: interpreter, packages, user, kernel settings, unit.
# Run as root, any number of times; what is there already is replaced, and /etc/media-node/node.toml is left alone.
# install.sh --image: for an image that is being made; the node starts when an instance boots from it.
set -eu

boot=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
packages=$boot/../packages
prefix=/opt/media-node

image=${1:-}
if [ "$image" != --image ] && [ ! -s /etc/media-node/node.toml ]; then
    echo "install.sh: /etc/media-node/node.toml is missing; the instance's user data writes it" >&2; exit 1
fi

# The packages bring compiled code: a virtual environment of the system's own Python, and no pip to fetch anything.
python3 -m venv --clear --without-pip "$prefix/venv"
site=$("$prefix/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp -R "$packages/." "$site/"
"$prefix/venv/bin/python" -m compileall -q "$site" || true
mkdir -p "$prefix/bin"
cat > "$prefix/bin/media-node" <<EOF
#!$prefix/venv/bin/python -I
import sys

from media_node.__main__ import main

sys.exit(main())
EOF
chmod 0755 "$prefix/bin/media-node"
"$prefix/bin/media-node" --help >/dev/null || { echo "install.sh: the bundle does not fit this system's Python" >&2; exit 1; }

if ! getent passwd media-node >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/media-node --shell /usr/sbin/nologin media-node
fi

install -m 0644 "$boot/90-media-node.conf" /etc/sysctl.d/90-media-node.conf
sysctl --quiet --load /etc/sysctl.d/90-media-node.conf || true   # a container may not allow it; the node runs without

if [ -d /etc/fail2ban/filter.d ]; then
    install -m 0644 "$boot/fail2ban/filter.d/media-node.conf" /etc/fail2ban/filter.d/media-node.conf
    install -m 0644 "$boot/fail2ban/jail.d/media-node.conf" /etc/fail2ban/jail.d/media-node.conf   # off until an operator turns it on
fi

install -m 0644 "$boot/media-node.service" /etc/systemd/system/media-node.service
if [ "$image" != --image ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --quiet media-node.service
    systemctl restart --no-block media-node.service
else
    SYSTEMD_OFFLINE=1 systemctl enable --quiet media-node.service
fi
