//! `wasi:config`: the app's own settings. No function fails.

use crate::WasiCtxView;
use crate::bindings::wasi::config::store;
use crate::cli::list_bytes;

impl store::Host for WasiCtxView<'_> {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, store::Error>> {
        let config = self.ctx.config.clone();
        let looked_at = list_bytes(config.iter().map(|_| 0));
        self.charge(looked_at.saturating_add(key.len() as u64)).await?;
        let Some((_, value)) = config.iter().find(|(name, _)| *name == key) else {
            return Ok(Ok(None));
        };
        self.ctx.host_fuel.charge_bytes(value.len() as u64).await?;
        Ok(Ok(Some(value.clone())))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, store::Error>> {
        let config = self.ctx.config.clone();
        self.charge(list_bytes(config.iter().map(|(key, value)| key.len() + value.len()))).await?;
        Ok(Ok(config.to_vec()))
    }
}
