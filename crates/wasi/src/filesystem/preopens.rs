use wasmtime::component::Resource;

use super::Descriptor;
use crate::WasiCtxView;
use crate::bindings::wasi::filesystem::preopens;

impl preopens::Host for WasiCtxView<'_> {
    /// Does not count as a use of storage: the libraries of most languages ask at their start, whatever the program does.
    async fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.charge(0).await?;
        let Some(storage) = &self.ctx.storage else {
            return Ok(Vec::new());
        };
        let root = Descriptor::root(storage.filesystem.root()?);
        Ok(vec![(self.table.push(root)?, ROOT.to_owned())])
    }
}

/// The path that the guest sees its directory under.
const ROOT: &str = "/";
