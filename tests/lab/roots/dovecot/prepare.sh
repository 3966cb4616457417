#!/bin/sh
# Makes a host with Postfix and Dovecot of the root $1, into which the packages beside this file have been installed.
set -eu
root=$1
. "$(dirname "$0")/../host.sh"

mkdir -p "$root/var/spool/dovecot"
chroot "$root" chown mail:mail /var/spool/dovecot
