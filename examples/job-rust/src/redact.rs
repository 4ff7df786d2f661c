//! What is found and replaced.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

/// Replaces numbers and addresses by tags. The same number gets the same tag within one run, and another one in the next: readers
/// see that two lines are about the same account, and nothing else.
pub struct Redactor {
    /// Keys from `wasi:random`, drawn when the program starts.
    tags: RandomState,
}

impl Redactor {
    pub fn new() -> Self {
        Self { tags: RandomState::new() }
    }

    /// The line with tags in it, and how many.
    pub fn redact(&self, line: &str) -> (String, usize) {
        let mut text = String::with_capacity(line.len());
        let mut replaced = 0;
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let (found, length) = match address(rest).max(number(rest)) {
                Some(length) => (true, length),
                // The whole word stays, so that its end is not taken for a number or an address.
                None => (false, word(rest).max(first.len_utf8())),
            };
            let (part, after) = rest.split_at(length);
            if found {
                text.push_str(&self.tag(part));
                replaced += 1;
            } else {
                text.push_str(part);
            }
            rest = after;
        }
        (text, replaced)
    }

    fn tag(&self, found: &str) -> String {
        let characters: String = found.chars().filter(|c| c.is_alphanumeric() || *c == '@').collect();
        format!("[{:06x}]", self.tags.hash_one(characters) & 0xff_ffff)
    }
}

/// The length of the word that `text` begins with: letters, or digits.
fn word(text: &str) -> usize {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    text.find(|c: char| !c.is_alphanumeric() || c.is_ascii_digit() != digits).unwrap_or(text.len())
}

/// The length of the e-mail address that `text` begins with.
fn address(text: &str) -> Option<usize> {
    let part = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    let local = text.find(|c| !part(c))?;
    let domain = text[local..].strip_prefix('@')?;
    let length = domain.find(|c| !part(c)).unwrap_or(domain.len());
    let domain = domain[..length].trim_end_matches(['.', '-']);
    (local > 0 && domain.contains('.')).then_some(local + 1 + domain.len())
}

/// The length of the number that `text` begins with; single spaces and hyphens may stand between its digits.
fn number(text: &str) -> Option<usize> {
    let (mut digits, mut end) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '0'..='9' => (digits, end) = (digits + 1, at + 1),
            ' ' | '-' if end == at && at > 0 => {}
            _ => break,
        }
    }
    (digits >= SHORTEST_NUMBER).then_some(end)
}

const SHORTEST_NUMBER: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(line: &str) -> String {
        let (mut text, _) = Redactor::new().redact(line);
        while let Some(tag) = text.find('[') {
            text.replace_range(tag..tag + "[012345]".len(), "#");
        }
        text
    }

    #[test]
    fn numbers_and_addresses_go() {
        assert_eq!(redacted("call 030 1234-5678 now"), "call # now");
        assert_eq!(redacted("IBAN DE89 3704 0044 0532 0130 00."), "IBAN DE#.");
        assert_eq!(redacted("write to ada.l+x@example.org, please"), "write to #, please");
    }

    #[test]
    fn other_words_stay() {
        for line in ["", "on 2026-01-02", "at 12 o'clock", "a @ b", "über 100 €", "x@y"] {
            assert_eq!(Redactor::new().redact(line), (line.to_owned(), 0));
        }
    }

    #[test]
    fn the_same_number_gets_the_same_tag() {
        let (text, replaced) = Redactor::new().redact("123456789 and 1234 567-89");
        let (one, other) = text.split_once(" and ").unwrap();
        assert_eq!((one, replaced), (other, 2));
    }
}
