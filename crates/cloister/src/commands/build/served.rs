//! What the image serves, function by function.

use super::BuildError;
use cloister_api::{SUPPORTED_INTERFACES, serves};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use wit_parser::{Interface, Resolve, SourceMap, TypeDefKind};

/// The functions and resources of each interface that the image serves.
pub(super) struct Served(BTreeMap<&'static str, BTreeSet<String>>);

impl Served {
    /// As the WIT says that this program was built with.
    pub(super) fn new() -> Result<Self, BuildError> {
        let mut resolve = Resolve { features: UNSTABLE.map(str::to_owned).into(), ..Resolve::default() };
        for package in PACKAGES {
            push(&mut resolve, package)
                .map_err(|reason| BuildError::Wit { path: PathBuf::from(package[0].0), reason })?;
        }
        let known: BTreeMap<String, BTreeSet<String>> = resolve
            .interfaces
            .iter()
            .filter_map(|(id, interface)| Some((resolve.id_of(id)?, items(&resolve, interface))))
            .collect();
        let interface = |name| Some((name, known.get(name)?.clone()));
        Ok(Self(SUPPORTED_INTERFACES.into_iter().filter_map(interface).collect()))
    }

    /// The interface that answers an import of `wanted`, and what it has.
    pub(super) fn find(&self, wanted: &str) -> Option<(&'static str, &BTreeSet<String>)> {
        self.0.iter().find(|(name, _)| serves(name, wanted)).map(|(name, items)| (*name, items))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// What an interface has to have: its functions, and the resources that are its own.
pub(super) fn items(resolve: &Resolve, interface: &Interface) -> BTreeSet<String> {
    let types =
        interface.types.iter().filter(|(_, id)| matches!(resolve.types[**id].kind, TypeDefKind::Resource));
    interface.functions.keys().chain(types.map(|(name, _)| name)).cloned().collect()
}

fn push(resolve: &mut Resolve, package: Package) -> Result<(), String> {
    let mut files = SourceMap::default();
    for (path, text) in package {
        files.push_str(path, *text);
    }
    let parsed = files.parse().map_err(|(_, error)| error.to_string())?;
    resolve.push_group(parsed).map(drop).map_err(|error| error.to_string())
}

/// The files of one package: path, and WIT text.
pub(super) type Package = &'static [(&'static str, &'static str)];

/// The package of this project.
pub(in crate::commands) const ENCLAVE_OS: Package = &[
    ("world.wit", include_str!("../../../../../wit/world.wit")),
    ("crypto.wit", include_str!("../../../../../wit/crypto.wit")),
    ("keystore.wit", include_str!("../../../../../wit/keystore.wit")),
    ("https.wit", include_str!("../../../../../wit/https.wit")),
    ("auth.wit", include_str!("../../../../../wit/auth.wit")),
    ("attestation.wit", include_str!("../../../../../wit/attestation.wit")),
    ("sealing.wit", include_str!("../../../../../wit/sealing.wit")),
];

/// Each package after those that it uses.
const PACKAGES: &[Package] = &[
    &[("io.wit", include_str!("../../../../wasi/wit/deps/io.wit"))],
    &[("clocks.wit", include_str!("../../../../wasi/wit/deps/clocks.wit"))],
    &[("random.wit", include_str!("../../../../wasi/wit/deps/random.wit"))],
    &[("filesystem.wit", include_str!("../../../../wasi/wit/deps/filesystem.wit"))],
    &[("sockets.wit", include_str!("../../../../wasi/wit/deps/sockets.wit"))],
    &[("cli.wit", include_str!("../../../../wasi/wit/deps/cli.wit"))],
    &[("http.wit", include_str!("../../../../wasi-http/wit/deps/http.wit"))],
    &[("keyvalue.wit", include_str!("../../../../wasi/wit/deps/keyvalue.wit"))],
    &[("config.wit", include_str!("../../../../wasi/wit/deps/config.wit"))],
    &[("logging.wit", include_str!("../../../../wasi/wit/deps/logging.wit"))],
    &[("logging-unversioned.wit", include_str!("../../../../wasi/wit/deps/logging-unversioned.wit"))],
    ENCLAVE_OS,
];

/// What the WIT texts call unstable, and is served all the same.
const UNSTABLE: [&str; 1] = ["network-error-code"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_that_the_image_serves_has_wit() {
        let served = Served::new().unwrap();
        assert!(served.names().eq(SUPPORTED_INTERFACES));
        let (name, items) = served.find("wasi:io/streams@0.2.0").unwrap();
        assert_eq!(name, "wasi:io/streams@0.2.12");
        assert!(
            items.contains("output-stream") && items.contains("[method]output-stream.flush"),
            "{items:?}"
        );
        assert!(served.find("privasys:enclave-os/crypto@0.1.0").unwrap().1.contains("digest"));
        assert!(served.find("wasi:io/streams@0.3.0").is_none());
    }
}
