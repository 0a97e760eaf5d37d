# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash
#
# What the tests of devices share; files.sh comes before it. $dev is the device, as
# gmem-iommufd.c has it.

# device PATH ACTION...: what it says stays in /tmp/device
device() {
	local path=$1
	shift
	gmem-iommufd "$dev" "$fs/$path" "$@" > /tmp/device
}

# device_fails ERRNO PATH ACTION...: the last action must fail, with that errno
device_fails() {
	local errno=$1 status=0 last
	shift
	for last in "$@"; do :; done
	device "$@" || status=$?
	[ $status = 3 ] && grep -q -x "errno=$errno" /tmp/device &&
		grep -q -x "failed=$last" /tmp/device
}

# file_then_fails PATH ACTION ERRNO ACTION...: a file that is made so must be refused
file_then_fails() {
	local path=$1 how=$2 errno=$3
	shift 3
	file "$path" create "$how" && device_fails "$errno" "$path" "$@"
}

# device_waits PATH ACTION...: it does that, and stays where it says "waiting", as $waiting
device_waits() {
	local path=$1
	shift
	rm -f /tmp/go /tmp/then
	: > /tmp/waits
	gmem-iommufd "$dev" "$fs/$path" "$@" > /tmp/waits &
	waiting=$!
	until grep -q waiting /tmp/waits; do
		kill -0 $waiting 2>/dev/null || return 1
	done
}

# device_goes_on_to N FILE: let it, until it waits for the N-th time
device_goes_on_to() {
	: > "$2"
	until [ "$(grep -c waiting /tmp/waits)" -ge "$1" ]; do
		kill -0 "$waiting" 2>/dev/null || return 1
	done
}

# device_goes_on FILE: let it, and wait until it is at its end
device_goes_on() {
	: > "$1"
	wait "$waiting"
}

# tables_at_most N: so many pages for tables of the IOMMU did the last mapping cost
tables_at_most() {
	local more
	more=$(sed -n 's/^tables=//p' /tmp/device | tail -n 1)
	echo "# $more pages for tables"
	[ -n "$more" ] && [ "$more" -le "$1" ]
}

# find_device VENDOR DEVICE: the address of the first such device
find_device() {
	local device
	for device in /sys/bus/pci/devices/*; do
		if [ "$(cat "$device/vendor" "$device/device")" = "$1
$2" ]; then
			basename "$device"
			return 0
		fi
	done
	return 1
}

# find_edu, find_nvme: of QEMU's edu device, and of its NVMe controller
find_edu() { find_device 0x1234 0x11e8; }
find_nvme() { find_device 0x1b36 0x0010; }

# bind ADDRESS: let vfio-pci drive that device, and nothing else
bind() {
	local device=/sys/bus/pci/devices/$1
	echo vfio-pci > "$device/driver_override"
	[ ! -e "$device/driver" ] || echo "$1" > "$device/driver/unbind"
	echo "$1" > /sys/bus/pci/drivers_probe
	[ -e "/sys/bus/pci/drivers/vfio-pci/$1" ]
}
