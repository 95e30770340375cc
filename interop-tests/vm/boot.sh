#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# boot.sh --kernel DIR [OPTION...] -- COMMAND [ARGUMENT...]: boot a kernel (see kernel.sh) in QEMU, run one command
# there, end. Emulated throughout: it needs neither KVM nor root.
#
#   --root DIR       what the command sees as / (default: /). Read only: what it writes goes to memory, and is gone
#   --show DIR       a folder that is to be seen there too, at the same place, read only; --write DIR: it can be written
#   --limit SECONDS  how long the whole may take (default: 600)
#   --memory MIB     default: 1024
#   --time instructions  one processor, on which every instruction takes a nanosecond: what is measured there depends on
#                    nothing but what is run
#
# stdout, stderr and the exit status are the command's; it gets variables named STILE_*. Other statuses:
# 123: the command succeeded and the kernel complained (printed), 124: the time was over, 125: it did not boot.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# shellcheck source-path=SCRIPTDIR source=packages.sh
. "$here/packages.sh"

kernel='' root=/ limit=600 memory=1024 time='' shares=() modes=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	[ $# -gt 1 ] || die "boot.sh: $1 needs an argument" 125
	case $1 in
	--kernel) kernel=$2 ;;
	--root) root=$(realpath "$2") ;;
	--show | --write) shares+=("$(realpath "$2")") modes+=("${1#--}") ;;
	--limit) limit=$2 ;;
	--memory) memory=$2 ;;
	--time) time=$2 ;;
	*) die "boot.sh: no option '$1'" 125 ;;
	esac
	shift 2
done
shift || true
if [ ! -e "$kernel/vmlinuz" ] || [ $# = 0 ]; then
	die "usage: boot.sh --kernel DIR [OPTION...] -- COMMAND..." 125
fi
need_programs qemu-system-x86_64 busybox cpio
busybox=$(command -v busybox)
[ "$(head -c 4096 "$busybox" | grep -c -a ld-linux)" = 0 ] || die "busybox has to be a static one (busybox-static)" 3

scratch=$(mktemp -d "${TMPDIR:-/tmp}/stile-vm.XXXXXX")
qemu=''
# shellcheck disable=SC2317
clean_up() {
	[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
	rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# What the guest is to do. It is a script of its own because arguments may hold anything.
write_command() {
	local name
	echo "#!/bin/sh"
	while read -r name; do
		printf 'export %s=%q\n' "$name" "${!name}"
	done < <(compgen -e STILE_)
	printf 'cd %q || exit 127\nexec' "$PWD"
	printf ' %q' "$@"
	echo
}

# The guest's first file system: busybox, the modules, init and what it has to do.
write_initrd() {
	local i dir=$scratch/initrd
	mkdir -p "$dir"/{bin,dev,proc,sys,modules,lower,upper,root}
	cp "$busybox" "$dir/bin/busybox"
	cp "$here/init" "$dir/init"
	find "$kernel/modules" -name '*.ko' -exec cp -t "$dir/modules" {} +
	write_command "$@" >"$dir/command"
	chmod 755 "$dir/init" "$dir/command"
	for i in "${!shares[@]}"; do
		echo "${modes[i]} share$i ${shares[i]}"
	done >"$dir/shares"
	(cd "$dir" && find . | cpio -o -H newc --quiet) >"$scratch/initrd.cpio"
	rm -rf "$dir"
}

# share TAG PATH MODE: adds a folder of this machine to the guest's.
share() {
	local fs=local,id=$1,path=$2,security_model=none,multidevs=remap
	[ "$3" = write ] || fs+=,readonly=on
	args+=(-fsdev "$fs" -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# port NAME CHARDEV-ARGUMENTS: a pipe out of the guest.
port() { args+=(-chardev "$2,id=$1" -device "virtserialport,chardev=$1,name=$1"); }

processors=$(nproc)
emulator=(-accel 'tcg,thread=multi' -smp $((processors < 4 ? processors : 4)))
[ "$time" != instructions ] || emulator=(-accel 'tcg,thread=single' -icount 'shift=0,sleep=off' -smp 1)
write_initrd "$@"
# No watchdogs: they would report that this machine was busy. Emulated, a fast "rep movsb" is the slowest copy.
args=(-machine q35 "${emulator[@]}" -cpu 'max,-erms,-fsrm' -m "$memory"
	-nodefaults -no-user-config -display none -no-reboot
	-kernel "$kernel/vmlinuz" -initrd "$scratch/initrd.cpio"
	-append "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=on log_buf_len=4M nowatchdog
		rcupdate.rcu_cpu_stall_suppress=1 vkms.enable_overlay=1 drm_kms_helper.fbdev_emulation=0
		drm.vblankoffdelay=0"
	-serial "file:$scratch/console"
	-device virtio-rng-pci -device virtio-gpu-pci -device virtio-serial-pci
	-add-fd 'fd=3,set=1' -add-fd 'fd=4,set=2')
port out 'file,path=/dev/fdset/1,append=on'
port err 'file,path=/dev/fdset/2,append=on'
port status "file,path=$scratch/status"
share root "$root" show
for i in "${!shares[@]}"; do
	share "share$i" "${shares[i]}" "${modes[i]}"
done

# Through pipes: what QEMU writes to has to be open for writing alone, which a terminal is not.
exec 3> >(exec cat) 4> >(exec cat >&2)
boot() {
	status=0
	timeout --kill-after=5 "$limit" qemu-system-x86_64 "${args[@]//[$'\n\t']/ }" </dev/null >"$scratch/qemu" 2>&1 &
	qemu=$!
	wait "$qemu" || status=$?
	qemu=''
}

# What the guest tells: a line when the command begins, and one with its status.
boot
if [ ! -s "$scratch/status" ] && [ "$status" != 124 ] && [ "$status" != 137 ]; then
	# Kernels change their own code while they boot, which QEMU's emulation of several processors gets wrong at times.
	say "the guest did not boot (QEMU: $status), once more"
	tail -q -n 5 "$scratch/console" >&2
	boot
fi
exec 3>&- 4>&-
wait

result=$(sed -n 2p "$scratch/status" 2>/dev/null || true)
if [ -n "$result" ]; then
	exit "$result"
elif [ "$status" = 124 ] || [ "$status" = 137 ]; then
	say "the guest was not done after $limit s"
	status=124
else
	say "the guest ended without a result (QEMU: $status)"
	status=125
fi
tail -q -n 30 "$scratch/qemu" "$scratch/console" >&2
exit $status
