#!/bin/sh
# Makes a host with Postfix and Cyrus IMAP of the root $1, into which the packages beside this file have been installed.
set -eu
root=$1
. "$(dirname "$0")/../host.sh"

chroot "$root" adduser --quiet cyrus ssl-cert
# For a test to start, as the oracle.
systemctl --root="$root" --quiet disable fail2ban.service
