//! `privasys:enclave-os/sealing`.

use crate::bindings::privasys::enclave_os::sealing::Host;
use crate::error::{Failure, answer};
use crate::{PlatformCtxView, prices};

impl Host for PlatformCtxView<'_> {
    async fn get_seal_key(&mut self) -> wasmtime::Result<Result<(Vec<u8>, Vec<u8>), String>> {
        answer(self.seal_key().await)
    }
}

impl PlatformCtxView<'_> {
    async fn seal_key(&mut self) -> Result<(Vec<u8>, Vec<u8>), Failure> {
        self.pay(prices::SEAL_KEY).await?;
        let app = &self.ctx.settings.app;
        let key = app.seal_key()?;
        Ok((key.to_vec(), app.code_hash().to_vec()))
    }
}
