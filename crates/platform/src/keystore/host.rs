//! `privasys:enclave-os/keystore`.

use zeroize::Zeroizing;

use super::{KeyKind, KeyName, Operation, persisted};
use crate::bindings::privasys::enclave_os::keystore::Host;
use crate::error::{Failure, answer};
use crate::{HmacAlgorithm, PlatformCtxView, SignAlgorithm, prices};

impl Host for PlatformCtxView<'_> {
    async fn generate_symmetric_key(&mut self, key_name: String) -> wasmtime::Result<Result<(), String>> {
        answer(self.new_symmetric_key(key_name).await)
    }

    async fn generate_signing_key(
        &mut self,
        key_name: String,
        algorithm: SignAlgorithm,
    ) -> wasmtime::Result<Result<(), String>> {
        answer(self.new_signing_key(key_name, algorithm).await)
    }

    async fn generate_hmac_key(
        &mut self,
        key_name: String,
        algorithm: HmacAlgorithm,
    ) -> wasmtime::Result<Result<(), String>> {
        answer(self.new_hmac_key(key_name, algorithm).await)
    }

    async fn import_symmetric_key(
        &mut self,
        key_name: String,
        raw_key: Vec<u8>,
    ) -> wasmtime::Result<Result<(), String>> {
        answer(self.imported_key(key_name, Zeroizing::new(raw_key)).await)
    }

    async fn export_public_key(&mut self, key_name: String) -> wasmtime::Result<Result<Vec<u8>, String>> {
        answer(self.public_key(key_name).await)
    }

    async fn delete_key(&mut self, key_name: String) -> wasmtime::Result<Result<(), String>> {
        answer(self.deleted_key(key_name).await)
    }

    async fn key_exists(&mut self, key_name: String) -> wasmtime::Result<Result<bool, String>> {
        answer(self.exists(key_name).await)
    }

    async fn persist_key(&mut self, key_name: String) -> wasmtime::Result<Result<(), String>> {
        answer(self.persisted_key(key_name).await)
    }

    async fn load_key(&mut self, key_name: String) -> wasmtime::Result<Result<(), String>> {
        answer(self.loaded_key(key_name).await)
    }
}

impl PlatformCtxView<'_> {
    async fn new_symmetric_key(&mut self, key_name: String) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::new_key(KeyKind::Aes256Gcm), key_name).await?;
        Ok(self.ctx.settings.keys.generate_symmetric(name)?)
    }

    async fn new_signing_key(&mut self, key_name: String, algorithm: SignAlgorithm) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::new_key(algorithm.into()), key_name).await?;
        Ok(self.ctx.settings.keys.generate_signing(name, algorithm)?)
    }

    async fn new_hmac_key(&mut self, key_name: String, algorithm: HmacAlgorithm) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::new_key(algorithm.into()), key_name).await?;
        Ok(self.ctx.settings.keys.generate_hmac(name, algorithm)?)
    }

    async fn imported_key(&mut self, key_name: String, raw_key: Zeroizing<Vec<u8>>) -> Result<(), Failure> {
        let fuel = prices::new_key(KeyKind::Aes256Gcm).saturating_add(raw_key.len() as u64);
        let name = self.pay_for_key(fuel, key_name).await?;
        Ok(self.ctx.settings.keys.import_symmetric(name, raw_key)?)
    }

    async fn public_key(&mut self, key_name: String) -> Result<Vec<u8>, Failure> {
        let name = self.pay_for_key(0, key_name).await?;
        let held = self.ctx.settings.keys.find(&name)?;
        let public = held.public()?.to_vec();
        held.count(Operation::Export);
        Ok(public)
    }

    async fn deleted_key(&mut self, key_name: String) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::VAULT_CHANGE, key_name).await?;
        let vault = match self.ctx.settings.vault {
            Some(_) => Some(self.change_vault().await?),
            None => None,
        };
        Ok(self.ctx.settings.keys.delete(vault.as_ref(), &name)?)
    }

    async fn exists(&mut self, key_name: String) -> Result<bool, Failure> {
        let name = self.pay_for_key(0, key_name).await?;
        Ok(self.ctx.settings.keys.contains(&name))
    }

    async fn persisted_key(&mut self, key_name: String) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::VAULT_CHANGE, key_name).await?;
        let vault = self.change_vault().await?;
        Ok(self.ctx.settings.keys.persist(&vault, &name)?)
    }

    async fn loaded_key(&mut self, key_name: String) -> Result<(), Failure> {
        let name = self.pay_for_key(prices::VAULT_LOOK, key_name).await?;
        let vault = self.look_at_vault()?;
        self.ctx.settings.keys.check_is_free(&name)?;
        let kind = persisted::kind(&vault, &name)?;
        self.fuel.charge(prices::loaded_key(kind)).await.map_err(Failure::Trap)?;
        Ok(self.ctx.settings.keys.load(&vault, name)?)
    }

    async fn pay_for_key(&mut self, fuel: u64, key_name: String) -> Result<KeyName, Failure> {
        self.pay(fuel.saturating_add(key_name.len() as u64)).await?;
        Ok(KeyName::parse(key_name)?)
    }
}
