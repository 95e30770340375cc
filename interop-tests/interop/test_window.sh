#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Where there is a display, a demo shows its picture in a window: on the screen of a headless compositor, in its
# colours. Where the display does not answer, it says so and ends well.
# Wrong code: a window upside down, or blended by the picture's alpha; a demo that waits for nobody.
# usage: test_window.sh PATH-OF-A-DEMO PATH-OF-SCREEN-SHOWS
set -u
demo=$1 shows=$2
unset DISPLAY WAYLAND_SOCKET
dir=$(mktemp -d)
export XDG_RUNTIME_DIR=$dir WAYLAND_DISPLAY=stile
compositor='' window=''

end() {
	[ -z "$window" ] || kill "$window"
	[ -z "$compositor" ] || kill "$compositor"
	wait
	rm -rf "$dir"
} 2>/dev/null
trap end EXIT

fail() {
	printf 'FAILED: %s\n' "$*"
	cat "$dir/out" "$dir/weston" 2>/dev/null
	exit 1
}

# soon COMMAND...: it comes true within a minute.
soon() {
	local end=$((SECONDS + 60))
	until "$@" >"$dir/soon" 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.2
	done
}

# The screenshot is named for the time it was taken at.
is_on_screen() {
	rm -f "$dir"/screen/*
	(cd "$dir/screen" && timeout 10 weston-screenshooter) && "$shows" "$dir"/screen/*.png "$picture"
}

mkdir "$dir/screen" "$dir/seen"
timeout 60 "$demo" --output "$dir/seen" >"$dir/out" 2>&1 || fail "status $? without a display"
! grep '^no window: X11' "$dir/out" || exit 77
grep -q '^no window: ' "$dir/out" || fail "it does not say that there is no display"

weston --backend=headless-backend.so --use-pixman --width=800 --height=600 --idle-time=0 --no-config --debug \
	--socket="$WAYLAND_DISPLAY" >"$dir/weston" 2>&1 &
compositor=$!
soon test -S "$dir/$WAYLAND_DISPLAY" || fail "weston has no socket"
rm -f "$dir"/seen/*
"$demo" --output "$dir/seen" >"$dir/out" 2>&1 &
window=$!
soon grep '^In a window' "$dir/out" || fail "no window"
picture=$(echo "$dir"/seen/*.png)
soon is_on_screen || fail "the picture is not on the screen"
kill -0 "$window" || fail "the window did not stay"
echo "on the screen: ${picture##*/}"
