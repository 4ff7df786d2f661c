//! Who may ask an app for what: rules as text.

mod text;

use crate::KeyFingerprint;
use serde::{Deserialize, Serialize};

/// Who may ask an app for what: what no rule allows is refused. The default is `*=owner`, the owner alone; the empty policy admits
/// nobody.
///
/// Ascending by their canonical texts, byte by byte, none twice; at most [`MAX_CALLER_RULES`] of together at most
/// [`MAX_CALLER_RULES_TEXT`] bytes. JSON holds an array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<CallerRule>", into = "Vec<CallerRule>")]
pub struct CallerPolicy {
    rules: Vec<CallerRule>,
}

/// One entry of an app, and one kind of caller that may ask for it. `Display` gives the canonical text `ENTRY=WHO`, `FromStr`
/// reads it, and JSON holds it as a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallerRule {
    pub entry: EntryPattern,
    pub who: Who,
}

/// What callers can ask an app for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryPattern {
    /// `*`: everything.
    Any,
    /// `@run`: the command that the app is, `wasi:cli/run`.
    Run,
    /// `@web`: the web service that the app is, `wasi:http/incoming-handler`.
    Web,
    /// The name of an exported function, at most [`MAX_ENTRY`] bytes: `function`, or
    /// `namespace:package/interface@version#function`. In a deploy it may be any form that calls accept; the enclave makes
    /// the full name of it.
    Export(String),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// `public`: everybody.
    Public,
    /// `owner`: the owner of the app.
    Owner,
    /// `key:<64 hex digits>`: who has this key.
    Key(KeyFingerprint),
    /// `token:ISSUER` or `token:ISSUER/ROLE`: who shows a token of the app's issuer of this name, in which this role stands.
    Token { issuer: String, role: Option<String> },
}

impl CallerPolicy {
    /// The policy of one rule: everybody may ask for everything.
    pub fn public() -> Self {
        Self { rules: vec![CallerRule { entry: EntryPattern::Any, who: Who::Public }] }
    }

    /// The policy of these rules, in any order; one that is given twice counts once.
    ///
    /// # Errors
    /// [`InvalidCallerPolicy`] where they are too many or too long, or one of them is none that a text can give.
    pub fn new(rules: Vec<CallerRule>) -> Result<Self, InvalidCallerPolicy> {
        let mut texts = Vec::with_capacity(rules.len());
        for rule in rules {
            let text = rule.to_string();
            if text.parse().as_ref() != Ok(&rule) {
                return Err(InvalidCallerPolicy::NotARule(text));
            }
            texts.push((text, rule));
        }
        texts.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        texts.dedup();
        if texts.len() > MAX_CALLER_RULES {
            return Err(InvalidCallerPolicy::TooMany(texts.len()));
        }
        let length = texts.iter().map(|(text, _)| text.len()).sum();
        if length > MAX_CALLER_RULES_TEXT {
            return Err(InvalidCallerPolicy::TooLong(length));
        }
        Ok(Self { rules: texts.into_iter().map(|(_, rule)| rule).collect() })
    }

    /// Ascending by their texts.
    pub fn rules(&self) -> &[CallerRule] {
        &self.rules
    }

    /// Whether it is the default.
    pub fn is_owner_alone(&self) -> bool {
        *self == Self::default()
    }

    /// Who may ask for this entry; nobody may where there are none.
    pub fn of<'a>(&'a self, entry: &EntryPattern) -> impl Iterator<Item = &'a Who> {
        self.rules.iter().filter(move |rule| rule.entry.covers(entry)).map(|rule| &rule.who)
    }

    /// The names of the issuers that the rules name, ascending, none twice.
    pub fn issuers(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for rule in &self.rules {
            if let Who::Token { issuer, .. } = &rule.who {
                names.push(issuer.as_str());
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The owner alone, for everything.
impl Default for CallerPolicy {
    fn default() -> Self {
        Self { rules: vec![CallerRule { entry: EntryPattern::Any, who: Who::Owner }] }
    }
}

impl TryFrom<Vec<CallerRule>> for CallerPolicy {
    type Error = InvalidCallerPolicy;

    fn try_from(rules: Vec<CallerRule>) -> Result<Self, InvalidCallerPolicy> {
        Self::new(rules)
    }
}

impl From<CallerPolicy> for Vec<CallerRule> {
    fn from(policy: CallerPolicy) -> Self {
        policy.rules
    }
}

impl EntryPattern {
    /// Whether a rule for this is a rule for `entry`.
    pub fn covers(&self, entry: &Self) -> bool {
        *self == Self::Any || self == entry
    }
}

/// The text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{}' is not a caller rule: {why}", .text.escape_debug())]
pub struct InvalidCallerRule {
    /// The text, or its beginning where it is long.
    pub text: String,
    pub why: CallerRuleFault,
}

/// What is wrong with the text of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallerRuleFault {
    #[error("it has the form ENTRY=WHO")]
    Form,
    #[error("an entry is *, @run, @web or the name of an exported function")]
    Entry,
    #[error("who may ask is public, owner, key:FINGERPRINT, token:ISSUER or token:ISSUER/ROLE")]
    Who,
    #[error("a key is named by its fingerprint: 64 hex digits, as `cloister keygen` prints it")]
    Key,
    #[error("the name of an issuer is 1 to {MAX_ISSUER_NAME} of a-z, 0-9 and '-'")]
    Issuer,
    #[error("a role is 1 to {MAX_ROLE} visible ASCII characters")]
    Role,
}

/// The rules are no policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallerPolicy {
    #[error("an app has at most {MAX_CALLER_RULES} caller rules, and these are {0}")]
    TooMany(usize),
    #[error("an app's caller rules have together at most {MAX_CALLER_RULES_TEXT} bytes, and these have {0}")]
    TooLong(usize),
    /// A value that was not made from a text.
    #[error("'{}' is not the canonical text of a caller rule", .0.escape_debug())]
    NotARule(String),
}

/// Most rules that one app has.
pub const MAX_CALLER_RULES: usize = 64;
/// Most bytes that the texts of one app's rules have together.
pub const MAX_CALLER_RULES_TEXT: usize = 4 << 10;
/// Most bytes of the name of an entry.
pub const MAX_ENTRY: usize = 256;
/// Most bytes of the name of an issuer.
pub const MAX_ISSUER_NAME: usize = 32;
/// Most bytes of a role.
pub const MAX_ROLE: usize = 128;

/// Whether the text is the name of an issuer.
pub(crate) fn is_issuer_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_ISSUER_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
