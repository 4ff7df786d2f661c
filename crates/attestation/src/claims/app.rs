use super::{IssuerClaim, UpgradePolicy, ascending, issuer};
use crate::codec::{ClaimsError, Reader, Writer};
use crate::{HASH_LEN, sha256};
use cloister_api::{AppName, CallerPolicy, CallerRule, ConfigurationState, Limits, NetworkPolicy};
use std::str::FromStr;

/// One app, as the enclave runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppClaims {
    pub name: AppName,
    /// SHA-256 of the uploaded `.wasm`.
    pub code_hash: [u8; HASH_LEN],
    /// SHA-256 of the owner's SubjectPublicKeyInfo, or its [`token_principal`](cloister_api::token_principal).
    pub owner: [u8; HASH_LEN],
    pub limits: Limits,
    /// [`environment_hash`](crate::environment_hash) of the names of its environment variables. Their values are
    /// secret.
    pub environment: [u8; HASH_LEN],
    pub upgrade: UpgradePolicy,
    /// What it may do on the network. Nothing else gets out of it.
    pub network: NetworkPolicy,
    /// [`roots_hash`](crate::roots_hash) of the certificates that vouch for servers of https requests; `None`: those
    /// that Mozilla trusts.
    pub roots: Option<[u8; HASH_LEN]>,
    /// The read-only files that belong to its code.
    pub assets: Option<AssetsClaim>,
    /// [`environment_hash`](crate::environment_hash) of the keys of what it reads over wasi:config. Their values are
    /// secret.
    pub config: [u8; HASH_LEN],
    /// What it shows in its certificates: the number that ends the object identifier, and the SHA-256 of the value.
    /// Ascending by number, none twice, at most [`MAX_EXTENSIONS`].
    pub extensions: Vec<(u32, [u8; HASH_LEN])>,
    pub configuration: ConfigurationClaim,
    /// [`roots_hash`](crate::roots_hash) of the certificates that quotes of other enclaves may end in beside Intel's;
    /// `None`: in no other.
    pub quote_roots: Option<[u8; HASH_LEN]>,
    /// Who may ask it for what.
    pub callers: CallerPolicy,
    /// Whose tokens its callers may show. By name, ascending, none twice, at most
    /// [`MAX_ISSUERS`](cloister_api::MAX_ISSUERS).
    pub issuers: Vec<IssuerClaim>,
}

/// Read-only files that belong to an app's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetsClaim {
    /// The directory in which the app sees them; no other directory of the app lies in it.
    pub at: String,
    /// What [`AssetsHash`](crate::AssetsHash) makes of them.
    pub hash: [u8; HASH_LEN],
}

/// Whether an app has to be configured by its owner before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigurationClaim {
    /// It answers since it was deployed.
    #[default]
    NotNeeded,
    /// It answers nothing but the export that configures it, and this to its owner alone.
    Awaited,
    /// It was configured, as it said itself.
    Complete,
}

impl From<ConfigurationClaim> for ConfigurationState {
    fn from(claim: ConfigurationClaim) -> Self {
        match claim {
            ConfigurationClaim::NotNeeded => Self::NotNeeded,
            ConfigurationClaim::Awaited => Self::Awaited,
            ConfigurationClaim::Complete => Self::Complete,
        }
    }
}

impl From<ConfigurationState> for ConfigurationClaim {
    fn from(state: ConfigurationState) -> Self {
        match state {
            ConfigurationState::NotNeeded => Self::NotNeeded,
            ConfigurationState::Awaited => Self::Awaited,
            ConfigurationState::Complete => Self::Complete,
        }
    }
}

impl AppClaims {
    /// The SHA-256 of the value that the app shows under this number.
    pub fn extension(&self, suffix: u32) -> Option<&[u8; HASH_LEN]> {
        self.extensions.iter().find(|(number, _)| *number == suffix).map(|(_, hash)| hash)
    }

    /// Whether `value` is what the app shows under this number: the evidence vouches for it then.
    pub fn vouches_for(&self, suffix: u32, value: &[u8]) -> bool {
        self.extension(suffix) == Some(&sha256(value))
    }

