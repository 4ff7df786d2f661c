//! `new`: writes a project that builds, in one of five languages.

mod templates;

use super::build::{ENCLAVE_OS, Project, write_bindings};
use crate::arguments::{Language, NewArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Printer, printable};
use cloister_api::AppName;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes the project, and says what to do with it.
pub(crate) fn new(arguments: &NewArguments, printer: &Printer) -> Result<(), Failure> {
    let name = app_name(&arguments.name)?;
    let directory = arguments.path.clone().unwrap_or_else(|| PathBuf::from(name.as_str()));
    make_empty(&directory)?;
    let mut written = Vec::new();
    for (path, content) in files(arguments.lang, &name) {
        write_new(&directory, &path, &content)?;
        written.push(path);
    }
    // Editors find what the source refers to before the first build.
    write_bindings(&Project::load(&directory)?)?;
    let shown = directory.display().to_string();
    let result = json!({ "name": name, "language": arguments.lang, "path": shown, "files": written });
    printer.result(&result, || {
        if printer.quiet {
            format!("{}\n", printable(&shown))
        } else {
            next(&name, arguments.lang, &shown, &written)
        }
    })
}

/// What was made, and the commands that come next.
fn next(name: &AppName, language: Language, directory: &str, files: &[String]) -> String {
    let directory = printable(directory);
    let mut text = format!("made {directory}, an app in {language}\n");
    for file in files.iter().filter(|file| !file.starts_with(DEPENDENCY)) {
        let _ = writeln!(text, "  {file}");
    }
    let _ = writeln!(text, "  {DEPENDENCY}: what the enclave offers");
    let install = match language {
        Language::JavaScript => "npm install && ",
        Language::Python => "pip install -r requirements.txt && ",
        _ => "",
    };
    let fuel = templates::deploy_options(language);
    let _ = write!(
        text,
        "next:\n  cd {directory}\n  {install}cloister build --test\n  cloister deploy build/{name}.wasm --public{fuel}\n  cloister call {name} \
         stamp-document '\"Hello\"'\n"
    );
    text
}

/// The name of an app that all languages take as a name too.
fn app_name(text: &str) -> Result<AppName, Failure> {
    let invalid = |why: String| Failure::Usage {
        what: format!("'{text}' cannot be the name of an app: {why}"),
        help: suggestion(text),
    };
    let name: AppName =
        text.parse().map_err(|error: cloister_api::InvalidAppName| invalid(error.to_string()))?;
    if !text.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Err(invalid("it begins with a letter, as names of packages do".to_owned()));
    }
    Ok(name)
}

/// A name that would do.
fn suggestion(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let words =
        lower.split(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    name.truncate(MAX_NAME);
    let name = name.trim_matches(|c: char| c == '-').trim_start_matches(|c: char| !c.is_ascii_lowercase());
    (!name.is_empty()).then(|| format!("'{name}' would do"))
}

/// All files of a project: paths relative to it, and their content.
fn files(language: Language, name: &AppName) -> impl Iterator<Item = (String, String)> {
    let own = templates::files(language).map(|(path, text)| (path.to_owned(), text));
    let dependency =
        ENCLAVE_OS.iter().map(|(path, text)| (format!("{DEPENDENCY}/{path}"), (*text).to_owned()));
    let name = name.clone();
    own.map(move |(path, text)| (path, text.replace(templates::NAME, name.as_str()))).chain(dependency)
}

/// Makes the folder where there is none; one that has something in it is not touched.
fn make_empty(directory: &Path) -> Result<(), Failure> {
    let create = |source| Failure::File { action: FileAction::Create, path: directory.to_owned(), source };
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(taken(directory, "exists and is not empty")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(directory).map_err(create)
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(taken(directory, "is a file")),
        Err(source) => Err(create(source)),
    }
}

fn taken(directory: &Path, what: &str) -> Failure {
    Failure::Usage {
        what: format!("{} {what}, and nothing is overwritten", directory.display()),
        help: Some("name another folder with --path".to_owned()),
    }
}

fn write_new(directory: &Path, path: &str, content: &str) -> Result<(), Failure> {
    let path = directory.join(path);
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = folder.and_then(|()| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        file.write_all(content.as_bytes())
    });
    written.map_err(|source| Failure::File { action: FileAction::Create, path: path.clone(), source })
}

/// Where a project keeps the WIT of `privasys:enclave-os`.
const DEPENDENCY: &str = "wit/deps/enclave-os";

/// Letters of an app's name.
const MAX_NAME: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn names_that_some_language_would_refuse_are_refused() {
        for good in ["notary", "a", "my-app-2"] {
            assert_eq!(app_name(good).unwrap().as_str(), good);
        }
        for (bad, suggested) in [
            ("", None),
            ("2fast", Some("fast")),
            ("My App", Some("my-app")),
            ("-notary", Some("notary")),
            ("../notary", Some("notary")),
            ("äöü", None),
            (&"x".repeat(64), Some(&"x".repeat(63) as &str)),
        ] {
            let Err(Failure::Usage { what, help }) = app_name(bad) else { panic!("{bad} is no name") };
            assert!(what.contains("cannot be the name"), "{what}");
            assert_eq!(help, suggested.map(|name| format!("'{name}' would do")));
        }
    }

    #[test]
    fn every_language_has_a_whole_project() {
        let name: AppName = "lighthouse".parse().unwrap();
        for language in Language::value_variants() {
            let files: Vec<(String, String)> = files(*language, &name).collect();
            for path in [
                "README.md",
                ".gitignore",
                "cloister.toml",
                "wit/service.wit",
                "wit/deps/enclave-os/crypto.wit",
            ] {
                assert!(files.iter().any(|(file, _)| file == path), "{language} has no {path}");
            }
            for (path, text) in &files {
                assert!(!text.contains(templates::NAME), "{language}: {path} is not filled in");
            }
        }
    }

    #[test]
    fn projects_are_understood_by_build() {
        for language in Language::value_variants() {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files(*language, &"lighthouse".parse().unwrap()) {
                write_new(folder.path(), &path, &text).unwrap();
            }
            let project = Project::load(folder.path()).unwrap();
            assert_eq!((project.name().as_str(), project.language()), ("lighthouse", *language));
            write_bindings(&project).unwrap();
            assert!(!project.tests().is_empty() && project.output().ends_with("build/lighthouse.wasm"));
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("new");
        make_empty(&inside).unwrap();
        make_empty(&inside).unwrap();
        write_new(&inside, "a/b", "1").unwrap();
        assert!(make_empty(&inside).is_err(), "it has a file");
        assert!(make_empty(&inside.join("a/b")).is_err(), "it is a file");
        assert!(write_new(&inside, "a/b", "2").is_err());
        assert_eq!(fs::read_to_string(inside.join("a/b")).unwrap(), "1");
    }
}
