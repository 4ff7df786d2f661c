//! Rebuild only when an input changed: a stamp is the SHA-256 over everything that a product is made of.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::context;

/// Everything that a product is made of, hashed as it is added.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Sha256);

impl Inputs {
    /// Adds a name and a text: a version, a choice.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        self.field(name.as_bytes());
        self.field(value.as_bytes());
        self
    }

    /// Adds a file or all files below a folder, by their paths relative to `path` and contents; what builds leave there is skipped.
    ///
    /// # Errors
    /// Something below `path` cannot be read.
    pub(crate) fn files(mut self, path: &Path) -> Result<Self> {
        let mut found = Vec::new();
        collect(path, &mut found)?;
        found.sort();
        for file in found {
            let relative = file.strip_prefix(path).unwrap_or(&file);
            self.field(relative.as_os_str().as_encoded_bytes());
            self.field(&fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
        }
        Ok(self)
    }

    /// The stamp.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp(self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

/// What a product was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// Whether `product` exists and was made of exactly this.
    pub(crate) fn is_on(&self, product: &Path) -> bool {
        product.exists() && fs::read_to_string(beside(product)).is_ok_and(|noted| noted == self.0)
    }

    /// Notes, beside `product`, what it was made of.
    ///
    /// # Errors
    /// The file beside `product` cannot be written.
    pub(crate) fn put_on(&self, product: &Path) -> Result<()> {
        context::write(&beside(product), &self.0)
    }
}

fn beside(product: &Path) -> PathBuf {
    let mut name = product.as_os_str().to_owned();
    name.push(".stamp");
    name.into()
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_file() {
        found.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))? {
        let entry = entry?;
        if !LEFT_BY_BUILDS.iter().any(|name| entry.file_name() == *name) {
            collect(&entry.path(), found)?;
        }
    }
    Ok(())
}

const LEFT_BY_BUILDS: [&str; 2] = ["target", "node_modules"];

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("cloister-stamp-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_changed_file_changes_the_stamp() {
        let folder = folder("changed");
        fs::write(folder.join("a"), "one").unwrap();
        let before = Inputs::default().files(&folder).unwrap().stamp();
        assert_eq!(before, Inputs::default().files(&folder).unwrap().stamp());
        fs::write(folder.join("a"), "two").unwrap();
        assert_ne!(before, Inputs::default().files(&folder).unwrap().stamp());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_builds_leave_is_not_an_input() {
        let folder = folder("left");
        let before = Inputs::default().files(&folder).unwrap().stamp();
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        fs::write(folder.join("node_modules/a"), "one").unwrap();
        assert_eq!(before, Inputs::default().files(&folder).unwrap().stamp());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let one = Inputs::default().text("ab", "c").stamp();
        let other = Inputs::default().text("a", "bc").stamp();
        assert_ne!(one, other);
    }

    #[test]
    fn a_stamp_without_its_product_does_not_count() {
        let folder = folder("product");
        let product = folder.join("out.wasm");
        let stamp = Inputs::default().text("version", "1").stamp();
        stamp.put_on(&product).unwrap();
        assert!(!stamp.is_on(&product));
        fs::write(&product, "").unwrap();
        assert!(stamp.is_on(&product));
        assert!(!Inputs::default().text("version", "2").stamp().is_on(&product));
        fs::remove_dir_all(folder).unwrap();
    }
}
