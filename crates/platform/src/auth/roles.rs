use std::collections::BTreeSet;

use crate::Error;

/// The roles that a user was given, sorted. Neither more nor longer than allowed, and never `owner`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(BTreeSet<String>);

impl Roles {
    /// # Errors
    /// [`Error::Role`], [`Error::OwnerRole`], [`Error::TooManyRoles`].
    pub(super) fn parse(roles: Vec<String>) -> Result<Self, Error> {
        let roles: BTreeSet<_> = roles.into_iter().collect();
        if roles.len() > MAX_ROLES {
            return Err(Error::TooManyRoles);
        }
        for role in &roles {
            if role == OWNER {
                return Err(Error::OwnerRole);
            }
            if !is_role(role) {
                return Err(Error::Role);
            }
        }
        Ok(Self(roles))
    }

    /// With what the issuer of the user's token says of them, as far as it can be roles: neither of the two that are the
    /// app's to give.
    pub(super) fn with_token(mut self, said: &[String]) -> Self {
        let own = |role: &&String| !matches!(role.as_str(), OWNER | ADMIN) && is_role(role);
        self.0.extend(said.iter().filter(own).take(MAX_ROLES).cloned());
        self
    }

    /// A byte for the version of this layout; then for each role, sorted, a byte that says its length, and its text.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut value = vec![VERSION];
        for role in &self.0 {
            // At most `MAX_ROLE_BYTES`.
            value.push(role.len() as u8);
            value.extend_from_slice(role.as_bytes());
        }
        value
    }

    /// None where the value is not of this layout.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (&VERSION, mut rest) = value.split_first()? else { return None };
        let mut roles = Vec::new();
        while let Some((length, text)) = rest.split_first() {
            let (role, after) = text.split_at_checked((*length).into())?;
            roles.push(str::from_utf8(role).ok()?.to_owned());
            rest = after;
        }
        let decoded = Self::parse(roles).ok()?;
        (decoded.encode() == value).then_some(decoded)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_admin(&self) -> bool {
        self.0.contains(ADMIN)
    }

    /// As a guest gets them, sorted; with the owner's role for the owner.
    pub(super) fn of(mut self, standing: Standing) -> Vec<String> {
        if standing == Standing::Owner {
            self.0.insert(OWNER.to_owned());
        }
        self.0.into_iter().collect()
    }
}

/// What a user is to the app, whatever roles they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// They deployed it.
    Owner,
    /// Anybody else.
    Other,
}

fn is_role(role: &str) -> bool {
    (1..=MAX_ROLE_BYTES).contains(&role.len()) && !role.chars().any(char::is_control)
}

/// The most roles of a user, and the most that count of a token.
pub(crate) const MAX_ROLES: usize = 32;
/// The longest role in bytes.
pub(crate) const MAX_ROLE_BYTES: usize = 64;
/// The role of whoever deployed the app.
const OWNER: &str = "owner";
/// The role that may change others' roles.
const ADMIN: &str = "admin";
/// Of the layout of a value.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_sorted_and_told_once() {
        let roles = parse(&["nurse", "admin", "nurse"]).unwrap();
        assert!(roles.is_admin());
        assert_eq!(roles.clone().of(Standing::Other), ["admin", "nurse"]);
        assert_eq!(roles.of(Standing::Owner), ["admin", "nurse", "owner"]);
    }

    #[test]
    fn a_token_adds_roles_but_not_those_that_are_the_apps_to_give() {
        let said = ["writes", "admin", "owner", "", "a\nb", "reads"].map(str::to_owned);
        let roles = parse(&["reads"]).unwrap().with_token(&said);
        assert!(!roles.is_admin());
        assert_eq!(roles.of(Standing::Other), ["reads", "writes"]);
        let many: Vec<_> = (0..100).map(|n| format!("{n:03}")).collect();
        assert_eq!(Roles::default().with_token(&many).of(Standing::Other).len(), MAX_ROLES);
    }

    #[test]
    fn what_is_no_role_is_an_error() {
        for bad in ["", "a\nb", "\0", &"x".repeat(65)] {
            assert_eq!(parse(&[bad]), Err(Error::Role), "{bad:?}");
        }
        assert_eq!(parse(&["admin", "owner"]), Err(Error::OwnerRole));
        let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(parse(&many), Err(Error::TooManyRoles));
        assert!(parse(&many[..32]).is_ok());
    }

    #[test]
    fn roles_survive_their_encoding() {
        for roles in [&[][..], &["a"], &["a", "Ärztin", &"x".repeat(64)]] {
            let roles = parse(roles).unwrap();
            assert_eq!(Roles::decode(&roles.encode()), Some(roles));
        }
    }

    #[test]
    fn values_of_another_layout_are_none() {
        for value in [
            &b""[..],
            b"\x02\x01a",
            b"\x01\x02a",
            b"\x01\x00",
            b"\x01\x01b\x01a",
            b"\x01\x01\xff",
            b"\x01\x05owner",
        ] {
            assert_eq!(Roles::decode(value), None, "{value:?}");
        }
    }

    fn parse(roles: &[&str]) -> Result<Roles, Error> {
        Roles::parse(roles.iter().map(|role| (*role).to_owned()).collect())
    }
}
