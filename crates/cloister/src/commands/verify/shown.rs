//! What the evidence says of the enclave and of its apps, in words and in JSON.

use crate::output::{Paint, ShownIssuer, access, issuers, network, printable};
use crate::quantity::Digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{ConfigurationState, ImageUpgrade, Upgrade};
use cloister_client::{AppClaims, Claims, ConfigurationClaim, ImageUpgradeClaim, IssuerClaim, extension_oid};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What it says of the enclave itself.
pub(super) fn enclave_value(claims: &Claims) -> Value {
    json!({
        "identity": Digest(claims.tls_key),
        "owners": claims.owners.iter().copied().map(Digest).collect::<Vec<_>>(),
        "operator": claims.operator.map(Digest),
        "issuers": claims.issuers.iter().map(issuer_value).collect::<Vec<_>>(),
        "image_upgrade": ImageUpgrade::from(&claims.image_upgrade),
        "lineage": claims.lineage.iter().copied().map(Digest).collect::<Vec<_>>(),
        "boot_counter": claims.boot.counter,
        "made": claims.made,
    })
}

/// The same in words.
pub(super) fn enclave_text(claims: &Claims) -> String {
    let mut text = String::new();
    let mut list = |name: &str, values: Vec<String>, none: &str| {
        let lines = if values.is_empty() { none.to_owned() } else { values.join("\n               ") };
        let _ = writeln!(text, "  {name:<12} {lines}");
    };
    let digests = |values: &[[u8; 32]]| values.iter().map(|value| Digest(*value).to_string()).collect();
    list("identity", digests(&[claims.tls_key]), "");
    list("owners", digests(&claims.owners), "none: nobody may deploy");
    list("operator", digests(claims.operator.as_slice()), "none");
    list("upgrades", upgrades(&claims.image_upgrade), "");
    if !claims.lineage.is_empty() {
        list("before it", digests(&claims.lineage), "");
    }
    list("starts", vec![claims.boot.counter.to_string()], "");
    text.push_str(&issuers(claims.issuers.iter().map(shown_issuer)));
    text
}

/// What it says of an app that its code does not; with the values that the app shows, where they were seen.
pub(super) fn app_value(app: &AppClaims, values: Option<&BTreeMap<u32, Vec<u8>>>) -> Value {
    let assets = app.assets.as_ref().map(|assets| json!({ "hash": Digest(assets.hash), "at": assets.at }));
    let extension = |(suffix, hash): &(u32, [u8; 32])| {
        let (oid, hash) = (extension_oid(*suffix), Digest(*hash));
        let value = values.and_then(|values| values.get(suffix)).map(|value| BASE64_STANDARD.encode(value));
        json!({ "suffix": suffix, "oid": oid, "hash": hash, "value": value })
    };
    json!({
        "name": app.name,
        "code_hash": Digest(app.code_hash),
        "owner": Digest(app.owner),
        "callers": app.callers,
        "issuers": app.issuers.iter().map(issuer_value).collect::<Vec<_>>(),
        "upgrade": Upgrade::from(&app.upgrade),
        "network": app.network,
        "sends_plaintext": app.network.is_plaintext(),
        "roots": app.roots.map(Digest),
        "quote_roots": app.quote_roots.map(Digest),
        "assets": assets,
        "configuration": ConfigurationState::from(app.configuration),
        "extensions": app.extensions.iter().map(extension).collect::<Vec<_>>(),
    })
}

