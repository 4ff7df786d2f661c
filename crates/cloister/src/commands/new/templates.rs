//! The projects' files, as they are in `templates/`. Each folder there is a whole project once the common files are in it, and has
//! [`NAME`] where the app's name goes.

use crate::arguments::Language;

/// What stands for the app's name.
pub(super) const NAME: &str = "name-of-app";

/// Path and text of each file of a project, without its dependencies.
pub(super) fn files(language: Language) -> impl Iterator<Item = (&'static str, String)> {
    let readme = format!("{}{}", readme(language), DEPLOY.replace(OPTIONS, deploy_options(language)));
    let own = own(language).iter().map(|(path, text)| (*path, (*text).to_owned()));
    own.chain([("wit/service.wit", WORLD.to_owned()), ("README.md", readme)])
}

/// What `cloister deploy` needs to be told, with a space before. The start of a large runtime takes half and more of the fuel that
/// calls have if nothing is said.
pub(super) fn deploy_options(language: Language) -> &'static str {
    match language {
        Language::Rust | Language::C | Language::Go => "",
        Language::JavaScript | Language::Python => " --fuel 100M",
    }
}

fn readme(language: Language) -> &'static str {
    match language {
        Language::Rust => include_str!("../../../templates/rust/README.md"),
        Language::JavaScript => include_str!("../../../templates/js/README.md"),
        Language::Python => include_str!("../../../templates/python/README.md"),
        Language::C => include_str!("../../../templates/c/README.md"),
        Language::Go => include_str!("../../../templates/go/README.md"),
    }
}

fn own(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => RUST,
        Language::JavaScript => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::C => C,
        Language::Go => GO,
    }
}

const RUST: &[(&str, &str)] = &[
    ("cloister.toml", include_str!("../../../templates/rust/cloister.toml")),
    (".gitignore", include_str!("../../../templates/rust/gitignore")),
    ("Cargo.toml", include_str!("../../../templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../../../templates/rust/src/lib.rs")),
    ("src/text.rs", include_str!("../../../templates/rust/src/text.rs")),
];

const JAVASCRIPT: &[(&str, &str)] = &[
    ("cloister.toml", include_str!("../../../templates/js/cloister.toml")),
    (".gitignore", include_str!("../../../templates/js/gitignore")),
    ("package.json", include_str!("../../../templates/js/package.json")),
    ("package-lock.json", include_str!("../../../templates/js/package-lock.json")),
    ("build.mjs", include_str!("../../../templates/js/build.mjs")),
    ("service.js", include_str!("../../../templates/js/service.js")),
    ("text.js", include_str!("../../../templates/js/text.js")),
    ("text.test.js", include_str!("../../../templates/js/text.test.js")),
];

const PYTHON: &[(&str, &str)] = &[
    ("cloister.toml", include_str!("../../../templates/python/cloister.toml")),
    (".gitignore", include_str!("../../../templates/python/gitignore")),
    ("requirements.txt", include_str!("../../../templates/python/requirements.txt")),
    ("app.py", include_str!("../../../templates/python/app.py")),
    ("text.py", include_str!("../../../templates/python/text.py")),
    ("test_text.py", include_str!("../../../templates/python/test_text.py")),
];

const C: &[(&str, &str)] = &[
    ("cloister.toml", include_str!("../../../templates/c/cloister.toml")),
    (".gitignore", include_str!("../../../templates/c/gitignore")),
    ("app.c", include_str!("../../../templates/c/app.c")),
    ("text.c", include_str!("../../../templates/c/text.c")),
    ("text.h", include_str!("../../../templates/c/text.h")),
    ("test_text.c", include_str!("../../../templates/c/test_text.c")),
];

const GO: &[(&str, &str)] = &[
    ("cloister.toml", include_str!("../../../templates/go/cloister.toml")),
    (".gitignore", include_str!("../../../templates/go/gitignore")),
    ("go.mod", include_str!("../../../templates/go/go.mod")),
    ("main.go", include_str!("../../../templates/go/main.go")),
    ("export_wit_world/service.go", include_str!("../../../templates/go/export_wit_world/service.go")),
    ("text/text.go", include_str!("../../../templates/go/text/text.go")),
    ("text/text_test.go", include_str!("../../../templates/go/text/text_test.go")),
];

const WORLD: &str = include_str!("../../../templates/wit/service.wit");

/// The end of each README: what is the same in all languages.
const DEPLOY: &str = include_str!("../../../templates/deploy.md");

/// What stands for [`deploy_options`] in it.
const OPTIONS: &str = " --options-of-app";
