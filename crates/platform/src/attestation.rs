//! `privasys:enclave-os/attestation`.

use crate::bindings::privasys::enclave_os::attestation::Host;
use crate::error::{Failure, answer};
use crate::{Error, MAX_EXTENSION_BYTES, PlatformCtxView, prices};

impl Host for PlatformCtxView<'_> {
    async fn set_attestation_extension(
        &mut self,
        arc_suffix: u32,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), String>> {
        answer(self.set_extension(arc_suffix, value).await)
    }

    async fn set_config_complete(&mut self) -> wasmtime::Result<Result<(), String>> {
        answer(self.complete_configuration().await)
    }
}

impl PlatformCtxView<'_> {
    async fn set_extension(&mut self, suffix: u32, value: Vec<u8>) -> Result<(), Failure> {
        self.pay(prices::EVIDENCE_CHANGE.saturating_add(value.len() as u64)).await?;
        if value.len() > MAX_EXTENSION_BYTES {
            return Err(Error::ExtensionTooLong { bytes: value.len() }.into());
        }
        let change = self.ctx.settings.app.set_extension(suffix, value);
        Ok(change.await?)
    }

    async fn complete_configuration(&mut self) -> Result<(), Failure> {
        self.pay(prices::EVIDENCE_CHANGE).await?;
        let change = self.ctx.settings.app.complete_configuration();
        Ok(change.await?)
    }
}