/// The same in words.
pub(super) fn app_text(app: &AppClaims, paint: Paint) -> String {
    let mut text =
        format!("  code hash    {}\n  owner        {}\n", Digest(app.code_hash), Digest(app.owner));
    match app.configuration {
        ConfigurationClaim::NotNeeded => {}
        ConfigurationClaim::Complete => text.push_str("  configured   yes, as it says\n"),
        ConfigurationClaim::Awaited => {
            let _ = writeln!(
                text,
                "  configured   {}",
                paint.yellow("NO: it answers its owner's configuration alone")
            );
        }
    }
    text.push_str(&access(&app.callers, &Upgrade::from(&app.upgrade)));
    text.push_str(&issuers(app.issuers.iter().map(shown_issuer)));
    text.push_str(&network(&app.network, paint));
    if let Some(roots) = app.roots {
        let _ = writeln!(text, "  roots        {} (its own certificates for https)", Digest(roots));
    }
    if let Some(roots) = app.quote_roots {
        let _ = writeln!(text, "  quote roots  {} (beside Intel's)", Digest(roots));
    }
    if let Some(assets) = &app.assets {
        let _ = writeln!(text, "  assets       {} at {}", Digest(assets.hash), printable(&assets.at));
    }
    for (suffix, hash) in &app.extensions {
        let _ = writeln!(text, "  extension    {suffix}: {}", Digest(*hash));
    }
    text
}

fn issuer_value(issuer: &IssuerClaim) -> Value {
    json!({
        "name": issuer.name,
        "issuer": issuer.issuer,
        "audience": issuer.audience,
        "roles_claim": issuer.roles_claim,
        "jwks": issuer.jwks,
        "roots": issuer.roots.map(Digest),
    })
}

fn shown_issuer(issuer: &IssuerClaim) -> ShownIssuer<'_> {
    ShownIssuer {
        name: &issuer.name,
        url: &issuer.issuer,
        audience: &issuer.audience,
        roles_claim: &issuer.roles_claim,
    }
}

