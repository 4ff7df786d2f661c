use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::{CallHook, StoreContextMut, Trap};

use crate::WasiView;

/// What host functions cost a guest.
///
/// A host function charges before it works, so a guest that cannot pay makes the host do nothing. The store's call hook
/// tells this meter what the guest has left and debits what was charged: see [`settle_host_fuel`].
#[derive(Debug)]
pub struct HostFuel {
    /// What the store held when the host was last entered.
    left: u64,
    /// Charged since, and not debited yet. Never more than `left`.
    due: u64,
    /// Level of fuel at which the next charge lets other tasks run.
    yield_at: Option<u64>,
    debts: Debts,
}

impl HostFuel {
    /// Charges the fixed price of a host function and `bytes` × [`BYTE_FUEL`].
    ///
    /// # Errors
    /// As [`charge`](Self::charge).
    pub async fn charge_call(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.charge(CALL_FUEL.saturating_add(bytes.saturating_mul(BYTE_FUEL))).await
    }

    /// Charges `bytes` × [`BYTE_FUEL`], for a host function that paid its fixed price before it knew how many.
    ///
    /// # Errors
    /// As [`charge`](Self::charge).
    pub async fn charge_bytes(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.charge(bytes.saturating_mul(BYTE_FUEL)).await
    }

    /// Charges `fuel` units, and lets other tasks of the executor run after every [`YIELD_FUEL`] units that the guest
    /// used: a debit restarts wasmtime's own interval of yielding, so a guest that calls the host often would never
    /// reach it.
    ///
    /// # Errors
    /// [`Trap::OutOfFuel`] when the guest has less left; all that it has is taken then.
    pub async fn charge(&mut self, fuel: u64) -> wasmtime::Result<()> {
        let fuel = fuel.saturating_add(self.debts.take());
        let left = self.left.saturating_sub(self.due);
        if fuel > left {
            self.due = self.left;
            return Err(Trap::OutOfFuel.into());
        }
        self.due += fuel;
        let level = left - fuel;
        let yield_at = *self.yield_at.get_or_insert(level.saturating_sub(YIELD_FUEL));
        if level < yield_at {
            self.yield_at = Some(level.saturating_sub(YIELD_FUEL));
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn with_left(left: u64) -> Self {
        Self { left, ..Self::default() }
    }

    #[cfg(test)]
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    /// For what works on the guest's behalf without a chance to charge it.
    pub fn debts(&self) -> Debts {
        self.debts.clone()
    }
}

impl Default for HostFuel {
    fn default() -> Self {
        Self { left: u64::MAX, due: 0, yield_at: None, debts: Debts::default() }
    }
}

/// Fuel that streams and pollables owe for what they did for the guest. The next charge collects it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Debts(Arc<AtomicU64>);

impl Debts {
    /// So many units more.
    pub fn add(&self, fuel: u64) {
        self.0.fetch_add(fuel, Ordering::Relaxed);
    }

    /// Units that no charge has collected yet.
    pub fn owed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Keeps the guest's fuel and [`HostFuel`] in step. Call it from the store's call hook, for every event:
/// `store.call_hook(cloister_wasi::settle_host_fuel)`.
///
/// # Errors
/// When the store does not meter fuel.
pub fn settle_host_fuel<T: WasiView>(
    mut store: StoreContextMut<'_, T>,
    event: CallHook,
) -> wasmtime::Result<()> {
    match event {
        CallHook::CallingHost | CallHook::ReturningFromWasm => {
            let left = store.get_fuel()?;
            store.data_mut().wasi().ctx.host_fuel.left = left;
        }
        // Also before wasm that a host function calls, such as a guest's `realloc`: a debit is lost while wasm code
        // that keeps its count in a register is on the stack above the host function.
        CallHook::ReturningFromHost | CallHook::CallingWasm => {
            let due = std::mem::take(&mut store.data_mut().wasi().ctx.host_fuel.due);
            if due > 0 {
                let left = store.get_fuel()?.saturating_sub(due);
                store.set_fuel(left)?;
            }
        }
    }
    Ok(())
}

/// Fuel of any host function, in units of about one wasm instruction.
pub const CALL_FUEL: u64 = 500;
/// Fuel of a byte that a host function moves in or out of the guest.
pub const BYTE_FUEL: u64 = 1;
/// Fuel after which a guest that keeps calling the host lets other tasks run.
pub const YIELD_FUEL: u64 = 100_000;

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn a_charge_beyond_what_is_left_takes_everything() {
        let mut fuel = HostFuel { left: 100, due: 40, yield_at: None, ..HostFuel::default() };
        let refused = poll(fuel.charge(61)).map(|r| r.unwrap_err().downcast::<Trap>().unwrap());
        assert_eq!(refused, Poll::Ready(Trap::OutOfFuel));
        assert_eq!(fuel.due, 100);
    }

    #[test]
    fn a_charge_of_all_that_is_left_is_paid() {
        let mut fuel = HostFuel { left: 100, due: 40, yield_at: None, ..HostFuel::default() };
        assert!(matches!(poll(fuel.charge(60)), Poll::Ready(Ok(()))));
        assert_eq!(fuel.due, 100);
    }

    #[test]
    fn bytes_without_end_are_refused_not_wrapped() {
        let mut fuel = HostFuel { left: u64::MAX - 1, due: 0, yield_at: None, ..HostFuel::default() };
        assert!(matches!(poll(fuel.charge_call(u64::MAX)), Poll::Ready(Err(_))));
    }

    #[test]
    fn debts_are_paid_with_the_next_charge() {
        let mut fuel = HostFuel { left: 100, due: 0, yield_at: None, ..HostFuel::default() };
        fuel.debts().add(30);
        fuel.debts().add(10);
        assert!(poll(fuel.charge(1)).is_ready());
        assert!(poll(fuel.charge(1)).is_ready());
        assert_eq!(fuel.due, 42);
    }

    #[test]
    fn the_executor_gets_its_turn_once_per_interval() {
        let mut fuel = HostFuel { left: 10 * YIELD_FUEL, due: 0, yield_at: None, ..HostFuel::default() };
        let yields = (0..100).filter(|_| poll(fuel.charge(YIELD_FUEL / 20)).is_pending()).count();
        assert_eq!(yields, 4);
    }

    #[test]
    fn what_the_guest_burns_itself_counts_towards_the_interval() {
        let mut fuel = HostFuel { left: 10 * YIELD_FUEL, due: 0, yield_at: None, ..HostFuel::default() };
        assert!(poll(fuel.charge(1)).is_ready());
        (fuel.left, fuel.due) = (8 * YIELD_FUEL, 0);
        assert!(poll(fuel.charge(1)).is_pending());
        assert!(poll(fuel.charge(1)).is_ready());
    }

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }
}
