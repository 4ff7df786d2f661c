//! Who may use an app and replace it, as people write it.

use super::AppArguments;
use clap::Args;
use cloister_api::{
    AppName, CallerRule, DEFAULT_ROLES_CLAIM, ImageUpgrade, InvalidTokenIssuer, TokenIssuer, Upgrade,
};
use std::path::PathBuf;
use std::str::FromStr;

/// Who may ask for what, and what may take the app's place.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Callers and replacements")]
pub(crate) struct AccessArguments {
    /// Let everybody ask for everything, as --caller '*=public' does
    #[arg(long, conflicts_with = "callers")]
    pub(crate) public: bool,
    /// Who may ask for what: ENTRY is an export as `cloister call` names it, @run, @web or * (everything); WHO is public,
    /// owner, key:FINGERPRINT, token:ISSUER or token:ISSUER/ROLE. Repeat it for several; what no rule allows is refused
    /// [default: *=owner]
    #[arg(long = "caller", value_name = "ENTRY=WHO")]
    pub(crate) callers: Vec<CallerRule>,
    /// An OpenID Connect issuer whose tokens --caller names: its name there, its URL, what its tokens have as `aud`; the
    /// claim with the roles [default: roles], where its keys are [default: its discovery document says it], and
    /// certificates to trust for that in PEM [default: Mozilla's]
    #[arg(long = "issuer", value_name = ISSUER)]
    pub(crate) issuers: Vec<IssuerArgument>,
    /// What may take the app's place and keep its data: what its `owner` puts there, nothing (`frozen`), or what the owner
    /// puts there and as many of these keys endorsed (`cloister endorse`) [default: owner]
    #[arg(long, value_name = "owner|frozen|endorsed:N:KEY,KEY")]
    pub(crate) upgrade: Option<Upgrade>,
}

/// Who runs the machine, who owns apps, and what may follow the image.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Owners, operator and upgrades")]
pub(crate) struct AuthorityArguments {
    /// A key that may deploy and remove apps: its fingerprint, or a PEM file with it; repeat it for several
    #[arg(long, env = "CLOISTER_OWNER", value_name = "FILE|FINGERPRINT", value_delimiter = ',')]
    pub(crate) owner: Vec<String>,
    /// An owner who shows tokens: the name of an --issuer, and the `sub` of the tokens; repeat it for several
    #[arg(long = "owner-token", value_name = "ISSUER=SUBJECT")]
    pub(crate) owner_tokens: Vec<TokenSubject>,
    /// The key that may read the enclave's counters, back up its volume and upgrade its image, and nothing of any app.
    /// Fixed at the volume's first start
    #[arg(long, env = "CLOISTER_OPERATOR", value_name = "FILE|FINGERPRINT")]
    pub(crate) operator: Option<String>,
    /// An OpenID Connect issuer whose tokens --owner-token names: its name there, its URL, what its tokens have as `aud`,
    /// and more as `cloister deploy --issuer` takes it
    #[arg(long = "issuer", value_name = ISSUER)]
    pub(crate) issuers: Vec<IssuerArgument>,
    /// Which image may get the volume of this one: never any, whichever the operator names, one of these MRENCLAVEs, or one
    /// that this MRSIGNER signed, of this product and with at least this security version. Fixed at the volume's first
    /// start [default: never]
    #[arg(long, value_name = "never|operator|listed:HEX,HEX|signer:HEX,PRODUCT,SVN")]
    pub(crate) image_upgrade: Option<ImageUpgrade>,
}

#[derive(Debug, Args)]
pub(crate) struct EndorseArguments {
    /// The app that it is to become
    #[arg(value_name = "APP")]
    pub(crate) name: AppName,
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub(crate) file: PathBuf,
    /// The app's owner: a fingerprint, as `cloister verify` shows it, or a PEM file with the key
    #[arg(long, value_name = "FILE|FINGERPRINT")]
    pub(crate) owner: String,
    /// Where to write the endorsement; a file that exists is never overwritten
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) app: AppArguments,
}

/// `NAME=URL,audience=AUD[,roles=CLAIM][,jwks=URL][,roots=FILE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssuerArgument {
    /// Without certificates.
    pub(crate) issuer: TokenIssuer,
    /// PEM.
    pub(crate) roots: Option<PathBuf>,
}

impl FromStr for IssuerArgument {
    type Err = InvalidIssuer;