/// Which images may get the volume.
fn upgrades(claim: &ImageUpgradeClaim) -> Vec<String> {
    match claim {
        ImageUpgradeClaim::Never => vec!["no other image gets its volume".to_owned()],
        ImageUpgradeClaim::Operator => vec!["whichever image its operator names gets its volume".to_owned()],
        ImageUpgradeClaim::Listed(images) => images.iter().map(|image| Digest(*image).to_string()).collect(),
        ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn } => {
            vec![format!(
                "signed by {}, product {product}, version {minimum_svn} or later",
                Digest(*mrsigner)
            )]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_api::{CallerPolicy, NetworkPolicy};
    use cloister_attestation::{Boot, Freshness, PlatformClaim};
    use cloister_client::{AssetsClaim, UpgradePolicy};

    fn app(name: &str, rules: &[&str]) -> AppClaims {
        AppClaims {
            name: name.parse().unwrap(),
            code_hash: [0xc0; 32],
            owner: [1; 32],
            limits: Default::default(),
            environment: [0; 32],
            upgrade: UpgradePolicy::Owner,
            network: NetworkPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap(),
            roots: None,
            assets: Some(AssetsClaim { at: "/www".into(), hash: [0xa5; 32] }),
            config: [0; 32],
            extensions: Vec::new(),
            configuration: ConfigurationClaim::NotNeeded,
            quote_roots: None,
            callers: CallerPolicy::default(),
            issuers: Vec::new(),
        }
    }

    fn issuer() -> IssuerClaim {
        IssuerClaim {
            name: "staff".into(),
            issuer: "https://id.example.com".into(),
            audience: "app".into(),
            roles_claim: "roles".into(),
            jwks: None,
            roots: Some([3; 32]),
        }
    }

    #[test]
    fn apps_are_shown_with_their_rules_and_plaintext_is_called_that() {
        let quiet = app("quiet", &[]);
        let loud = AppClaims {
            extensions: vec![(7, [0xee; 32])],
            configuration: ConfigurationClaim::Awaited,
            quote_roots: Some([0x20; 32]),
            callers: CallerPolicy::new(vec!["*=token:staff".parse().unwrap()]).unwrap(),
            issuers: vec![issuer()],
            upgrade: UpgradePolicy::Frozen,
            ..app("loud", &["https://a.com", "http://b.com"])
        };
        let (hash, assets, owner) = ("c0".repeat(32), "a5".repeat(32), "01".repeat(32));
        let (roots, value) = ("20".repeat(32), "ee".repeat(32));
        assert_eq!(
            app_text(&quiet, Paint::PLAIN),
            format!(
                "  code hash    {hash}\n  owner        {owner}\n  callers      *=owner\n  \
                 upgrade      by its owner\n  network      none: it opens no connections\n  \
                 assets       {assets} at /www\n"
            )
        );
        assert_eq!(
            app_text(&loud, Paint::PLAIN),
            format!(
                "  code hash    {hash}\n  owner        {owner}\n  \
                 configured   NO: it answers its owner's configuration alone\n  callers      *=token:staff\n  \
                 upgrade      frozen: no other code gets its data\n  \
                 issuer       staff: https://id.example.com, audience app, roles in roles\n  \
                 network      http://b.com\n               https://a.com\n               \
                 MAY SEND PLAINTEXT THROUGH THE HOST\n  quote roots  {roots} (beside Intel's)\n  \
                 assets       {assets} at /www\n  extension    7: {value}\n"
            )
        );
        let json = app_value(&loud, None);
        assert_eq!((&json["sends_plaintext"], &json["upgrade"]), (&json!(true), &json!("frozen")));
        assert_eq!(
            (&json["callers"], &json["configuration"]),
            (&json!(["*=token:staff"]), &json!("awaited"))
        );
        assert_eq!(json["issuers"][0]["roots"], "03".repeat(32));
        let json = app_value(&quiet, None);
        assert_eq!((&json["assets"]["at"], &json["configuration"]), (&json!("/www"), &json!("not-needed")));
        let extension = &app_value(&loud, None)["extensions"][0];
        let oid = "1.3.6.1.4.1.65230.3.5.7";
        assert_eq!(extension, &json!({ "suffix": 7, "oid": oid, "hash": value, "value": null }));
        let values = BTreeMap::from([(7, b"abc".to_vec())]);
        assert_eq!(app_value(&loud, Some(&values))["extensions"][0]["value"], "YWJj");
    }

    #[test]
    fn the_enclave_is_shown_with_whom_it_obeys_and_what_may_follow() {
        let claims = Claims {
            tls_key: [9; 32],
            session_key: [4; 65],
            boot: Boot { id: [0; 16], told_time: 1, counter: 12 },
            configuration: [0; 32],
            owners: vec![[1; 32], [2; 32]],
            volume: None,
            freshness: Freshness::None,
            apps: Vec::new(),
            operator: None,
            image_upgrade: ImageUpgradeClaim::Listed(vec![[5; 32]]),
            lineage: vec![[6; 32]],
            made: 7,
            platform: PlatformClaim::Simulated,
            issuers: vec![issuer()],
        };
        let hex = |byte: u8| format!("{byte:02x}").repeat(32);
        assert_eq!(
            enclave_text(&claims),
            format!(
                "  identity     {}\n  owners       {}\n               {}\n  operator     none\n  upgrades     {}\n  before it    {}\n  \
                 starts       12\n  issuer       staff: https://id.example.com, audience app, roles in roles\n",
                hex(9),
                hex(1),
                hex(2),
                hex(5),
                hex(6)
            )
        );
        let json = enclave_value(&claims);
        assert_eq!(json["identity"], hex(9));
        assert_eq!(
            (&json["operator"], &json["boot_counter"], &json["made"]),
            (&json!(null), &json!(12), &json!(7))
        );
        assert_eq!(json["image_upgrade"], json!({ "listed": { "mrenclave": [hex(5)] } }));
        let open = Claims { owners: vec![], image_upgrade: ImageUpgradeClaim::Operator, ..claims };
        let text = enclave_text(&open);
        assert!(text.contains("nobody may deploy") && text.contains("whichever image"), "{text}");
    }
}
