#!/bin/bash
# What one job costs besides compiling: a stand-in for a compiler that costs nothing, sent through
# our client and server and, side by side in the same run, through an installed original.
# JOBS= (600) and PARALLEL= (8) may be set; DISTCC= and DISTCCD= name ours.
set -euo pipefail

jobs=${JOBS:-600} parallel=${PARALLEL:-8}
root=$(cd "$(dirname "$0")/.." && pwd)
target=$(cd "$root" && cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
ours=${DISTCC:-$target/release/distcc} our_daemon=${DISTCCD:-$target/release/distccd}

work=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
chmod 755 "$work"
daemon=
cleanup() {
    trap '' INT TERM
    [ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; } 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Called gcc, it preprocesses to one line and compiles to an object made before. What it is asked of itself the
# real one answers, so that jobs take the way that gcc's take.
real=$(command -v gcc)
mkdir -p "$work/bin"
cat >"$work/gcc.c" <<'C'
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    const char *output = 0;
    int preprocess = 0;
    for (int i = 1; i < argc; i++) {
        preprocess |= !strcmp(argv[i], "-E");
        if (!strcmp(argv[i], "-v") || !strncmp(argv[i], "-dump", 5) || !strncmp(argv[i], "-print", 6) || !strcmp(argv[i], "--version"))
            return argv[0] = REAL, execv(REAL, argv);
        if (!strcmp(argv[i], "-o") && i + 1 < argc)
            output = argv[++i];
    }
    if (preprocess)
        return write(1, "int nothing;\n", 13) != 13;
    if (!output)
        return 1;
    char object[8192]; /* of the real one, for its mark is looked for */
    ssize_t length = read(open(OBJECT, O_RDONLY), object, sizeof object);
    return write(open(output, O_CREAT | O_TRUNC | O_WRONLY, 0666), object, length) != length;
}
C
echo 'int nothing;' >"$work/x.c"
"$real" -c "$work/x.c" -o "$work/object"
"$real" -O2 -DOBJECT="\"$work/object\"" -DREAL="\"$real\"" -o "$work/bin/gcc" "$work/gcc.c"
export PATH="$work/bin:$PATH"
# The original would look for a name with the target in it, and find the real one.
export DISTCC_NO_REWRITE_CROSS=1

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 5<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# CPU time in clock ticks of a process and of the children that it has waited for.
ticks() {
    local stat
    stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    # shellcheck disable=SC2086 # fields
    set -- $stat
    echo $((${12} + ${13} + ${14} + ${15}))
}

# The daemon and all that lives below it; the original forks its servers beforehand.
tree_ticks() {
    local pid sum=0
    for pid in "$1" $(pgrep -P "$1" || true); do
        sum=$((sum + $(ticks "$pid" || echo 0)))
    done
    echo "$sum"
}

# The agent that the first job has started; it is nobody's child.
agent() {
    local pid
    for pid in $(pgrep -x distccd || true); do
        grep -qz -- '^--agent$' "/proc/$pid/cmdline" && grep -qzFx "DISTCC_DIR=$DISTCC_DIR" "/proc/$pid/environ" && echo "$pid"
    done 2>/dev/null || true
}

run_all() { # command...
    seq "$jobs" | xargs -P "$parallel" -I{} "$@" -c x.c -o out/{}.o
}

# Prints one row: wall time, CPU of the clients' side, CPU of the server, a job.
measure() { # name, daemon command..., --, client command...
    local name=$1 port server=() tries before after line agent asked
    shift
    while [ "$1" != -- ]; do server+=("$1") && shift; done
    shift
    rm -rf "$work/out" "$work/state" && mkdir -m 1777 "$work/out" "$work/state"
    cd "$work"
    daemon=
    if [ ${#server[@]} -gt 0 ]; then
        port=$(free_port)
        STATE_DIRECTORY=$work/state TMPDIR=/tmp "${server[@]}" --no-detach --jobs "$parallel" \
            --allow 127.0.0.1 --listen 127.0.0.1 --port "$port" >"$work/server.log" 2>&1 &
        daemon=$!
        for tries in {1..100}; do
            (exec 5<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
            sleep 0.1
        done
        export DISTCC_HOSTS=127.0.0.1:$port/$parallel DISTCC_FALLBACK=0
    fi
    # One job first: the agent starts, and asks the server once what it is.
    "$@" -c x.c -o out/first.o || { cat "$work/server.log"; return 1; }
    agent=$(agent)
    asked=$([ -z "$agent" ] || ticks "$agent")
    before=$([ -z "$daemon" ] || tree_ticks "$daemon")
    TIMEFORMAT='%R %U %S'
    line=$({ time run_all "$@" >&3 2>&4; } 3>&1 4>&2 2>&1)
    after=$([ -z "$daemon" ] || tree_ticks "$daemon")
    asked=$(($([ -z "$agent" ] || ticks "$agent") - ${asked:-0}))
    [ "$(find out -name '*.o' | wc -l)" -eq $((jobs + 1)) ] || { echo "$name: objects are missing"; return 1; }
    awk -v name="$name" -v jobs="$jobs" -v server=$((${after:-0} - ${before:-0})) -v asked="$asked" -v hertz="$(getconf CLK_TCK)" \
        '{ f = 1000 / jobs; printf "%-20s %8.2f %12.2f %12.2f %12.2f\n", name, $1 * f, ($2 + $3) * f, asked / hertz * f, server / hertz * f }' \
        <<<"$line"
    if [ -n "$daemon" ]; then
        kill "$daemon"
        wait "$daemon" || true
        daemon=
    fi
}

echo "$jobs jobs, $parallel at once, on $(nproc) cores; milliseconds a job"
printf '%-20s %8s %12s %12s %12s\n' '' wall 'client CPU' 'agent CPU' 'server CPU'
export DISTCC_DIR=$work/distcc HOME=$work
measure "the stand-in alone" -- gcc
measure ours "$our_daemon" -- "$ours" gcc
original=$(PATH=/usr/local/bin:/usr/bin command -v distcc || true)
if [ -n "$original" ] && [ -x "${original}d" ] && "$original" --version | grep -q '^distcc 3'; then
    export DISTCC_DIR=$work/distcc-original
    mkdir -p "$DISTCC_DIR"
    measure "distcc $("$original" --version | sed -n 's/^distcc \([0-9.]*\).*/\1/p')" "${original}d" --daemon --enable-tcp-insecure --log-file "$work/original.log" -- "$original" gcc
else
    echo "SKIPPED: the original's distcc and distccd are not installed"
fi
