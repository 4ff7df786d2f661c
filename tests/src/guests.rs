use bytes::Bytes;
use cloister_api::{AppName, CallerPolicy, DeploySettings};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A component of `tests/guests`, from its WebAssembly text.
///
/// # Panics
/// Where there is no such guest.
pub fn guest(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests").join(name).with_extension("wat");
    wat::parse_file(path).expect("the guest is a component").into()
}

/// A built component of `examples`.
///
/// # Panics
/// Where it was not built.
pub fn example(name: &str) -> Bytes {
    let path = crate::given("CLOISTER_EXAMPLES").join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// A built component of the folders `platform`, `platform-c`, `platform-bench` and `facts` of `tests/guests`.
///
/// # Panics
/// Where it was not built.
pub fn platform_guest(name: &str) -> Bytes {
    let path = crate::given("CLOISTER_PLATFORM_GUESTS").join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// The settings of an app that answers everybody, with everything else as it is where nothing is said.
pub fn for_everybody() -> DeploySettings {
    DeploySettings { callers: CallerPolicy::public(), ..DeploySettings::default() }
}

/// SHA-256.
pub fn code_hash(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

/// A valid app name.
///
/// # Panics
/// Where it is none.
pub fn name(text: &str) -> AppName {
    text.parse().expect("the name is valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Validator, WasmFeatures};

    #[test]
    fn guests_are_valid_components() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("guests");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let texts = files.filter(|path| path.extension().is_some_and(|extension| extension == "wat"));
        for path in texts {
            let wasm = guest(path.file_stem().unwrap().to_str().unwrap());
            let valid = Validator::new_with_features(WasmFeatures::all()).validate_all(&wasm);
            valid.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
