# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# For tests in which systemd is the host's first process (scripts/systemd, with Debian's systemd
# and our units). Without an argument such a script prepares the host and becomes systemd; units
# in a folder SCRIPT/ beside it call it again, with one.

export GMEM_CONF=/etc/gmem GMEM_RUN=/run/gmem
script=${0##*/}
script=${script%.sh}

# ended VERDICT: of the whole test
ended() {
	echo "GMEM-VERDICT: $1 $script"
	drain
	reboot -f
}

# enabled [UNIT...]: as "systemctl enable" does, before there is a systemd; an instance of a
# template, too. Few processes: in a benchmark a host that has all of this on its disk is meant.
enabled() {
	local unit plain=
	mkdir -p /etc/systemd/system/multi-user.target.wants
	for unit in "$@"; do
		case $unit in
		*@*)	ln -s "../${unit%%@*}@.service" "/etc/systemd/system/multi-user.target.wants/$unit" ;;
		*)	plain="$plain ../$unit" ;;
		esac
	done
	# shellcheck disable=SC2086	# words
	[ -z "$plain" ] || ln -s $plain /etc/systemd/system/multi-user.target.wants/
}

# become_systemd: with the test's own units, which are enabled
become_systemd() {
	mkdir -p /var/log /var/tmp
	cp "${0%.sh}"/* /etc/systemd/system/
	# shellcheck disable=SC2046	# names without blanks
	enabled $(cd "${0%.sh}" && grep -l WantedBy= ./* | sed 's|^./||')
	trap - EXIT
	exec /lib/systemd/systemd < /dev/null > /dev/console 2>&1
}

# as_unit: this is a process of a unit: it talks as a test does, and knows what init would tell
as_unit() {
	exec > /dev/ttyS1 2>&1
	STAGE=$(word gmem.stage)
	STAGE=${STAGE:-1}
	CASE=$(word gmem.case)
	export STAGE CASE
}

# state NAME STATE: what systemd says of the unit
state() { [ "$(systemctl is-active "$1")" = "$2" ]; }

# property NAME PROPERTY VALUE
property() { [ "$(systemctl show -P "$2" "$1")" = "$3" ]; }

# becomes NAME STATE: wait for that
becomes() {
	until state "$1" "$2"; do sleep 0.1; done
}
