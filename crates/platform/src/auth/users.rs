use cloister_volume::kv::Namespace;

use super::roles::Roles;
use crate::app::{KEY_ID, TOKEN_ID};
use crate::vault::{self, Prefix};
use crate::{CallerId, Error, TokenSubject};

/// The id of a user, as guests write it. Digits of a key in upper case mean the same id.
///
/// # Errors
/// [`Error::UserId`].
pub(super) fn parse(id: &str) -> Result<CallerId, Error> {
    if let Some(token) = id.strip_prefix(TOKEN_ID) {
        let (issuer, subject) = token.split_once('#').ok_or(Error::UserId)?;
        return TokenSubject::new(issuer, subject).map(CallerId::Token).ok_or(Error::UserId);
    }
    let digits = id.strip_prefix(KEY_ID).ok_or(Error::UserId)?.as_bytes();
    let mut key = [0; 32];
    if digits.len() != 2 * key.len() {
        return Err(Error::UserId);
    }
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte =
            pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | value(*digit)?)).ok_or(Error::UserId)?;
    }
    Ok(CallerId::Key(key))
}

/// The roles that a user was given.
pub(super) fn roles(vault: &Namespace, user: &CallerId) -> Result<Roles, Error> {
    let value = vault.get(&PREFIX.key(&user.to_string()))?;
    value.map_or(Ok(Roles::default()), |value| Roles::decode(&value).ok_or(Error::UnreadableRoles))
}

/// Gives a user these roles and no others.
pub(super) fn set_roles(vault: &Namespace, user: &CallerId, roles: &Roles) -> Result<(), Error> {
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
pub(super) fn remove_roles(vault: &Namespace, user: &CallerId) -> Result<(), Error> {
    if vault.delete(&PREFIX.key(&user.to_string()))? { Ok(()) } else { Err(Error::NoRoles) }
}

/// Everybody who was given a role, sorted by id.
pub(super) fn all(vault: &Namespace) -> Result<Vec<(CallerId, Roles)>, Error> {
    let mut users = Vec::new();
    let mut unreadable = false;
    vault::each(vault, PREFIX, |id, value| match (parse(id), Roles::decode(&value)) {
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
        let id = CallerId::Key([0xaf; 32]);
        assert_eq!(parse(&format!("key:{}", "AF".repeat(32))), Ok(id.clone()));
        assert_eq!(parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn an_id_is_a_subject_of_an_issuer() {
        for (issuer, subject) in [("https://id.example", "alice"), ("https://id.example/", "a#b")] {
            let id = CallerId::Token(TokenSubject::new(issuer, subject).unwrap());
            assert_eq!(parse(&id.to_string()), Ok(id));
        }
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
            "token:#alice".to_owned(),
            "token:https://id.example#".to_owned(),
            format!("token:https://id.example#{}", "s".repeat(256)),
        ];
        for bad in bad {
            assert_eq!(parse(&bad), Err(Error::UserId), "{bad}");
        }
    }
}
