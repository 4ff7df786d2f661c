//! What is accepted: by a policy file, or by options and profile.

use crate::failure::Failure;
use crate::settings::{Host, NamedPolicy, Settings};
use cloister_api::AppName;
use cloister_client::{Accepted, ConfigurationDemand, Endpoint, Measurement, Policy, TrustAnchor};
use std::net::IpAddr;

/// The enclaves that are accepted, whatever their apps are.
pub(super) fn policy(settings: &Settings) -> Policy {
    if let Some(named) = &settings.policy {
        return named.file.policy.clone();
    }
    let anchor = match settings.simulated_root {
        Some(root) => TrustAnchor::Simulated { root_fingerprint: root.0 },
        None => TrustAnchor::Intel,
    };
    let measurement = Measurement::Exactly(settings.mrenclave.iter().map(|digest| digest.0).collect());
    let mut policy = Policy::new(anchor, measurement).with_freshness(settings.freshness.0);
    policy.identity = Accepted::from(settings.identity.map(|identity| identity.0));
    policy.minimum_epoch = settings.min_epoch;
    policy.volume_root = settings.volume_root.map(|root| root.0);
    policy
}

/// The same for whoever is about to call this app, whose code may be pinned, and which a policy file has to name. One that awaits its configuration is
/// accepted, since the call may be the one that configures it: any other call is refused by the enclave, which says so.
pub(super) fn policy_of_caller(settings: &Settings, app: &AppName) -> Result<Policy, Failure> {
    let policy = policy(settings);
    if let Some(named) = &settings.policy {
        names(named, app, settings)?;
        return Ok(policy);
    }
    Ok(match settings.code_hash(app) {
        Some(hash) => {
            policy.with_app(app.clone(), hash.0).with_configuration(app.clone(), ConfigurationDemand::Any)
        }
        None => policy,
    })
}

/// A policy file says nothing of an app that it does not name, so that nothing is sent to it.
pub(super) fn names(named: &NamedPolicy, app: &AppName, settings: &Settings) -> Result<(), Failure> {
    if named.file.policy.apps.contains_key(app) {
        return Ok(());
    }
    let known = named.file.policy.apps.keys().map(AppName::as_str);
    let near = crate::failure::near(app.as_str(), known);
    let path = named.path.display();
    Err(Failure::Refused {
        host: settings.host.to_string(),
        reasons: vec![format!("the policy file {path} says nothing of an app {app}")],
        help: Some(match near.first() {
            Some(near) => format!(
                "did you mean {near}? A table [apps.{app}] in the file would say what you accept of it"
            ),
            None => format!("a table [apps.{app}] in the file says what you accept of it"),
        }),
    })
}

/// An address has no labels to put the app's name before, so an app behind one is asked for below `localhost`.
pub(super) fn endpoint(host: &Host, app: Option<&AppName>) -> Endpoint {
    let server_name = match app {
        None => host.name.clone(),
        Some(app) if host.name.parse::<IpAddr>().is_ok() => format!("{app}.localhost"),
        Some(app) => format!("{app}.{}", host.name),
    };
    Endpoint { address: host.to_string(), server_name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::GlobalArguments;
    use crate::profile::Profile;
    use crate::quantity::Digest;
    use cloister_client::FreshnessDemand;

    fn settings(global: &GlobalArguments) -> Settings {
        Settings::merge(global, Profile::default()).unwrap()
    }

    #[test]
    fn by_default_the_policy_accepts_nothing() {
        let policy = policy(&settings(&GlobalArguments::default()));
        assert_eq!(policy.anchor, TrustAnchor::Intel);
        assert_eq!(policy.mrenclave, Measurement::Exactly(vec![]));
        assert_eq!(policy.identity, Accepted::Any);
        assert_eq!((policy.minimum_epoch, policy.volume_root), (None, None));
    }

    #[test]
    fn options_become_the_policy() {
        let global = GlobalArguments {
            mrenclave: vec![Digest([1; 32]), Digest([2; 32])],
            identity: Some(Digest([6; 32])),
            allow_simulated: Some(Digest([3; 32])),
            code_hash: Some(Digest([4; 32])),
            min_epoch: Some(9),
            volume_root: Some(Digest([5; 32])),
            freshness: Some("tpm".parse().unwrap()),
            ..GlobalArguments::default()
        };
        let app: AppName = "hello".parse().unwrap();
        let made = policy_of_caller(&settings(&global), &app).unwrap();
        assert_eq!(made.anchor, TrustAnchor::Simulated { root_fingerprint: [3; 32] });
        assert_eq!(made.mrenclave, Measurement::Exactly(vec![[1; 32], [2; 32]]));
        assert_eq!(made.identity, Accepted::OneOf(vec![[6; 32]]));
        let expected = &made.apps[&app];
        assert_eq!(expected.code, Accepted::OneOf(vec![[4; 32]]));
        assert_eq!(expected.configuration, ConfigurationDemand::Any);
        assert_eq!((made.minimum_epoch, made.volume_root), (Some(9), Some([5; 32])));
        assert_eq!(made.freshness, FreshnessDemand::Tpm { identity: None });
        assert!(policy(&settings(&global)).apps.is_empty());
    }

    #[test]
    fn apps_have_host_names() {
        let app: AppName = "hello".parse().unwrap();
        for (host, plain, own) in [
            ("e.example.com", "e.example.com", "hello.e.example.com"),
            ("localhost:1", "localhost", "hello.localhost"),
            ("127.0.0.1", "127.0.0.1", "hello.localhost"),
            ("[::1]:5", "::1", "hello.localhost"),
        ] {
            let host: Host = host.parse().unwrap();
            assert_eq!(endpoint(&host, None).server_name, plain);
            assert_eq!(endpoint(&host, Some(&app)).server_name, own);
            assert_eq!(endpoint(&host, None).address, host.to_string());
        }
    }
}
