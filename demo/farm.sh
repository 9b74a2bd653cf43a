#!/bin/bash
# A compile farm on this one machine, from nothing to a program that runs. `make demo` calls it.
#
# Four hosts, each in namespaces of its own (network, mount, host name, processes) on one bridge:
#   attic, cellar   serve the machine's own compiler
#   museum          serves a truly different one, under the same names
#   desk            builds demo/ through whatever it finds
# As root or, by a user namespace, as anybody. Where no namespaces can be had: two daemons on two
# loopback ports, and a list of hosts. All of it is gone afterwards, also after ^C.
#
# FARM_MODE=root|user|ports chooses instead of trying. DISTCC= and DISTCCD= name other programs.
set -euo pipefail

demo=$(cd "$(dirname "$0")" && pwd)
net=10.77.0
jobs=8

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- outside, before there is a farm

find_programs() {
    if [ -z "${DISTCC:-}" ] || [ -z "${DISTCCD:-}" ]; then
        say "Building distcc and distccd"
        (cd "$demo/.." && cargo build --release --quiet)
        local target
        target=$(cd "$demo/.." && cargo metadata --format-version 1 --no-deps |
            sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
        DISTCC=$target/release/distcc DISTCCD=$target/release/distccd
    fi
    # The daemon gives up root, and may not be able to read the folder it was built in.
    mkdir -p "$work/bin"
    cp "$DISTCC" "$work/bin/distcc"
    cp "$DISTCCD" "$work/bin/distccd"
}

version_of() { "$1" -dumpfullversion -dumpversion 2>/dev/null || true; }

# Prints the first pair "C-compiler C++-compiler" here that is not of the machine's own version.
other_compiler() {
    local own name cc cxx
    own=$(version_of gcc)
    for name in $(compgen -c | grep -E '^(gcc|clang)(-[0-9]+)?$' | sort -ru); do
        cc=$(command -v "$name") || continue
        cxx=$(command -v "$(sed 's/^gcc/g++/; s/^clang/clang++/' <<<"$name")") || continue
        if [ -n "$(version_of "$cc")" ] && [ "$(version_of "$cc")" != "$own" ]; then
            echo "$cc $cxx"
            return
        fi
    done
}

install_other_compiler() {
    local own package
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    own=$(version_of gcc)
    for attempt in 1 2; do
        [ "$attempt" = 2 ] && apt-get -qq update >/dev/null 2>&1
        package=$(apt-cache search --names-only '^g\+\+-[0-9]+$' 2>/dev/null | cut -d' ' -f1 |
            grep -vx "g++-${own%%.*}" | sort -rV | head -1) || continue
        [ -n "$package" ] || continue
        echo "installing $package, to have a compiler that differs"
        DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "$package" >/dev/null 2>&1 && return
    done
    return 0
}

# The last resort: the machine's own compiler, which claims another version. It is said so.
pretend_compiler() {
    local name own
    own=$(version_of gcc)
    echo "no other compiler can be had: museum's is the machine's own, which only claims to be gcc 4.4.7"
    for name in gcc g++; do
        cat >"$work/museum/bin/$name" <<PRETEND
#!/bin/bash
# The machine's own compiler, which claims to be another.
exec 3>&2
"$(command -v "$name")" "\$@" 2> >(sed 's/${own//./\\.}/4.4.7/g' >&3) | sed 's/${own//./\\.}/4.4.7/g'
exit "\${PIPESTATUS[0]}"
PRETEND
        chmod +x "$work/museum/bin/$name"
    done
    other=4.4.7
}

# museum's PATH is a folder of links: the other compiler, and what a compiler needs beside it.
furnish_museum() {
    local pair bin=$work/museum/bin name
    mkdir -p "$bin"
    pair=$(other_compiler)
    if [ -z "$pair" ]; then
        install_other_compiler
        hash -r
        pair=$(other_compiler)
    fi
    if [ -n "$pair" ]; then
        ln -s "${pair% *}" "$bin/gcc"
        ln -s "${pair#* }" "$bin/g++"
        other=$(version_of "${pair% *}")
    else
        pretend_compiler
    fi
    ln -s gcc "$bin/cc"
    ln -s g++ "$bin/c++"
    for name in as ld sh bash sed; do
        ln -s "$(command -v "$name")" "$bin/$name"
    done
}

# True if the hosts can be made; they are namespaces within namespaces.
can_unshare() {
    command -v ip >/dev/null && unshare "$@" -- sh -c '
        ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2 &&
        mount -t tmpfs tmpfs /run && unshare -nmuipf --mount-proc -- mount -t tmpfs tmpfs /tmp
        ' >/dev/null 2>&1
}

choose_mode() {
    own_space=(-nmpf --mount-proc --propagation private)
    mode=${FARM_MODE:-}
    [ -n "$mode" ] && return
    if [ "$(id -u)" = 0 ] && can_unshare "${own_space[@]}"; then
        mode=root
    elif can_unshare -Ur "${own_space[@]}"; then
        mode=user
    else
        mode=ports
    fi
}

cleanup() {
    trap '' INT TERM HUP
    set +e
    local pid
    for pid in "${started[@]}"; do
        # A daemon without a namespace ends its compilers itself, at once when told twice.
        [ "$mode" != ports ] || { kill "$pid" && sleep 0.3 && kill "$pid" && sleep 0.3; }
        kill -KILL "$pid"
        wait "$pid"
    done 2>/dev/null
    # What runs in the farm may for a moment still write.
    rm -rf "$work" 2>/dev/null || { sleep 1 && rm -rf "$work"; }
}

outside() {
    local status=0
    started=() mode=
    work=$(mktemp -d "${TMPDIR:-/tmp}/farm-XXXXXX")
    chmod 755 "$work"
    trap cleanup EXIT
    trap 'echo; echo "demo: interrupted, tidying up" >&2; exit 130' INT
    trap 'exit 143' TERM HUP
    local host
    for host in desk attic cellar museum; do
        mkdir -p "$work/$host"/{tmp,log,state,distcc,home,bin}
        chmod 1777 "$work/$host"/{tmp,log,state}
    done
    find_programs
    furnish_museum
    cp -r "$demo/Makefile" "$demo/include" "$demo/src" "$work/desk/home"
    choose_mode
    export work mode other
    if [ "$mode" = ports ]; then
        loopback_farm
        return
    fi
    [ "$mode" = root ] || own_space=(-Ur "${own_space[@]}")
    # In the background, for a shell that waits for a program in front runs its traps late.
    setpriv --pdeathsig KILL -- unshare "${own_space[@]}" --kill-child=KILL -- \
        "$BASH" "$demo/farm.sh" --inside &
    started+=($!)
    wait $! || status=$?
    return "$status"
}

# ------------------------------------------------------------- inside: this namespace is the switch

inside() {
    ip link set lo up
    # No snooping: without a querier the bridge would forget who listens.
    ip link add br0 type bridge mcast_snooping 0 stp_state 0 forward_delay 0
    ip link set br0 up
    mkfifo "$work/ready"
    exec 4<>"$work/ready"
    declare -gA host_pid
    local number=0 host
    for host in desk attic cellar museum; do
        number=$((number + 1))
        start_host "$host" "$number"
    done
    say "A farm of four hosts on one switch ($([ "$mode" = root ] && echo namespaces || echo "namespaces, without root"))"
    local network=$net.0/24
    for host in attic cellar museum; do
        printf '%s$ distccd --zeroconf --allow %s\n' "$host" "$network"
        daemon_on "$host" distccd --zeroconf --allow "$network"
    done
    await_nodes
    build on desk env DISTCC_HOSTS=+zeroconf
}

start_host() { # name number
    unshare -nmuipf --kill-child=KILL --propagation private -- \
        "$BASH" "$demo/farm.sh" --host "$1" </dev/null &
    local pid
    read -r pid <&4
    [ "$pid" != failed ] || fail "cannot set up the host $1"
    host_pid[$1]=$pid
    ip link add "p$2" type veth peer name eth0 netns "/proc/$pid/ns/net"
    ip link set "p$2" master br0 up
    nsenter -t "$pid" -n -- sh -ec "
        ip link set eth0 up
        ip addr add $net.$2/24 brd + dev eth0
        ip addr add fd77::$2/64 dev eth0 nodad
        ip route add 224.0.0.0/4 dev eth0"
}

# The first process of a host. /run/farm is the work folder, for /tmp becomes the host's own.
host() { # name
    local pid rest
    # The redirection is opened by this shell, through the /proc of the namespaces outside.
    read -r pid rest </proc/self/stat
    {
        mount -t tmpfs tmpfs /run && mkdir -p /run/farm /run/lock &&
            mount --bind "$work" /run/farm &&
            mount --bind "/run/farm/$1/tmp" /tmp && mount --bind "/run/farm/$1/log" /var/log &&
            mount -t proc proc /proc && hostname "$1" && ip link set lo up &&
            hide_masquerade
    } || {
        echo failed >/run/farm/ready
        exit 1
    }
    echo "$pid" >/run/farm/ready
    # Collects orphans, which a process that only sleeps would not.
    sleep infinity &
    wait
}

# A folder of an installed distcc would narrow the list of what distccd offers.
hide_masquerade() {
    [ ! -d /usr/lib/distcc ] || mount -t tmpfs tmpfs /usr/lib/distcc
}

path_of() { [ "$1" = museum ] && echo /run/farm/bin:/run/farm/museum/bin || echo "/run/farm/bin:$PATH"; }

on() { # host command...
    local host=$1 pid=${host_pid[$1]} here=/run/farm/$1
    shift
    nsenter -t "$pid" -n -m -u -i -p -- "$(command -v env)" -C "$here/home" -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
        -u DISTCC_POLICY -u DISTCC_VERBOSE -u DISTCC_LOG -u XDG_RUNTIME_DIR -u XDG_STATE_HOME \
        PATH="$(path_of "$host")" HOME="$here/home" TMPDIR=/tmp DISTCC_DIR="$here/distcc" \
        STATE_DIRECTORY="$here/state" "$@"
}

# distccd does not serve as root; the root of a user namespace has no other user to become.
daemon_on() { # host command...
    local host=$1
    shift
    if [ "$mode" = user ]; then
        set -- "$(command -v unshare)" -U --map-user=1000 --map-group=1000 -- "$@"
    fi
    on "$host" "$@" || fail "distccd on $host ended with exit code $?"
}

# Nodes announce themselves within a second; the deadline only ends a demo that is broken.
await_nodes() {
    local tries hosts number
    for tries in {1..50}; do
        hosts=$(on desk env DISTCC_HOSTS=+zeroconf distcc --show-hosts --why 2>/dev/null || true)
        for number in 2 3 4; do
            grep -qF "$net.$number:" <<<"$hosts" || { sleep 0.1; continue 2; }
        done
        return
    done
    fail "not all of the farm's hosts were found"
}

# ------------------------------------------------------------------------------ without namespaces

loopback_farm() {
    local host port hosts=
    say "No namespaces can be had here: two daemons on two loopback ports"
    for host in attic museum; do
        port=$(free_port)
        printf '%s$ distccd --listen 127.0.0.1 --port %s --allow 127.0.0.1\n' "$host" "$port"
        exec_on_loopback "$host" distccd --no-detach --log-file "$work/$host/log/distccd.log" \
            --listen 127.0.0.1 --port "$port" --allow 127.0.0.1 >"$work/$host/log/out" 2>&1 &
        started+=($!)
        await_port "$port" $! || { cat "$work/$host/log/out" >&2; fail "distccd on $host does not answer"; }
        hosts+=" 127.0.0.1:$port"
    done
    build on_loopback desk env DISTCC_HOSTS="${hosts# }"
}

on_loopback() { (exec_on_loopback "$@"); }

# Takes the place of the shell, so that a background one's pid is the program's.
exec_on_loopback() { # host command...
    local here=$work/$1 path=$work/bin:$PATH env
    env=$(command -v env)
    [ "$1" != museum ] || path=$work/bin:$work/museum/bin
    shift
    exec "$env" -C "$here/home" -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u DISTCC_POLICY -u XDG_RUNTIME_DIR \
        -u DISTCC_VERBOSE -u DISTCC_LOG -u XDG_STATE_HOME \
        PATH="$path" HOME="$here/home" TMPDIR="$here/tmp" DISTCC_DIR="$here/distcc" \
        STATE_DIRECTORY="$here/state" "$@"
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 5<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

await_port() { # port pid
    local tries
    for tries in {1..100}; do
        (exec 5<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
    return 1
}

# ----------------------------------------------------------------------- the build, and the judging

compiled_by() { # host
    cat "$work/$1"/log/*.log "$work/$1"/state/*.log 2>/dev/null |
        grep -cE 'COMPILE_OK .*\.(c|cpp)$' || true
}

# Shows how far make is, to people only.
progress() { # units
    local line begun=0
    while read -r line; do
        case $line in *' -c '*) begun=$((begun + 1)) ;; esac
        [ ! -t 1 ] || printf '\r%d of %d begun ' "$begun" "$1"
    done
    [ ! -t 1 ] || printf '\r'
}

build() { # command prefix that runs something on desk
    local units seconds start host remote=0 count why hosts=(attic cellar museum)
    [ "$mode" != ports ] || hosts=(attic museum)
    say "What desk knows of the farm: distcc --show-hosts --why"
    why=$("$@" distcc --show-hosts --why) || fail "distcc --show-hosts --why failed"
    printf '%s\n' "$why"
    units=$("$@" make -s count)
    say "make -j$jobs CC=\"distcc gcc\" CXX=\"distcc g++\"   ($units files of C and C++)"
    start=$(date +%s%N)
    "$@" make -j$jobs CC="distcc gcc" CXX="distcc g++" 2>&1 | tee "$work/make.log" | progress "$units" || {
        tail -20 "$work/make.log" >&2
        fail "the build failed"
    }
    grep '^distcc\[' "$work/make.log" | head -5 || true
    seconds=$((($(date +%s%N) - start) / 100000000))
    printf 'built in %d.%d s; all hosts share the %d cores of this machine\n' \
        $((seconds / 10)) $((seconds % 10)) "$(nproc)"
    say "Files compiled"
    for host in "${hosts[@]}"; do
        count=$(compiled_by "$host")
        printf '%8d  on %s\n' "$count" "$host"
        remote=$((remote + count))
    done
    printf '%8d  on desk itself\n' $((units > remote ? units - remote : 0))
    say "The program"
    "$@" build/cabinet || fail "the program does not run"
    judge "$why"
}

# The demo promises something, so it must be able to fail.
judge() { # output of --show-hosts --why
    local host
    for host in attic cellar; do
        [ "$mode" = ports ] && [ "$host" = cellar ] && continue
        [ "$(compiled_by "$host")" -gt 0 ] || fail "$host has compiled nothing"
    done
    [ "$(compiled_by museum)" -eq 0 ] || fail "museum has compiled something, with another compiler"
    grep -qF "$other" <<<"$1" || fail "nobody is told that museum has version $other"
    say "All as promised: museum (compiler $other, not $(version_of gcc)) was left out, the others compiled"
}

case ${1:-} in
--inside) inside ;;
--host) host "$2" ;;
'') outside ;;
*)
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
