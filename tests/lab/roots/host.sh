# What both kinds of host need beside their packages. Sourced by their prepare.sh, with the root in $root.

# A lab host's identity is no secret, and without one systemd would take every boot for the first one.
echo 0123456789abcdef0123456789abcdef > "$root/etc/machine-id"

chroot "$root" openssl req -x509 -newkey rsa:2048 -nodes -days 3650 \
	-subj /CN=mail.example.org -addext subjectAltName=DNS:mail.example.org,DNS:localhost \
	-keyout /etc/ssl/private/mail.example.org.key -out /etc/ssl/certs/mail.example.org.pem 2>/dev/null
chroot "$root" chgrp ssl-cert /etc/ssl/private/mail.example.org.key
chmod 640 "$root/etc/ssl/private/mail.example.org.key"

# A hash that costs next to nothing: a botnet is to be limited by the servers, not by a key derivation function.
for user in alice bob carol; do
	chroot "$root" useradd --create-home --shell /usr/sbin/nologin "$user"
	echo "$user:secret" | chroot "$root" chpasswd --crypt-method SHA256 --sha-rounds 1000
	# Realms as the servers look them up: by the whole name of the host, and by its first part.
	for realm in mail.example.org mail; do
		echo secret | chroot "$root" saslpasswd2 -p -c -u "$realm" "$user"
	done
done
chroot "$root" chgrp sasl /etc/sasldb2
chmod 640 "$root/etc/sasldb2"
chroot "$root" adduser --quiet postfix sasl

# Makes the directories of the queue that the package leaves to the first start.
chroot "$root" postfix check

# What has nothing to do on a host of the lab, changes the machine's kernel, or runs by itself while a test looks.
systemctl --root="$root" --quiet mask \
	getty@.service getty.target console-getty.service autovt@.service serial-getty@.service \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
	logrotate.timer systemd-tmpfiles-clean.timer cron.service systemd-pstore.service systemd-random-seed.service \
	sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
	dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount \
	systemd-sysctl.service systemd-modules-load.service systemd-binfmt.service systemd-udevd.service \
	systemd-udev-trigger.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-journald-audit.socket \
	systemd-remount-fs.service systemd-logind.service systemd-ask-password-wall.path systemd-ask-password-console.path \
	postfix-resolvconf.path postfix-resolvconf.service
systemctl --root="$root" --quiet set-default multi-user.target