    /// SHA-256 of the app's entry in the canonical encoding of the claims: what its certificates show as its configuration
    /// root.
    ///
    /// # Errors
    /// As of [`encode`](Self::encode).
    pub fn hash(&self) -> Result<[u8; HASH_LEN], ClaimsError> {
        Ok(sha256(&self.encode()?))
    }

    /// What an endorsement of this app is about: SHA-256 of its entry as it is right after a deploy, without what the app itself
    /// says later. Whoever endorses it knows it before it runs.
    ///
    /// # Errors
    /// As of [`encode`](Self::encode).
    pub fn endorsement_hash(&self) -> Result<[u8; HASH_LEN], ClaimsError> {
        let configuration = match self.configuration {
            ConfigurationClaim::NotNeeded => ConfigurationClaim::NotNeeded,
            ConfigurationClaim::Awaited | ConfigurationClaim::Complete => ConfigurationClaim::Awaited,
        };
        Self { extensions: Vec::new(), configuration, ..self.clone() }.hash()
    }

    /// The app's entry in the canonical encoding of the claims.
    ///
    /// # Errors
    /// [`ClaimsError`] where a list is out of order or too long.
    pub fn encode(&self) -> Result<Vec<u8>, ClaimsError> {
        let mut writer = Writer::default();
        self.write(&mut writer)?;
        Ok(writer.finish())
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), ClaimsError> {
        self.check_extensions()?;
        writer.map(ENTRIES);
        writer.key(0).text(self.name.as_str());
        writer.key(1).bytes(&self.code_hash);
        writer.key(2).bytes(&self.owner);
        let limits = &self.limits;
        let numbers = [
            limits.fuel,
            limits.memory,
            limits.table_elements,
            limits.instances.into(),
            limits.handles.into(),
            limits.result,
            limits.log,
            limits.wall_time_ms,
            limits.storage,
            limits.files,
        ];
        writer.key(3).array(numbers.len());
        numbers.into_iter().for_each(|number| writer.uint(number));
        writer.key(4).bytes(&self.environment);
        self.upgrade.write(writer.key(5))?;
        let mut callers = Vec::from_iter(self.callers.rules().iter().map(ToString::to_string));
        callers.sort_unstable();
        writer.key(6).array(callers.len());
        callers.iter().for_each(|rule| writer.text(rule));
        let rules = self.network.rules();
        writer.key(7).array(rules.len());
        rules.iter().for_each(|rule| writer.text(&rule.to_string()));
        writer.key(8).optional_bytes(self.roots.as_ref());
        match &self.assets {
            None => writer.key(9).null(),
            Some(assets) => {
                writer.key(9).array(2);
                writer.text(&assets.at);
                writer.bytes(&assets.hash);
            }
        }
        writer.key(10).bytes(&self.config);
        writer.key(11).map(self.extensions.len() as u64);
        for (suffix, hash) in &self.extensions {
            writer.key((*suffix).into()).bytes(hash);
        }
        writer.key(12).uint(match self.configuration {
            ConfigurationClaim::NotNeeded => 0,
            ConfigurationClaim::Awaited => 1,
            ConfigurationClaim::Complete => 2,
        });
        writer.key(13).optional_bytes(self.quote_roots.as_ref());
        issuer::write(&self.issuers, writer.key(14))?;
        writer.key(15).array(0);
        Ok(())
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        reader.map_of(ENTRIES)?;
        let app = Self {
            name: reader
                .key(0)?
                .text()?
                .parse()
                .map_err(|_| ClaimsError::Shape { expected: "the name of an app" })?,
            code_hash: reader.key(1)?.bytes()?,
            owner: reader.key(2)?.bytes()?,
            limits: decode_limits(reader.key(3)?)?,
            environment: reader.key(4)?.bytes()?,
            upgrade: UpgradePolicy::decode(reader.key(5)?)?,
            callers: decode_callers(reader.key(6)?)?,
            network: decode_network(reader.key(7)?)?,
            roots: reader.key(8)?.optional_bytes()?,
            assets: AssetsClaim::decode(reader.key(9)?)?,
            config: reader.key(10)?.bytes()?,
            extensions: decode_extensions(reader.key(11)?)?,
            configuration: match reader.key(12)?.uint()? {
                0 => ConfigurationClaim::NotNeeded,
                1 => ConfigurationClaim::Awaited,
                2 => ConfigurationClaim::Complete,
                _ => return Err(ClaimsError::Shape { expected: "a known state of configuration" }),
            },
            quote_roots: reader.key(13)?.optional_bytes()?,
            issuers: issuer::decode(reader.key(14)?)?,
        };
        if reader.key(15)?.array()? != 0 {
            return Err(ClaimsError::Shape { expected: "an app without links" });
        }
        app.check_extensions()?;
        Ok(app)
    }

