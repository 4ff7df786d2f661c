//! Paths as guests write them, before anything is looked up.

use crate::FsError;

/// Longest name of one entry, in bytes of UTF-8 (POSIX `NAME_MAX`).
pub const MAX_NAME: usize = 255;

/// Longest path and longest symbolic link, in bytes of UTF-8 (Linux `PATH_MAX`).
pub const MAX_PATH: usize = 4096;

/// Symbolic links followed in one resolution, after which it is [`FsError::Loop`] (Linux `MAXSYMLINKS`).
pub const MAX_SYMLINKS: u32 = 40;

/// Steps of one resolution, those of the links' targets included, after which it is [`FsError::Loop`]: twice what the
/// longest path has.
pub const MAX_STEPS: u32 = 4096;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'p> {
    Here,
    Up,
    Name(&'p str),
}

impl Step<'_> {
    fn of(component: &str) -> Step<'_> {
        match component {
            "." => Step::Here,
            ".." => Step::Up,
            name => Step::Name(name),
        }
    }
}

/// A relative path without NULs, of at most [`MAX_PATH`] bytes, that has at least one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path<'p>(&'p str);

impl<'p> Path<'p> {
    /// # Errors
    ///
    /// [`FsError::NoEntry`] for the empty path, [`FsError::NotPermitted`] for an absolute one,
    /// [`FsError::Invalid`] where it has a NUL, [`FsError::NameTooLong`] above [`MAX_PATH`] bytes.
    pub(crate) fn parse(path: &'p str) -> Result<Path<'p>, FsError> {
        if path.is_empty() {
            return Err(FsError::NoEntry);
        }
        if path.len() > MAX_PATH {
            return Err(FsError::NameTooLong);
        }
        if path.contains('\0') {
            return Err(FsError::Invalid);
        }
        if path.starts_with('/') {
            return Err(FsError::NotPermitted);
        }
        Ok(Path(path))
    }

    /// Every step in order. Repeated slashes count as one, and those at the end are not a step.
    pub(crate) fn steps(self) -> impl Iterator<Item = Step<'p>> {
        self.0.split('/').filter(|component| !component.is_empty()).map(Step::of)
    }

    /// All steps but the last, and the last.
    pub(crate) fn split_last(self) -> (impl Iterator<Item = Step<'p>>, Step<'p>) {
        let trimmed = self.0.trim_end_matches('/');
        let (before, last) = match trimmed.rfind('/') {
            Some(slash) => (&trimmed[..slash], &trimmed[slash + 1..]),
            None => ("", trimmed),
        };
        (Path(before).steps(), Step::of(last))
    }

    /// `name/` demands that the name be a directory.
    pub(crate) fn demands_directory(self) -> bool {
        self.0.ends_with('/')
    }
}

/// Whether a directory may hold an entry of this name.
pub(crate) fn is_entry_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name != "." && name != ".." && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(path: &str) -> Vec<Step<'_>> {
        Path::parse(path).expect("a relative path").steps().collect()
    }

    #[test]
    fn steps_ignore_repeated_slashes() {
        let expected = vec![Step::Name("a"), Step::Here, Step::Up, Step::Name("b...")];
        assert_eq!(steps("a//.///../b..."), expected);
        assert_eq!(steps("a/./../b...//"), expected);
    }

    #[test]
    fn last_step_is_split_off() {
        for (path, before, last, directory) in [
            ("a", vec![], Step::Name("a"), false),
            ("a/", vec![], Step::Name("a"), true),
            ("a//b//", vec![Step::Name("a")], Step::Name("b"), true),
            ("./..", vec![Step::Here], Step::Up, false),
            ("../.", vec![Step::Up], Step::Here, false),
        ] {
            let parsed = Path::parse(path).expect("a relative path");
            let (steps, end) = parsed.split_last();
            assert_eq!(steps.collect::<Vec<_>>(), before, "{path}");
            assert_eq!(end, last, "{path}");
            assert_eq!(parsed.demands_directory(), directory, "{path}");
        }
    }

    #[test]
    fn unusable_paths_are_refused() {
        assert!(matches!(Path::parse(""), Err(FsError::NoEntry)));
        assert!(matches!(Path::parse("/"), Err(FsError::NotPermitted)));
        assert!(matches!(Path::parse("/etc"), Err(FsError::NotPermitted)));
        assert!(matches!(Path::parse("a\0b"), Err(FsError::Invalid)));
        assert!(matches!(Path::parse(&"a/".repeat(2049)), Err(FsError::NameTooLong)));
        assert!(Path::parse(&"a/".repeat(2048)).is_ok());
    }

    #[test]
    fn names_that_no_entry_has() {
        for name in ["", ".", "..", "a/b", "a\0", &"x".repeat(256)] {
            assert!(!is_entry_name(name), "{name:?}");
        }
        for name in ["...", ".a", "ü", " ", &"x".repeat(255)] {
            assert!(is_entry_name(name), "{name:?}");
        }
    }
}
