//! What components may import, and how large they may be: what the image serves, for programs that do not link it.

/// The interfaces that the image serves, with the newest version of each, sorted. `crates/runtime/tests/interfaces.rs` holds
/// it to what the image links.
pub const SUPPORTED_INTERFACES: [&str; 41] = [
    "privasys:enclave-os/attestation@0.1.0",
    "privasys:enclave-os/auth@0.1.0",
    "privasys:enclave-os/crypto@0.1.0",
    "privasys:enclave-os/https@0.1.0",
    "privasys:enclave-os/keystore@0.1.0",
    "privasys:enclave-os/sealing@0.1.0",
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:logging/logging",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/random@0.2.12",
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
];

/// Bytes of a `.wasm` that the image takes.
pub const MAX_COMPONENT: usize = 32 << 20;

/// Whether the interface `served` answers an import of `wanted`: the same name, and the same major version, or with major version 0
/// the same minor one, since WIT interfaces follow Semantic Versioning. Pre-releases answer themselves alone.
pub fn serves(served: &str, wanted: &str) -> bool {
    let ((name, version), (wanted_name, wanted_version)) = (split(served), split(wanted));
    name == wanted_name
        && (version == wanted_version
            || matches!((compatible(version), compatible(wanted_version)), (Some(a), Some(b)) if a == b))
}

fn split(interface: &str) -> (&str, Option<&str>) {
    interface.split_once('@').map_or((interface, None), |(name, version)| (name, Some(version)))
}

/// The part of a version that compatible ones share: major, or `0.minor`.
fn compatible(version: Option<&str>) -> Option<(u64, u64)> {
    let version = version?;
    let release = version.split_once('+').map_or(version, |(release, _)| release);
    let mut parts = release.splitn(3, '.').map(|part| part.parse::<u64>().ok());
    match (parts.next()??, parts.next()??, parts.next()??) {
        (0, 0, _) => None,
        (0, minor, _) => Some((0, minor)),
        (major, ..) => Some((major, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interfaces_are_sorted_and_each_is_there_once() {
        assert!(SUPPORTED_INTERFACES.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn compatible_versions_are_served_and_others_are_not() {
        for (served, wanted, expected) in [
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdout@0.2.0", true),
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdout@0.2.99", true),
            ("acme:kv/store@1.4.0", "acme:kv/store@1.0.0", true),
            ("acme:kv/store@1.4.0", "acme:kv/store@2.0.0", false),
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdin@0.2.12", false),
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdout@0.3.0", false),
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdout@0.2.0-rc-2023-11-10", false),
            ("wasi:cli/stdout@0.2.12", "wasi:cli/stdout", false),
            ("wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0-rc.1", true),
            ("wasi:config/store@0.2.0-rc.1", "wasi:config/store@0.2.0", false),
            ("wasi:logging/logging", "wasi:logging/logging", true),
        ] {
            assert_eq!(serves(served, wanted), expected, "{served} {wanted}");
        }
    }
}
