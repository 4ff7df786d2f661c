use serde::{Deserialize, Serialize};

/// Why a request was refused or a call ended: RFC 9457 problem details with a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct Problem {
    /// `urn:cloister:problem:<code>`.
    #[serde(rename = "type")]
    pub uri: String,
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, to what, and what to do about it.
    pub detail: String,
    /// Never changes its meaning once released.
    pub code: Code,
    /// Names near the one that was not found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
    /// How the guest ended, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trap: Option<Trap>,
}

impl Problem {
    /// A problem with the code's own title and status.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            uri: format!("urn:cloister:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            suggestions: Vec::new(),
            trap: None,
        }
    }

    /// The same problem with names that were perhaps meant.
    pub fn with_suggestions(mut self, suggestions: Vec<String>) -> Self {
        self.suggestions = suggestions;
        self
    }

    /// The same problem with the guest's end.
    pub fn with_trap(mut self, trap: Trap) -> Self {
        self.trap = Some(trap);
        self
    }
}

/// How a call ended before it returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trap {
    /// The reason, such as `wasm trap: integer divide by zero`.
    pub reason: String,
    /// Fuel units burnt until then.
    pub fuel: u64,
    /// Innermost frame first.
    pub backtrace: Vec<TrapFrame>,
}

/// One frame of a Wasm backtrace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrapFrame {
    /// From the component's name section, demangled where it can be.
    pub function: Option<String>,
    /// Index of the function in its core module.
    pub index: u32,
    /// Offset in the core module, where known.
    pub offset: Option<u64>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = ($text:literal, $status:literal, $title:literal),)*) => {
        /// Stable codes of [`Problem`]s.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// The code as it stands in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text),* }
            }

            /// The HTTP status that carries it.
            pub fn status(self) -> u16 {
                match self { $(Code::$variant => $status),* }
            }

            /// A heading for people.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }
        }
    };
}

