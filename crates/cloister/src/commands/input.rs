//! What `call` sends, made from its arguments.

use crate::failure::{Failure, FileAction};
use crate::quantity::Size;
use cloister_api::MAX_CALL_BODY;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Arguments of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Input {
    /// One WAVE text for each parameter.
    Wave(Vec<String>),
    /// An object by parameter name or an array by position.
    Json(serde_json::Value),
}

impl Input {
    /// From the command line: `json` where it was given, `wave` otherwise.
    pub(crate) fn read(wave: &[String], json: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = json else {
            return Ok(Self::Wave(wave.to_vec()));
        };
        match text.strip_prefix('@') {
            _ if text == "-" => parse(&bounded(io::stdin().lock(), Path::new("-"))?, "standard input"),
            Some(file) => {
                let path = Path::new(file);
                let file = File::open(path).map_err(|source| unreadable(path, source))?;
                parse(&bounded(file, path)?, &path.display().to_string())
            }
            None => parse(text.as_bytes(), "--json"),
        }
    }
}

fn parse(text: &[u8], from: &str) -> Result<Input, Failure> {
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|error| Failure::Usage {
        what: format!("{from} is not JSON: {error}"),
        help: Some(
            "write an object by parameter name or an array by position: '{\"name\": \"World\"}'".to_owned(),
        ),
    })?;
    match value {
        serde_json::Value::Object(_) | serde_json::Value::Array(_) => Ok(Input::Json(value)),
        other => Err(Failure::Usage {
            what: format!("{from} is neither an object nor an array"),
            help: Some(format!("for a function of one parameter write [{other}]")),
        }),
    }
}

fn bounded(source: impl Read, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    source
        .take(MAX_CALL_BODY as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|source| unreadable(path, source))?;
    if text.len() > MAX_CALL_BODY {
        return Err(Failure::usage(format!(
            "the arguments in {} are longer than {}, the most that a call may send",
            path.display(),
            Size(MAX_CALL_BODY as u64)
        )));
    }
    Ok(text)
}

fn unreadable(path: &Path, source: io::Error) -> Failure {
    Failure::File { action: FileAction::Read, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wave_is_passed_on_as_it_is() {
        let wave = ["\"a\"".to_owned(), "1".to_owned()];
        assert_eq!(Input::read(&wave, None).unwrap(), Input::Wave(wave.to_vec()));
    }

    #[test]
    fn json_comes_from_the_argument_or_a_file() {
        assert_eq!(Input::read(&[], Some("{\"a\": 1}")).unwrap(), Input::Json(json!({"a": 1})));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "[1, \"x\"]").unwrap();
        let at = format!("@{}", path.display());
        assert_eq!(Input::read(&[], Some(&at)).unwrap(), Input::Json(json!([1, "x"])));
        assert!(Input::read(&[], Some("@/nonexistent")).unwrap_err().to_string().contains("/nonexistent"));
    }

    #[test]
    fn what_is_not_an_object_or_array_is_refused_here() {
        for (text, part) in
            [("{", "is not JSON"), ("5", "neither an object nor an array"), ("", "is not JSON")]
        {
            let failure = Input::read(&[], Some(text)).unwrap_err();
            assert!(failure.to_string().contains(part), "{text:?}: {failure}");
        }
    }

    #[test]
    fn too_much_is_refused_before_it_is_sent() {
        let failure = bounded(io::repeat(b' '), Path::new("x")).unwrap_err();
        assert!(failure.to_string().contains("16 MiB"), "{failure}");
    }
}
