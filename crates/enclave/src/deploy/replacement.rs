//! What may take an app's place and keep its data: as the present app's policy says, never as the new one's.

use crate::storage::Record;
use cloister_api::{
    Code, ENDORSEMENTS_HEADER, Endorsement, KeyFingerprint, MAX_ENDORSEMENTS_TEXT, Problem, Upgrade,
};
use cloister_attestation::{AppClaims, endorsement_statement, verify_endorsements};
use http::HeaderMap;

/// The endorsements in a request's header; none where it has none.
///
/// # Errors
/// [`Code::InvalidSettings`].
pub(super) fn endorsements(headers: &HeaderMap) -> Result<Vec<Endorsement>, Problem> {
    let Some(value) = headers.get(ENDORSEMENTS_HEADER) else { return Ok(Vec::new()) };
    let invalid = |why: String| Problem::new(Code::InvalidSettings, format!("{ENDORSEMENTS_HEADER}: {why}"));
    if value.len() > MAX_ENDORSEMENTS_TEXT {
        return Err(invalid(format!("it is longer than {MAX_ENDORSEMENTS_TEXT} bytes")));
    }
    serde_json::from_slice(value.as_bytes()).map_err(|error| invalid(error.to_string()))
}

/// Whether anything may take the place of the app with this record: what can be said before the rest is known.
///
/// # Errors
/// [`Code::UpgradeFrozen`].
pub(super) fn check_possible(present: &Record) -> Result<(), Problem> {
    match present.upgrade {
        Upgrade::Owner | Upgrade::Endorsed { .. } => Ok(()),
        Upgrade::Frozen => Err(Problem::new(
            Code::UpgradeFrozen,
            "the app is frozen: nothing may take its place and keep its data. Its owner can remove it with its data",
        )),
    }
}

/// Whether this app may take the place of the one with the record `present`.
///
/// # Errors
/// [`Code::UpgradeFrozen`], [`Code::EndorsementMissing`].
pub(super) fn check(present: &Record, next: &AppClaims, given: &[Endorsement]) -> Result<(), Problem> {
    check_possible(present)?;
    let Upgrade::Endorsed { threshold, keys } = &present.upgrade else { return Ok(()) };
    let hash = next
        .endorsement_hash()
        .map_err(|error| Problem::new(Code::EvidenceUnavailable, format!("nothing was changed: {error}")))?;
    let statement = endorsement_statement(&hash);
    let hashes = Vec::from_iter(keys.iter().map(|key| *key.as_bytes()));
    let Err(error) = verify_endorsements(&statement, given, *threshold, &hashes) else { return Ok(()) };
    let has_signed =
        |key: &&KeyFingerprint| verify_endorsements(&statement, given, 1, &[*key.as_bytes()]).is_ok();
    let missing = keys.iter().filter(|key| !has_signed(key)).map(ToString::to_string);
    let missing = Vec::from_iter(missing).join(", ");
    Err(Problem::new(
        Code::EndorsementMissing,
        format!(
            "nothing was changed: {error}. Of the {} keys that endorse what may take this app's place, {threshold} have to sign \
             the endorsement hash {}; these have not: {missing}",
            keys.len(),
            hex::encode(hash)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn endorsements_are_a_short_list() {
        let parsed = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ENDORSEMENTS_HEADER, HeaderValue::from_str(text).unwrap());
            endorsements(&headers).map_err(|problem| problem.code)
        };
        assert_eq!(endorsements(&HeaderMap::new()), Ok(Vec::new()));
        assert_eq!(parsed("[]"), Ok(Vec::new()));
        assert_eq!(parsed(r#"[{"key":"a","signature":"b"}]"#).map(|list| list.len()), Ok(1));
        let long = format!("{:width$}", "[]", width = MAX_ENDORSEMENTS_TEXT + 1);
        for bad in ["", "{}", "[1]", r#"[{"key":"a"}]"#, r#"[{"key":"a","signature":"b","more":1}]"#, &long] {
            assert_eq!(parsed(bad), Err(Code::InvalidSettings), "{bad:.20}");
        }
    }
}