codes! {
    /// The body is neither a Wasm component nor a core module.
    NotAComponent = ("not-a-component", 422, "Not a WebAssembly component"),
    /// The body is a core module.
    CoreModule = ("core-module", 422, "A core module, not a component"),
    /// The component is malformed or uses a feature that is off.
    InvalidComponent = ("invalid-component", 422, "Invalid component"),
    /// The component is larger than this image can compile or hold.
    ComponentTooLarge = ("component-too-large", 413, "Component too large for this image"),
    /// No room in the pool of executable pages.
    CodePoolFull = ("code-pool-full", 507, "No room for more native code"),
    /// The component imports what the image does not serve.
    UnsupportedImport = ("unsupported-import", 422, "Unsupported import"),
    /// The settings of a deploy are malformed or out of range.
    InvalidSettings = ("invalid-settings", 400, "Invalid settings"),
    /// The bundle of a deploy is malformed or larger than is allowed.
    InvalidBundle = ("invalid-bundle", 400, "Invalid bundle"),
    /// Not the name of an app.
    InvalidName = ("invalid-name", 400, "Invalid app name"),
    /// An app of this name exists.
    AppExists = ("app-exists", 409, "The app exists"),
    /// The enclave holds as many apps as it can.
    TooManyApps = ("too-many-apps", 507, "No room for another app"),
    /// Other code answers under the app's name than the request expects.
    CodeChanged = ("code-changed", 412, "Other code than expected"),
    /// No app of this name.
    UnknownApp = ("unknown-app", 404, "No such app"),
    /// The app has no such function.
    UnknownExport = ("unknown-export", 404, "No such export"),
    /// The app awaits its configuration: until then it answers one export, and this to its owner alone.
    NotConfigured = ("not-configured", 503, "The app awaits its configuration"),
    /// The app does not export `wasi:cli/run`.
    NotACommand = ("not-a-command", 422, "Not a command"),
    /// The app does not export `wasi:http/incoming-handler`.
    NotAService = ("not-a-service", 404, "Not a web service"),
    /// The guest ended without setting a response, or answered with an error instead of one.
    NoResponse = ("no-response", 502, "The guest gave no response"),
    /// The request names another host than the TLS session that carries it.
    Misdirected = ("misdirected", 421, "Misdirected request"),
    /// The function's types cannot be sent, such as resources.
    UnsupportedType = ("unsupported-type", 422, "Type that calls cannot carry"),
    /// The arguments are not JSON or WAVE.
    MalformedArguments = ("malformed-arguments", 400, "Malformed arguments"),
    /// An argument has the wrong type, is missing or is too many.
    WrongArguments = ("wrong-arguments", 400, "Wrong arguments"),
    /// The guest trapped.
    GuestTrapped = ("guest-trapped", 500, "The guest trapped"),
    /// The guest burnt its fuel.
    OutOfFuel = ("out-of-fuel", 500, "Out of fuel"),
    /// The guest reached its bound on memory, tables, instances or handles.
    LimitExceeded = ("limit-exceeded", 500, "Limit exceeded"),
    /// The result is larger than the app's bound.
    ResultTooLarge = ("result-too-large", 500, "Result too large"),
    /// The call took longer than the app's bound.
    TimedOut = ("timed-out", 504, "The call took too long"),
    /// The guest called `exit`.
    GuestExited = ("guest-exited", 500, "The guest exited"),
    /// Code of the enclave itself failed; the call ended and nothing else.
    Internal = ("internal", 500, "Internal error"),
    /// The request shows neither a key nor a token, and needs one.
    Unauthenticated = ("unauthenticated", 401, "Key or token required"),
    /// The token is malformed, forged, expired or not for this.
    InvalidToken = ("invalid-token", 401, "Invalid token"),
    /// The issuer of the token gives the enclave no keys to verify it with.
    IssuerUnavailable = ("issuer-unavailable", 503, "Token issuer unavailable"),
    /// This key or token may not do this.
    Forbidden = ("forbidden", 403, "Not allowed"),
    /// Nothing may take the place of the app and keep its data.
    UpgradeFrozen = ("upgrade-frozen", 409, "The app is frozen"),
    /// Too few of the app's endorsers signed what should take its place.
    EndorsementMissing = ("endorsement-missing", 403, "Endorsement missing"),
    /// The image that should take this one's place may not have the volume's key.
    UpgradeRefused = ("upgrade-refused", 403, "Upgrade refused"),
    /// No such resource.
    NotFound = ("not-found", 404, "No such resource"),
    /// The resource does not know this method.
    MethodNotAllowed = ("method-not-allowed", 405, "Method not allowed"),
    /// The request cannot be read.
    BadRequest = ("bad-request", 400, "Bad request"),
    /// The body is larger than is allowed.
    BodyTooLarge = ("body-too-large", 413, "Request body too large"),
    /// The body has a media type that the resource does not read.
    UnsupportedMediaType = ("unsupported-media-type", 415, "Unsupported media type"),
    /// The client took too long to send the request.
    RequestTimeout = ("request-timeout", 408, "Request took too long"),
    /// As many calls, large bodies or deploys are under way as the enclave takes.
    Busy = ("busy", 503, "Too many calls under way"),
    /// The volume could not make a write durable, or cannot be read. Nothing that was acknowledged is lost.
    StorageUnavailable = ("storage-unavailable", 503, "Storage unavailable"),
    /// The volume has no room.
    StorageFull = ("storage-full", 507, "No room in the volume"),
    /// What the volume holds of the app does not verify: the host changed or lost it.
    AppDamaged = ("app-damaged", 503, "The app's data is damaged"),
    /// The platform could not make a quote.
    EvidenceUnavailable = ("evidence-unavailable", 503, "Evidence unavailable"),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_survive_json() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert!(Code::ALL[..i].iter().all(|c| c.as_str() != code.as_str()));
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), *code);
            assert!((400..600).contains(&code.status()));
        }
    }

    #[test]
    fn a_problem_is_rfc_9457() {
        let problem = Problem::new(Code::UnknownApp, "no app 'x'").with_suggestions(vec!["y".into()]);
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["type"], "urn:cloister:problem:unknown-app");
        assert_eq!(json["status"], 404);
        assert_eq!(json["code"], "unknown-app");
        assert_eq!(json["suggestions"][0], "y");
        assert!(json.get("trap").is_none());
        assert_eq!(serde_json::from_value::<Problem>(json).unwrap(), problem);
    }
}