    fn check_extensions(&self) -> Result<(), ClaimsError> {
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(ClaimsError::TooManyExtensions(self.extensions.len()));
        }
        ascending(&self.extensions, |(suffix, _)| suffix, "extensions of an app")
    }
}

impl AssetsClaim {
    fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, ClaimsError> {
        if reader.null() {
            return Ok(None);
        }
        if reader.array()? != 2 {
            return Err(ClaimsError::Shape { expected: "a path and a hash of assets" });
        }
        Ok(Some(Self { at: reader.text()?.to_owned(), hash: reader.bytes()? }))
    }
}

/// A map from number to hash. Its order is checked with that of the whole entry.
fn decode_extensions(reader: &mut Reader<'_>) -> Result<Vec<(u32, [u8; HASH_LEN])>, ClaimsError> {
    let mut extensions = Vec::new();
    for _ in 0..reader.map()? {
        extensions.push((reader.narrow("a 32-bit number of an extension")?, reader.bytes()?));
    }
    Ok(extensions)
}

/// Each rule in its canonical text, ascending, none twice, and within the bounds of a policy.
fn decode_network(reader: &mut Reader<'_>) -> Result<NetworkPolicy, ClaimsError> {
    let rules = decode_rules(reader, "network rules", "a network rule in its canonical text")?;
    NetworkPolicy::new(rules)
        .map_err(|_| ClaimsError::Shape { expected: "as many network rules as an app may have" })
}

/// As [`decode_network`].
fn decode_callers(reader: &mut Reader<'_>) -> Result<CallerPolicy, ClaimsError> {
    let rules: Vec<CallerRule> =
        decode_rules(reader, "rules of callers", "a rule of callers in its canonical text")?;
    CallerPolicy::new(rules)
        .map_err(|_| ClaimsError::Shape { expected: "as many rules of callers as an app may have" })
}

fn decode_rules<T: FromStr + ToString>(
    reader: &mut Reader<'_>,
    list: &'static str,
    expected: &'static str,
) -> Result<Vec<T>, ClaimsError> {
    let texts = reader.list(|reader| reader.text())?;
    ascending(&texts, |text| *text, list)?;
    let canonical = |text: &str| match text.parse::<T>() {
        Ok(rule) if rule.to_string() == text => Ok(rule),
        _ => Err(ClaimsError::Shape { expected }),
    };
    texts.into_iter().map(canonical).collect()
}

fn decode_limits(reader: &mut Reader<'_>) -> Result<Limits, ClaimsError> {
    if reader.array()? != 10 {
        return Err(ClaimsError::Shape { expected: "ten limits" });
    }
    Ok(Limits {
        fuel: reader.uint()?,
        memory: reader.uint()?,
        table_elements: reader.uint()?,
        instances: reader.narrow("a 32-bit limit")?,
        handles: reader.narrow("a 32-bit limit")?,
        result: reader.uint()?,
        log: reader.uint()?,
        wall_time_ms: reader.uint()?,
        storage: reader.uint()?,
        files: reader.uint()?,
    })
}

/// Most values that an app shows in its certificates.
pub const MAX_EXTENSIONS: usize = 16;
/// Longest value that an app shows in its certificates, in bytes.
pub const MAX_EXTENSION_VALUE: usize = 4 << 10;
/// Bytes of all values together that an app shows in its certificates.
pub const MAX_EXTENSION_VALUES: usize = 8 << 10;
/// Entries of an app's map.
const ENTRIES: u64 = 16;
