#!/usr/bin/env bash
# Builds SQLite and its speedtest1 into the component $1, from packages only. README.md says how to run it.
# ZIG: Zig's program, if not the one that `cargo xtask setup` installed. BUILD: the folder for everything in between.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
output=$(realpath --canonicalize-missing "${1:-$root/target/guests/sqlite.wasm}")
build=$(realpath --canonicalize-missing "${BUILD:-$root/target/guests/sqlite}")
zig=${ZIG:-$(find "$root/target/tools/venv/lib" -path '*/ziglang/zig' -type f)}
mkdir --parents "$build" "$(dirname "$output")"

# The amalgamation, as crates.io has it.
mkdir --parents "$build/fetch/src"
touch "$build/fetch/src/lib.rs"
cat >"$build/fetch/Cargo.toml" <<TOML
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"
[dependencies]
libsqlite3-sys = "=0.35.0"
[workspace]
TOML
cargo fetch --quiet --manifest-path "$build/fetch/Cargo.toml"
manifest=$(cargo metadata --quiet --format-version 1 --offline --manifest-path "$build/fetch/Cargo.toml" |
    grep --only-matching '"manifest_path":"[^"]*libsqlite3-sys-0.35.0/Cargo.toml"' | cut --delimiter='"' --fields=4)
sqlite=$(dirname "$manifest")/sqlite3

# speedtest1.c, as Debian's source package has it. APT verifies Debian's signature; the system's own lists stay as they are.
if [ ! -e "$build/speedtest1.c" ]; then
    apt=$build/apt
    mkdir --parents "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main" \
        >"$apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$apt/lists"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" --quiet update
    (cd "$apt" && apt-get "${options[@]}" --quiet source --download-only sqlite3)
    tar --extract --to-stdout --file "$apt"/sqlite3_*.orig.tar.xz --wildcards '*/test/speedtest1.c' >"$build/speedtest1.c"
fi

componentize=(cargo run --quiet --manifest-path "$root/Cargo.toml" --package xtask --features componentize-c
    --bin componentize-c --)
"${componentize[@]}" bindings "$here/wit" "$build/bindings"
"$zig" cc --target=wasm32-wasi -mexec-model=reactor -O2 -s \
    -I "$build" -I "$build/bindings" -I "$sqlite" \
    -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_TEMP_STORE=2 -DSQLITE_DEFAULT_MEMSTATUS=0 \
    -D_WASI_EMULATED_GETPID -lwasi-emulated-getpid \
    "$here/speedtest_guest.c" "$build/bindings/speedtest.c" "$build/bindings/speedtest_component_type.o" \
    "$sqlite/sqlite3.c" -o "$build/module.wasm"
"${componentize[@]}" component "$build/module.wasm" "$output"
