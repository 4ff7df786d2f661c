use cloister_volume::kv::Namespace;

use super::roles::{Roles, Standing};
use super::users;
use crate::bindings::privasys::enclave_os::auth::Host;
use crate::error::{Failure, answer};
use crate::{Caller, CallerId, Error, PlatformCtxView, prices};

impl Host for PlatformCtxView<'_> {
    async fn get_caller_id(&mut self) -> wasmtime::Result<Result<String, String>> {
        answer(self.caller_id().await)
    }

    async fn get_my_roles(&mut self) -> wasmtime::Result<Result<Vec<String>, String>> {
        answer(self.my_roles().await)
    }

    async fn list_users(&mut self) -> wasmtime::Result<Result<Vec<(String, Vec<String>)>, String>> {
        answer(self.users().await)
    }

    async fn get_user_roles(&mut self, user_id: String) -> wasmtime::Result<Result<Vec<String>, String>> {
        answer(self.roles_of(&user_id).await)
    }

    async fn set_user_roles(
        &mut self,
        user_id: String,
        roles: Vec<String>,
    ) -> wasmtime::Result<Result<String, String>> {
        answer(self.give_roles(&user_id, roles).await)
    }

    async fn remove_user_roles(&mut self, user_id: String) -> wasmtime::Result<Result<String, String>> {
        answer(self.take_roles(&user_id).await)
    }
}

impl PlatformCtxView<'_> {
    async fn caller_id(&mut self) -> Result<String, Failure> {
        self.pay(0).await?;
        Ok(self.caller()?.id.to_string())
    }

    async fn my_roles(&mut self) -> Result<Vec<String>, Failure> {
        self.pay(prices::VAULT_LOOK).await?;
        match self.caller() {
            Ok(Caller { id, roles }) => {
                let given = self.given_roles(id)?.with_token(roles);
                Ok(given.of(self.standing(id)))
            }
            Err(_) => Ok(Vec::new()),
        }
    }

    async fn users(&mut self) -> Result<Vec<(String, Vec<String>)>, Failure> {
        self.pay(2 * prices::VAULT_LOOK).await?;
        self.check_admin()?;
        let Some(vault) = self.roles_vault() else { return Ok(Vec::new()) };
        let entries = vault.usage().map_err(Error::from)?.keys;
        self.pay(entries.saturating_mul(prices::LISTED_USER)).await?;
        let users = users::all(&vault)?.into_iter();
        Ok(users.map(|(user, roles)| (user.to_string(), roles.of(self.standing(&user)))).collect())
    }

    async fn roles_of(&mut self, user_id: &str) -> Result<Vec<String>, Failure> {
        self.pay((2 * prices::VAULT_LOOK).saturating_add(user_id.len() as u64)).await?;
        let user = users::parse(user_id)?;
        if self.caller().map(|caller| &caller.id) != Ok(&user) {
            self.check_admin()?;
        }
        Ok(self.given_roles(&user)?.of(self.standing(&user)))
    }

    async fn give_roles(&mut self, user_id: &str, roles: Vec<String>) -> Result<String, Failure> {
        let bytes = roles.iter().fold(user_id.len(), |bytes, role| bytes + role.len() + ROLE_BYTES);
        self.pay(prices::VAULT_CHANGE.saturating_add(bytes as u64)).await?;
        self.check_admin()?;
        let (user, roles) = (users::parse(user_id)?, Roles::parse(roles)?);
        users::set_roles(&self.change_vault().await?, &user, &roles)?;
        Ok(user.to_string())
    }

    async fn take_roles(&mut self, user_id: &str) -> Result<String, Failure> {
        self.pay(prices::VAULT_CHANGE.saturating_add(user_id.len() as u64)).await?;
        self.check_admin()?;
        let user = users::parse(user_id)?;
        users::remove_roles(&self.change_vault().await?, &user)?;
        Ok(user.to_string())
    }

    fn caller(&self) -> Result<&Caller, Error> {
        self.ctx.caller.as_ref().ok_or(Error::NoCaller)
    }

    fn standing(&self, user: &CallerId) -> Standing {
        if user.principal() == self.ctx.settings.app.owner() { Standing::Owner } else { Standing::Other }
    }

    fn check_admin(&self) -> Result<(), Error> {
        let caller = &self.caller()?.id;
        if self.standing(caller) == Standing::Owner || self.given_roles(caller)?.is_admin() {
            Ok(())
        } else {
            Err(Error::NotAdmin)
        }
    }

    /// Nobody was given a role where there is nowhere to keep it.
    fn given_roles(&self, user: &CallerId) -> Result<Roles, Error> {
        self.roles_vault().map_or(Ok(Roles::default()), |vault| users::roles(&vault, user))
    }

    fn roles_vault(&self) -> Option<Namespace> {
        self.look_at_vault().ok()
    }
}

/// What a role costs beside its bytes.
const ROLE_BYTES: usize = 32;
