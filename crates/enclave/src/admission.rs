//! Whom an app answers: as its rules say, and once it is configured.

use crate::access::{Caller, Subject};
use crate::app::App;
use crate::state::Enclave;
use cloister_api::{Code, EntryPattern, KeyFingerprint, Problem, Who};
use cloister_attestation::ConfigurationClaim;
use cloister_runtime::platform;

/// What a request asks of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A call of the export with this full name.
    Export(&'a str),
    /// A run of the command.
    Run,
    /// A request to the web service.
    Web,
}

/// Lets a request in and says who the guest is told that it comes from, or says why not. The export that configures an app is
/// its owner's, before the app is configured and after, whatever the app's rules say.
///
/// # Errors
/// [`Code::NotConfigured`]; [`Code::Unauthenticated`] where the request shows nothing that the app's rules look at,
/// [`Code::Forbidden`] where that is not enough, [`Code::InvalidToken`] where they look at tokens and it has a bad one,
/// [`Code::IssuerUnavailable`] where nobody can say whether it is.
pub(crate) async fn admit(
    enclave: &Enclave,
    app: &App,
    entry: Entry<'_>,
    caller: &Caller,
) -> Result<Option<platform::Caller>, Problem> {
    let rules = match &app.record.configure_with {
        Some(configuring) if entry == Entry::Export(configuring) => vec![&Who::Owner],
        Some(configuring) if app.record.configuration() == ConfigurationClaim::Awaited => {
            return Err(Problem::new(
                Code::NotConfigured,
                format!(
                    "the app '{}' answers nothing until its owner has configured it with '{configuring}'",
                    app.name
                ),
            ));
        }
        _ => app.record.callers.of(&EntryPattern::from(entry)).collect(),
    };
    let shown = Identity::of(enclave, app, &rules, caller).await?;
    if rules.iter().any(|who| shown.is(who, app)) {
        return Ok(shown.for_guest());
    }
    Err(shown.refusal(app, entry, &rules))
}

impl From<Entry<'_>> for EntryPattern {
    fn from(entry: Entry<'_>) -> Self {
        match entry {
            Entry::Export(name) => Self::Export(name.to_owned()),
            Entry::Run => Self::Run,
            Entry::Web => Self::Web,
        }
    }
}

/// Who asks, as far as some rules look.
struct Identity {
    key: Option<KeyFingerprint>,
    /// As the app's issuers vouch.
    subject: Option<Subject>,
    /// As the enclave's issuers vouch: it may be the owner.
    owner: Option<Subject>,
}

impl Identity {
    async fn of(enclave: &Enclave, app: &App, rules: &[&Who], caller: &Caller) -> Result<Self, Problem> {
        let key = caller.key();
        let names_tokens = rules.iter().any(|who| matches!(who, Who::Token { .. }));
        let names_owner = rules.contains(&&Who::Owner) && !enclave.configuration.issuers.is_empty();
        let clock = enclave.attestor.clock();
        let (subject, owner) = match (names_tokens, names_owner) {
            (false, false) => (None, None),
            (true, false) => {
                let [subject] = caller.subjects([&app.issuers], clock).await?;
                (subject, None)
            }
            (false, true) => {
                let [owner] = caller.subjects([&enclave.issuers], clock).await?;
                (None, owner)
            }
            (true, true) => caller.subjects([&app.issuers, &enclave.issuers], clock).await?.into(),
        };
        Ok(Self { key, subject, owner })
    }

    fn is(&self, who: &Who, app: &App) -> bool {
        match who {
            Who::Public => true,
            Who::Owner => {
                let owner = app.record.owner;
                self.key == Some(owner) || self.owner.as_ref().is_some_and(|known| known.principal() == owner)
            }
            Who::Key(key) => self.key.as_ref() == Some(key),
            Who::Token { issuer, role } => self.subject.as_ref().is_some_and(|subject| {
                subject.issuer == *issuer && role.as_ref().is_none_or(|role| subject.roles.contains(role))
            }),
        }
    }

    fn for_guest(self) -> Option<platform::Caller> {
        let key = || self.key.map(|key| platform::CallerId::Key(*key.as_bytes()).into());
        self.subject.or(self.owner).map(Subject::for_guest).or_else(key)
    }

    fn refusal(&self, app: &App, entry: Entry<'_>, rules: &[&Who]) -> Problem {
        let name = &app.name;
        let entry = match entry {
            Entry::Export(export) => format!("calls of '{export}'"),
            Entry::Run => "runs".to_owned(),
            Entry::Web => "web requests".to_owned(),
        };
        if rules.is_empty() {
            let why = format!("no rule of the app '{name}' admits {entry}, whoever sends them");
            return Problem::new(Code::Forbidden, why);
        }
        let looks_at_keys = rules.iter().any(|who| matches!(who, Who::Owner | Who::Key(_)));
        let shows_something =
            self.subject.is_some() || self.owner.is_some() || (looks_at_keys && self.key.is_some());
        let code = if shows_something { Code::Forbidden } else { Code::Unauthenticated };
        let admitted = admitted(rules).join(", ");
        let why = if shows_something { "it is from somebody else" } else { "it shows nothing of the kind" };
        Problem::new(code, format!("the app '{name}' admits {entry} by {admitted}, and not this one: {why}"))
    }
}

/// Those whom rules admit, each once.
fn admitted(rules: &[&Who]) -> Vec<String> {
    let mut all = Vec::new();
    for who in rules {
        let one = match who {
            Who::Public => "everybody".to_owned(),
            Who::Owner => "its owner".to_owned(),
            Who::Key(_) => "some keys in TLS client certificates".to_owned(),
            Who::Token { issuer, role: None } => format!("tokens of '{issuer}'"),
            Who::Token { issuer, role: Some(role) } => format!("tokens of '{issuer}' with the role '{role}'"),
        };
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}
