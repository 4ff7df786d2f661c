use wasmparser::WasmFeatures;
use wasmtime::{Config, Engine, Inlining, OperatorCost, OptLevel, Strategy};

/// The WebAssembly that guests may use: 2.0 with SIMD, and of 3.0 what needs no garbage collector.
///
/// Off: threads (nondeterministic), exceptions and typed references (Wasmtime's need its collector), memory64 (a
/// component cannot pass such a memory), and component-model async (its WASI, 0.3, has no security support in this
/// release of Wasmtime).
pub(crate) fn features() -> WasmFeatures {
    // GC_TYPES is wasmparser's own switch, not a proposal; what it would allow here is `externref`.
    WasmFeatures::WASM2.difference(WasmFeatures::GC_TYPES)
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::COMPONENT_MODEL
}

/// The engine of this image, and natively the same engine for tests.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    Engine::new(&config())
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_features(WasmFeatures::all().difference(features()), false)
        .wasm_features(features(), true)
        .concurrency_support(false)
        .gc_support(false);
    without_virtual_memory(&mut config);
    deterministic(&mut config);
    metered(&mut config);
    cpu_features(&mut config);
    config
}

/// An enclave has no signals, no lazily committed memory and no way to change a page's permissions.
fn without_virtual_memory(config: &mut Config) {
    config
        .signals_based_traps(false)
        .memory_init_cow(false)
        .memory_reservation(0)
        .memory_guard_size(0)
        .memory_reservation_for_growth(GROWTH_RESERVE)
        .native_unwind_info(false)
        .compiler_inlining(Inlining::No)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBER_STACK);
}

/// Same input and same host answers, same output, on every machine.
fn deterministic(config: &mut Config) {
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
}

fn metered(config: &mut Config) {
    let mut cost = OperatorCost::new();
    cost.variable.memory_grow_per_page = GROW_FUEL_PER_PAGE;
    config.consume_fuel(true).operator_cost(cost);
}

/// CPUID is illegal in an enclave, so the features are named instead of asked for.
#[cfg(target_env = "sgx")]
#[allow(unsafe_code)]
fn cpu_features(config: &mut Config) {
    for (_, flag) in CPU_FEATURES {
        // SAFETY: these flags only choose instructions, and which the CPU has is the next block's concern.
        unsafe { config.cranelift_flag_enable(flag) };
    }
    // SAFETY: every CPU that can load this image has these features: SGX with DCAP and flexible launch control begins
    // with CPUs that implement x86-64-v3, and the image's own Rust code is compiled for the same features.
    unsafe {
        config.detect_host_feature(|name| Some(CPU_FEATURES.iter().any(|(feature, _)| *feature == name)))
    };
}

/// Natively Wasmtime asks the CPU.
#[cfg(not(target_env = "sgx"))]
fn cpu_features(_: &mut Config) {}

/// Rust's names and Cranelift's. Together with SSE2 this is what compilers call x86-64-v3, but for `f16c` and `movbe`, which Cranelift
/// does not use.
#[cfg(target_env = "sgx")]
const CPU_FEATURES: [(&str, &str); 12] = [
    ("cmpxchg16b", "has_cmpxchg16b"),
    ("sse3", "has_sse3"),
    ("ssse3", "has_ssse3"),
    ("sse4.1", "has_sse41"),
    ("sse4.2", "has_sse42"),
    ("popcnt", "has_popcnt"),
    ("avx", "has_avx"),
    ("avx2", "has_avx2"),
    ("bmi1", "has_bmi1"),
    ("bmi2", "has_bmi2"),
    ("lzcnt", "has_lzcnt"),
    ("fma", "has_fma"),
];

/// Bytes of address space kept behind a memory that grows, so that growing page by page does not copy it each time.
const GROWTH_RESERVE: u64 = 1 << 20;
/// Bytes of stack that a guest's own frames may use.
const WASM_STACK: usize = 512 << 10;
/// Bytes of a call's whole stack. Host functions run on the rest: an enclave has no guard page, so it must be ample.
pub(crate) const FIBER_STACK: usize = 1 << 20;
/// Fuel for each 64 KiB page that `memory.grow` asks for; zeroing one takes microseconds. The field's largest value.
const GROW_FUEL_PER_PAGE: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_accepts_its_configuration() {
        let engine = engine().unwrap();
        assert!(!engine.is_pulley());
    }
}
