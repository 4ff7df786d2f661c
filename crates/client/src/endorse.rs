//! What an enclave will claim of an app, before it has it: for those who sign what may run.

use crate::{AppClaims, AssetsClaim};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{AppName, DEFAULT_ASSETS_AT, DeploySettings, InvalidTokenIssuer, check_issuers};
use cloister_attestation::{ClaimsError, ConfigurationClaim, IssuerClaim, environment_hash, roots_hash};

/// An app as its owner is going to deploy it.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub name: AppName,
    /// SHA-256 of the owner's SubjectPublicKeyInfo, or its [`token_principal`](cloister_api::token_principal).
    pub owner: [u8; 32],
    /// SHA-256 of the `.wasm`.
    pub code_hash: [u8; 32],
    /// [`Tree::assets_hash`](crate::Tree::assets_hash) of what is uploaded as assets.
    pub assets: Option<[u8; 32]>,
    /// Rules of callers name exports in full.
    pub settings: DeploySettings,
}

/// What an enclave claims of an app right after it was deployed so: what
/// [`Identity::endorse`](crate::Identity::endorse) signs.
///
/// # Errors
/// [`NotDeployable`] where no enclave would take these settings.
pub fn deployed_claims(deployment: &Deployment) -> Result<AppClaims, NotDeployable> {
    let Deployment { name, owner, code_hash, assets, settings } = deployment;
    check_issuers(&settings.issuers)?;
    let at = settings.assets_at.as_deref().unwrap_or(DEFAULT_ASSETS_AT);
    let names = |variables: &[cloister_api::EnvironmentVariable]| {
        environment_hash(variables.iter().map(|variable| variable.name.as_str()))
    };
    Ok(AppClaims {
        name: name.clone(),
        code_hash: *code_hash,
        owner: *owner,
        limits: settings.limits.clone(),
        environment: names(&settings.environment),
        upgrade: (&settings.upgrade).into(),
        network: settings.network.clone(),
        roots: hash_of(&settings.roots)?,
        assets: assets.map(|hash| AssetsClaim { at: at.to_owned(), hash }),
        config: names(&settings.config),
        extensions: Vec::new(),
        configuration: match settings.configure_with {
            None => ConfigurationClaim::NotNeeded,
            Some(_) => ConfigurationClaim::Awaited,
        },
        quote_roots: hash_of(&settings.quote_roots)?,
        callers: settings.callers.clone(),
        issuers: IssuerClaim::of_all(&settings.issuers)?,
    })
}

/// No enclave takes these settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDeployable {
    #[error("a root certificate is not base64: {0}")]
    Roots(#[from] base64::DecodeError),
    #[error(transparent)]
    Issuers(#[from] InvalidTokenIssuer),
    #[error(transparent)]
    Claims(#[from] ClaimsError),
}

fn hash_of(certificates: &[String]) -> Result<Option<[u8; 32]>, base64::DecodeError> {
    let ders = certificates.iter().map(|text| BASE64_STANDARD.decode(text)).collect::<Result<Vec<_>, _>>()?;
    Ok((!ders.is_empty()).then(|| roots_hash(ders.iter().map(Vec::as_slice))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_api::{CallerPolicy, EnvironmentVariable, TokenIssuer, Upgrade};

    fn deployment(settings: DeploySettings) -> Deployment {
        let name = "hello".parse().unwrap();
        Deployment { name, owner: [1; 32], code_hash: [2; 32], assets: None, settings }
    }

    fn claims(settings: DeploySettings) -> AppClaims {
        deployed_claims(&deployment(settings)).unwrap()
    }

    #[test]
    fn values_are_no_part_of_what_is_claimed_and_all_else_is() {
        let variable = |value: &str| EnvironmentVariable { name: "K".into(), value: value.into() };
        let with = |value: &str| {
            let environment = vec![variable(value)];
            claims(DeploySettings { environment, ..DeploySettings::default() })
        };
        assert_eq!(with("1"), with("2"));
        let default = claims(DeploySettings::default());
        let frozen = DeploySettings { upgrade: Upgrade::Frozen, ..DeploySettings::default() };
        let callers = DeploySettings { callers: CallerPolicy::public(), ..DeploySettings::default() };
        let roots = DeploySettings { roots: vec!["AQ==".into()], ..DeploySettings::default() };
        let configured = DeploySettings { configure_with: Some("c".into()), ..DeploySettings::default() };
        let hashes = [with("1"), claims(frozen), claims(callers), claims(roots), claims(configured)]
            .map(|claims| claims.endorsement_hash().unwrap());
        for (i, hash) in hashes.iter().enumerate() {
            assert_ne!(*hash, default.endorsement_hash().unwrap());
            assert!(!hashes[..i].contains(hash));
        }
    }

    #[test]
    fn assets_are_where_the_settings_say() {
        let settings = DeploySettings { assets_at: Some("/www".into()), ..DeploySettings::default() };
        let with = Deployment { assets: Some([7; 32]), ..deployment(settings) };
        let expected = AssetsClaim { at: "/www".into(), hash: [7; 32] };
        assert_eq!(deployed_claims(&with).unwrap().assets, Some(expected));
        let usual = Deployment { assets: Some([7; 32]), ..deployment(DeploySettings::default()) };
        assert_eq!(deployed_claims(&usual).unwrap().assets.unwrap().at, "/assets");
    }

    #[test]
    fn settings_that_no_enclave_takes_are_refused() {
        let roots = DeploySettings { roots: vec!["?".into()], ..DeploySettings::default() };
        assert!(matches!(deployed_claims(&deployment(roots)), Err(NotDeployable::Roots(_))));
        let issuer = TokenIssuer {
            name: "a".into(),
            issuer: "http://a".into(),
            audience: "a".into(),
            roles_claim: "roles".into(),
            jwks: None,
            roots: Vec::new(),
        };
        let issuers = DeploySettings { issuers: vec![issuer], ..DeploySettings::default() };
        assert!(matches!(deployed_claims(&deployment(issuers)), Err(NotDeployable::Issuers(_))));
    }
}
