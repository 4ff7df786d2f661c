//! `request-options` of `wasi:http/types`.

use std::time::Duration;

use cloister_egress::{MAX_TIMEOUT, Timeouts};
use wasmtime::component::Resource;

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::HostRequestOptions;

/// How long a guest wants to wait, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestOptions {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

impl From<RequestOptions> for Timeouts {
    fn from(options: RequestOptions) -> Self {
        let within = |asked: Option<u64>, default| {
            asked.map_or(default, |nanoseconds| Duration::from_nanos(nanoseconds).min(MAX_TIMEOUT))
        };
        let defaults = Timeouts::default();
        Timeouts {
            connect: within(options.connect, defaults.connect),
            first_byte: within(options.first_byte, defaults.first_byte),
            between_bytes: within(options.between_bytes, defaults.between_bytes),
        }
    }
}

type Timeout = Option<u64>;

impl HostRequestOptions for HttpCtxView<'_> {
    async fn new(&mut self) -> wasmtime::Result<Resource<RequestOptions>> {
        self.charge(0).await?;
        Ok(self.table.push(RequestOptions::default())?)
    }

    async fn connect_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.connect)
    }

    async fn set_connect_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.connect = timeout;
        Ok(Ok(()))
    }

    async fn first_byte_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.first_byte)
    }

    async fn set_first_byte_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.first_byte = timeout;
        Ok(Ok(()))
    }

    async fn between_bytes_timeout(
        &mut self,
        options: Resource<RequestOptions>,
    ) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.between_bytes)
    }

    async fn set_between_bytes_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.between_bytes = timeout;
        Ok(Ok(()))
    }

    async fn drop(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}
