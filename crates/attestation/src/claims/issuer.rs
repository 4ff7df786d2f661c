use super::{ascending, roots_hash};
use crate::codec::{ClaimsError, Reader, Writer};
use crate::{HASH_LEN, sha256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{MAX_ISSUERS, TokenIssuer};

/// An OpenID Connect issuer whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerClaim {
    /// How rules of callers name it: 1 to 32 of `a` to `z`, digits and `-`.
    pub name: String,
    /// Its https URL, which its tokens have as `iss`.
    pub issuer: String,
    /// What its tokens have to have as `aud`.
    pub audience: String,
    /// The claim of a token that lists its subject's roles.
    pub roles_claim: String,
    /// The https URL of its keys; `None`: what its discovery document says.
    pub jwks: Option<String>,
    /// [`roots_hash`] of the certificates that vouch for the servers of its keys; `None`: those that Mozilla trusts.
    pub roots: Option<[u8; HASH_LEN]>,
}

impl IssuerClaim {
    /// The claim about an issuer of a configuration or a deploy.
    ///
    /// # Errors
    /// [`ClaimsError::IssuerRoots`] where its roots are not base64.
    pub fn of(issuer: &TokenIssuer) -> Result<Self, ClaimsError> {
        let roots = issuer.roots.iter().map(|root| BASE64_STANDARD.decode(root));
        let roots = roots
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ClaimsError::IssuerRoots(issuer.name.clone()))?;
        Ok(Self {
            name: issuer.name.clone(),
            issuer: issuer.issuer.clone(),
            audience: issuer.audience.clone(),
            roles_claim: issuer.roles_claim.clone(),
            jwks: issuer.jwks.clone(),
            roots: (!roots.is_empty()).then(|| roots_hash(roots.iter().map(Vec::as_slice))),
        })
    }

    /// The claims about these issuers, in the order that claims have them in.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub fn of_all(issuers: &[TokenIssuer]) -> Result<Vec<Self>, ClaimsError> {
        let mut claims = issuers.iter().map(Self::of).collect::<Result<Vec<_>, _>>()?;
        claims.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(claims)
    }

    /// SHA-256 of its canonical encoding: how policies pin an issuer.
    pub fn hash(&self) -> [u8; HASH_LEN] {
        let mut writer = Writer::default();
        self.write(&mut writer);
        sha256(&writer.finish())
    }

    fn write(&self, writer: &mut Writer) {
        writer.array(6);
        writer.text(&self.name);
        writer.text(&self.issuer);
        writer.text(&self.audience);
        writer.text(&self.roles_claim);
        match &self.jwks {
            None => writer.null(),
            Some(url) => writer.text(url),
        }
        writer.optional_bytes(self.roots.as_ref());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        if reader.array()? != 6 {
            return Err(ClaimsError::Shape { expected: "the six parts of an issuer of tokens" });
        }
        Ok(Self {
            name: reader.text()?.to_owned(),
            issuer: reader.text()?.to_owned(),
            audience: reader.text()?.to_owned(),
            roles_claim: reader.text()?.to_owned(),
            jwks: if reader.null() { None } else { Some(reader.text()?.to_owned()) },
            roots: reader.optional_bytes()?,
        })
    }
}

pub(super) fn write(issuers: &[IssuerClaim], writer: &mut Writer) -> Result<(), ClaimsError> {
    check(issuers)?;
    writer.array(issuers.len());
    issuers.iter().for_each(|issuer| issuer.write(writer));
    Ok(())
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Vec<IssuerClaim>, ClaimsError> {
    let issuers = reader.list(IssuerClaim::decode)?;
    check(&issuers)?;
    Ok(issuers)
}

fn check(issuers: &[IssuerClaim]) -> Result<(), ClaimsError> {
    if issuers.len() > MAX_ISSUERS {
        return Err(ClaimsError::TooManyIssuers(issuers.len()));
    }
    for issuer in issuers {
        let IssuerClaim { name, issuer, audience, roles_claim, jwks, roots: _ } = issuer.clone();
        TokenIssuer { name, issuer, audience, roles_claim, jwks, roots: Vec::new() }.check()?;
    }
    ascending(issuers, |issuer| issuer.name.as_str(), "issuers of tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_claimed_as_it_was_deployed() {
        let issuer = TokenIssuer {
            name: "corp".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            audience: "cloister".to_owned(),
            roles_claim: "roles".to_owned(),
            jwks: Some("https://id.example.com/keys".to_owned()),
            roots: Vec::new(),
        };
        let claim = IssuerClaim::of(&issuer).unwrap();
        assert_eq!((claim.name.as_str(), claim.jwks, claim.roots), ("corp", issuer.jwks.clone(), None));
        let with = |roots: &[&str]| {
            let roots = roots.iter().map(|root| (*root).to_owned()).collect();
            IssuerClaim::of(&TokenIssuer { roots, ..issuer.clone() }).map(|claim| claim.roots)
        };
        assert_eq!(with(&["AQ==", "Ag=="]), Ok(Some(roots_hash([&[1][..], &[2]]))));
        assert_eq!(with(&["?"]), Err(ClaimsError::IssuerRoots("corp".to_owned())));

        let another = TokenIssuer { name: "a".to_owned(), ..issuer.clone() };
        let names = IssuerClaim::of_all(&[issuer, another]).unwrap();
        assert_eq!(Vec::from_iter(names.iter().map(|claim| claim.name.as_str())), ["a", "corp"]);
    }
}