    fn from_str(text: &str) -> Result<Self, InvalidIssuer> {
        let mut parts = text.split(',');
        let (name, url) = parts.next().and_then(|part| part.split_once('=')).ok_or(InvalidIssuer::Form)?;
        let (mut audience, mut roles, mut jwks, mut roots) = (None, None, None, None);
        for part in parts {
            let (key, value) = part.split_once('=').ok_or(InvalidIssuer::Form)?;
            let place = match key {
                "audience" => &mut audience,
                "roles" => &mut roles,
                "jwks" => &mut jwks,
                "roots" => &mut roots,
                _ => return Err(InvalidIssuer::Form),
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(InvalidIssuer::Twice(key.to_owned()));
            }
        }
        let issuer = TokenIssuer {
            name: name.to_owned(),
            issuer: url.to_owned(),
            audience: audience.ok_or(InvalidIssuer::Form)?,
            roles_claim: roles.unwrap_or_else(|| DEFAULT_ROLES_CLAIM.to_owned()),
            jwks,
            roots: Vec::new(),
        };
        issuer.check()?;
        Ok(Self { issuer, roots: roots.map(PathBuf::from) })
    }
}

/// The text names no issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidIssuer {
    #[error("write {ISSUER}, such as staff=https://id.example.com,audience=hospital")]
    Form,
    #[error("{0}= is given twice")]
    Twice(String),
    #[error(transparent)]
    Issuer(#[from] InvalidTokenIssuer),
}

/// `ISSUER=SUBJECT`: whose tokens an owner shows, and who it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSubject {
    /// The name of an issuer.
    pub(crate) issuer: String,
    pub(crate) subject: String,
}

impl FromStr for TokenSubject {
    type Err = InvalidTokenSubject;

    fn from_str(text: &str) -> Result<Self, InvalidTokenSubject> {
        match text.split_once('=') {
            Some((issuer, subject)) if !issuer.is_empty() && !subject.is_empty() => {
                Ok(Self { issuer: issuer.to_owned(), subject: subject.to_owned() })
            }
            _ => Err(InvalidTokenSubject),
        }
    }
}

/// The text names no subject of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write ISSUER=SUBJECT, such as staff=alice: the name of an --issuer, and the `sub` of the tokens")]
pub(crate) struct InvalidTokenSubject;

const ISSUER: &str = "NAME=URL,audience=AUD[,roles=CLAIM][,jwks=URL][,roots=FILE.pem]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_has_a_name_a_url_and_an_audience() {
        let plain: IssuerArgument = "staff=https://id.example.com,audience=hospital".parse().unwrap();
        assert_eq!((plain.issuer.name.as_str(), plain.issuer.audience.as_str()), ("staff", "hospital"));
        assert_eq!((plain.issuer.roles_claim.as_str(), plain.roots), ("roles", None));
        let text = "a=https://i/x,roots=ca.pem,jwks=https://i/keys,roles=groups,audience=b=c";
        let full: IssuerArgument = text.parse().unwrap();
        assert_eq!((full.issuer.audience.as_str(), full.issuer.roles_claim.as_str()), ("b=c", "groups"));
        assert_eq!(full.issuer.jwks.as_deref(), Some("https://i/keys"));
        assert_eq!(full.roots, Some("ca.pem".into()));
    }

    #[test]
    fn other_texts_are_no_issuers() {
        for bad in ["", "staff", "staff=https://i", "staff=https://i,aud=x", "staff=https://i,audience"] {
            assert_eq!(bad.parse::<IssuerArgument>(), Err(InvalidIssuer::Form), "{bad}");
        }
        let twice = "a=https://i,audience=x,audience=y".parse::<IssuerArgument>();
        assert_eq!(twice, Err(InvalidIssuer::Twice("audience".into())));
        for (bad, why) in [
            ("A=https://i,audience=x", "name of an issuer"),
            ("a=http://i,audience=x", "https URL"),
            ("a=https://i,audience=", "audience"),
            ("a=https://i,audience=x,jwks=i", "jwks"),
        ] {
            let error = bad.parse::<IssuerArgument>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_subject_is_named_with_its_issuer() {
        let subject: TokenSubject = "staff=a=b".parse().unwrap();
        assert_eq!((subject.issuer.as_str(), subject.subject.as_str()), ("staff", "a=b"));
        for bad in ["", "staff", "staff=", "=alice"] {
            assert_eq!(bad.parse::<TokenSubject>(), Err(InvalidTokenSubject), "{bad}");
        }
    }
}
