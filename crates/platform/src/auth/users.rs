use std::fmt;

use cloister_volume::kv::Namespace;

use super::roles::Roles;
use crate::app::KEY_ID;
use crate::vault::{self, Prefix};
use crate::{CallerKey, Error};

/// The id of a user, as guests write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserId(pub(super) CallerKey);

impl UserId {
    /// Digits in upper case mean the same id.
    ///
    /// # Errors
    /// [`Error::UserId`].
    pub(super) fn parse(id: &str) -> Result<Self, Error> {
        let digits = id.strip_prefix(KEY_ID).ok_or(Error::UserId)?.as_bytes();
        let mut key = [0; 32];
        if digits.len() != 2 * key.len() {
            return Err(Error::UserId);
        }
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair
                .iter()
                .try_fold(0, |byte, digit| Some(byte << 4 | value(*digit)?))
                .ok_or(Error::UserId)?;
        }
        Ok(Self(CallerKey(key)))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The roles that a user was given.
pub(super) fn roles(vault: &Namespace, user: UserId) -> Result<Roles, Error> {
    let value = vault.get(&PREFIX.key(&user.to_string()))?;
    value.map_or(Ok(Roles::default()), |value| Roles::decode(&value).ok_or(Error::UnreadableRoles))
}

/// Gives a user these roles and no others.
pub(super) fn set_roles(vault: &Namespace, user: UserId, roles: &Roles) -> Result<(), Error> {
    let entry = PREFIX.key(&user.to_string());
    if roles.is_empty() {
        vault.delete(&entry)?;
        return Ok(());
    }
    if !vault.exists(&entry)? && vault::reaches(vault, PREFIX, MAX_USERS)? {
        return Err(Error::TooManyUsers);
    }
    Ok(vault.set(&entry, &roles.encode())?)
}

/// Takes all roles from a user.
///
/// # Errors
/// [`Error::NoRoles`].
pub(super) fn remove_roles(vault: &Namespace, user: UserId) -> Result<(), Error> {
    if vault.delete(&PREFIX.key(&user.to_string()))? { Ok(()) } else { Err(Error::NoRoles) }
}

/// Everybody who was given a role, sorted by id.
pub(super) fn all(vault: &Namespace) -> Result<Vec<(UserId, Roles)>, Error> {
    let mut users = Vec::new();
    let mut unreadable = false;
    vault::each(vault, PREFIX, |id, value| match (UserId::parse(id), Roles::decode(&value)) {
        (Ok(user), Some(roles)) => users.push((user, roles)),
        _ => unreadable = true,
    })?;
    if unreadable { Err(Error::UnreadableRoles) } else { Ok(users) }
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The most users with roles.
pub(crate) const MAX_USERS: usize = 10_000;
const PREFIX: Prefix = Prefix("user:");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_hash_of_a_key_in_either_case() {
        let id = UserId(CallerKey([0xaf; 32]));
        assert_eq!(UserId::parse(&id.to_string()), Ok(id));
        assert_eq!(UserId::parse(&format!("key:{}", "AF".repeat(32))), Ok(id));
    }

    #[test]
    fn what_is_no_id_is_an_error() {
        let hash = "af".repeat(32);
        let bad = [
            String::new(),
            "key:".to_owned(),
            hash.clone(),
            format!("KEY:{hash}"),
            format!("key:{hash}0"),
            format!("key:{}", &hash[1..]),
            format!("key:{}g", &hash[1..]),
            format!("key:+{}", &hash[1..]),
            format!("key:{}é", &hash[2..]),
            format!("token:{hash}"),
        ];
        for bad in bad {
            assert_eq!(UserId::parse(&bad), Err(Error::UserId), "{bad}");
        }
    }
}
