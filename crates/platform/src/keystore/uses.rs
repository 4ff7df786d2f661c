use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::KeyName;

/// What is done with a key, as the owner's counts tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `generate-…`
    Generate,
    /// `import-symmetric-key`
    Import,
    /// `export-public-key`
    Export,
    /// `persist-key`
    Persist,
    /// `load-key`
    Load,
    /// `delete-key`
    Delete,
    /// `encrypt`
    Encrypt,
    /// `decrypt`, where the ciphertext was not authentic too
    Decrypt,
    /// `sign`
    Sign,
    /// `verify`, whatever came of it
    Verify,
    /// `hmac-sign`
    HmacSign,
    /// `hmac-verify`, whatever came of it
    HmacVerify,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 12] = [
        Operation::Generate,
        Operation::Import,
        Operation::Export,
        Operation::Persist,
        Operation::Load,
        Operation::Delete,
        Operation::Encrypt,
        Operation::Decrypt,
        Operation::Sign,
        Operation::Verify,
        Operation::HmacSign,
        Operation::HmacVerify,
    ];

    /// One word in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Import => "import",
            Self::Export => "export",
            Self::Persist => "persist",
            Self::Load => "load",
            Self::Delete => "delete",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::HmacSign => "hmac-sign",
            Self::HmacVerify => "hmac-verify",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How often a key was used, for each operation.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU64; Operation::ALL.len()]);

impl Counts {
    pub(crate) fn add(&self, operation: Operation) {
        self.0[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Those that are not zero.
    pub(super) fn by_operation(&self) -> BTreeMap<&'static str, u64> {
        let counts = Operation::ALL
            .map(|operation| (operation.as_str(), self.0[operation as usize].load(Ordering::Relaxed)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn restore(&self, counts: &BTreeMap<String, u64>) {
        for operation in Operation::ALL {
            let count = counts.get(operation.as_str()).copied().unwrap_or(0);
            self.0[operation as usize].fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// The counts of an app's keys by their names, for as many names as are kept apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Uses {
    names: BTreeMap<String, Arc<Counts>>,
    others: Arc<Counts>,
}

impl Uses {
    /// Where uses of a key of this name are counted.
    pub(super) fn of(&mut self, name: &KeyName) -> Arc<Counts> {
        self.named(name.as_str())
    }

    /// Every name that something was counted for, and all others as one.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&str, BTreeMap<&'static str, u64>)> {
        let names = self.names.iter().map(|(name, counts)| (name.as_str(), counts.by_operation()));
        let others = (OTHER_NAMES, self.others.by_operation());
        names.chain([others]).filter(|(_, counts)| !counts.is_empty())
    }

    /// Adds what was counted before.
    pub(super) fn restore(&mut self, uses: &BTreeMap<String, BTreeMap<String, u64>>) {
        for (name, counts) in uses {
            self.named(name).restore(counts);
        }
    }

    fn named(&mut self, name: &str) -> Arc<Counts> {
        if let Some(counts) = self.names.get(name) {
            return Arc::clone(counts);
        }
        if name == OTHER_NAMES || self.names.len() >= MAX_NAMES {
            return Arc::clone(&self.others);
        }
        Arc::clone(self.names.entry(name.to_owned()).or_default())
    }
}

/// What the keys together are called whose names are not kept apart, since there were too many.
pub const OTHER_NAMES: &str = "(others)";
/// Names that are kept apart.
const MAX_NAMES: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_a_count_and_a_name_of_its_own() {
        let counts = Counts::default();
        Operation::ALL.iter().for_each(|operation| counts.add(*operation));
        assert_eq!(counts.by_operation().len(), Operation::ALL.len());
        assert!(counts.by_operation().values().all(|count| *count == 1));
    }

    #[test]
    fn names_without_end_are_counted_together() {
        let mut uses = Uses::default();
        for n in 0..MAX_NAMES + 3 {
            uses.of(&KeyName::parse(format!("key {n}")).unwrap()).add(Operation::Sign);
        }
        let by_name: BTreeMap<_, _> = uses.by_name().collect();
        assert_eq!(by_name.len(), MAX_NAMES + 1);
        assert_eq!(by_name[OTHER_NAMES], [("sign", 3)].into());
    }

    #[test]
    fn what_was_counted_before_is_added() {
        let mut uses = Uses::default();
        uses.named("a").add(Operation::Sign);
        let before = [("sign".to_owned(), 4), ("verify".to_owned(), 1), ("unheard-of".to_owned(), 9)];
        let before = BTreeMap::from([("a".to_owned(), BTreeMap::from(before))]);
        uses.restore(&before);
        assert_eq!(uses.by_name().collect::<Vec<_>>(), [("a", [("sign", 5), ("verify", 1)].into())]);
    }
}
