//! Prints what entering and leaving an enclave costs. `cargo bench -p cloister-soft-sgx`.

#[path = "../tests/tiny/mod.rs"]
mod tiny;

use std::time::Instant;

use cloister_soft_sgx::{
    SoftPlatform, enforces,
    enter::{Exit, Registers, enter_tcs},
};
use tiny::Operation;

fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    let platform = SoftPlatform::open(state.path())?;
    let enclave = tiny::load(&platform, &tiny::image(0))?;
    println!("{:?}", enforces());
    let target = platform.target_info();
    let (data, mut report) = ([0_u8; 64], [0_u8; 432]);
    let operands = Registers {
        rsi: target.as_ptr() as u64,
        rdx: data.as_ptr() as u64,
        r8: report.as_mut_ptr() as u64,
        ..Default::default()
    };
    println!("system call before a visit         {:>8.0} ns", nanoseconds(system_call));
    for (name, operation) in [
        ("enter and exit", Operation::Echo),
        ("enter and exit by ENCLU (a signal)", Operation::ExitByInstruction),
        ("enter, EREPORT, exit", Operation::Report),
    ] {
        let time = nanoseconds(|| {
            let mut registers = Registers { rdi: operation as u64, ..operands };
            // SAFETY: The tiny enclave keeps RBP and RSP; the operands are alive.
            let exit = unsafe { enter_tcs(&enclave.tcss[0], &mut registers) };
            assert!(matches!(exit, Ok(Exit::Exited)));
        });
        println!("{name:<34} {time:>8.0} ns");
    }
    println!("system call after a visit          {:>8.0} ns", nanoseconds(system_call));
    Ok(())
}

fn system_call() {
    // SAFETY: Has no effect.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// The median of 31 batches.
fn nanoseconds(mut work: impl FnMut()) -> f64 {
    const BATCH: u32 = 2000;
    let mut batches: Vec<f64> = (0..31)
        .map(|_| {
            let start = Instant::now();
            (0..BATCH).for_each(|_| work());
            start.elapsed().as_nanos() as f64 / f64::from(BATCH)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[batches.len() / 2]
}
