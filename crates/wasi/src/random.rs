//! `wasi:random`: all of it from the CPU's generator, the interfaces called insecure too.

use crate::bindings::wasi::random::{insecure, insecure_seed, random};
use crate::{Error, WasiCtxView};

impl random::Host for WasiCtxView<'_> {
    async fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len).await
    }

    async fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64().await
    }
}

impl insecure::Host for WasiCtxView<'_> {
    async fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len).await
    }

    async fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64().await
    }
}

impl insecure_seed::Host for WasiCtxView<'_> {
    async fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_u64().await?, self.random_u64().await?))
    }
}

impl WasiCtxView<'_> {
    async fn random_bytes(&mut self, asked: u64) -> wasmtime::Result<Vec<u8>> {
        let len = match usize::try_from(asked) {
            Ok(len) if len <= MAX_RANDOM_BYTES => len,
            _ => return Err(Error::RandomTooLong { asked }.into()),
        };
        self.charge(asked.saturating_mul(RANDOM_PRICE)).await?;
        let mut bytes = vec![0; len];
        cloister_tee::random(&mut bytes).map_err(Error::from)?;
        Ok(bytes)
    }

    async fn random_u64(&mut self) -> wasmtime::Result<u64> {
        self.charge(8 * RANDOM_PRICE).await?;
        let mut bytes = [0; 8];
        cloister_tee::random(&mut bytes).map_err(Error::from)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Bytes that a guest can ask for at once. More would let a guest name an allocation in the host.
pub const MAX_RANDOM_BYTES: usize = 1 << 20;
/// A byte of RDRAND takes about as long as this many copied ones.
const RANDOM_PRICE: u64 = 8;
