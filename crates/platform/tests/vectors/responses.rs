//! Files of responses as NIST's validation programs write them: `NAME = VALUE`, under parameters in brackets, blank lines
//! between vectors.

use std::collections::HashMap;
use std::path::PathBuf;

/// One vector: its values, and the parameters above it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    /// `P-256,SHA-256`, or `NAME = VALUE`.
    parameters: Vec<String>,
    values: HashMap<String, String>,
}

impl Response {
    pub(crate) fn has_parameter(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|known| known == parameter)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let value = self.value(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        hex::decode(value).unwrap()
    }

    pub(crate) fn number(&self, name: &str) -> usize {
        self.value(name).unwrap().parse().unwrap()
    }
}

/// The responses of a file of the package, by its path there.
pub(crate) fn read(path: &str) -> Vec<Response> {
    let folder = std::env::var_os("CLOISTER_VECTORS").map(PathBuf::from);
    let folder = folder.expect("CLOISTER_VECTORS is not set: run the tests by `cargo xtask test`");
    let text = std::fs::read_to_string(folder.join(path)).unwrap();
    let mut responses = Vec::new();
    let mut parameters = Vec::new();
    let mut values: HashMap<String, String> = HashMap::new();
    let mut were_parameters = false;
    for line in text.lines().chain([""]) {
        let line = line.trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(parameter) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            if !were_parameters {
                parameters.clear();
            }
            parameters.push(parameter.to_owned());
            were_parameters = true;
        } else if !line.is_empty() {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            values.insert(name.trim().to_owned(), value.trim().to_owned());
            were_parameters = false;
        } else if !values.is_empty() {
            responses.push(Response { parameters: parameters.clone(), values: std::mem::take(&mut values) });
        }
    }
    responses
}
