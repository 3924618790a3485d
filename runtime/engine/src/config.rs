//! How wasmtime is set up, in one place: what a guest may use, what bounds it, and the names under which that
//! set-up goes into receipts and caches.
//!
//! Everything here that can change an answer is part of the fingerprint: wasmtime's full version, the target
//! and its instruction set, every setting of the compiler, and [`HOST_REVISION`].

use std::hash::{Hash, Hasher};

use model::{DigestBuilder, HostFault};
use wasmtime::{
    Config, Enabled, ModuleVersionStrategy, PoolingAllocationConfig, WasmBacktraceDetails, WasmFeatures,
};

/// The version of wasmtime that this crate is built with. By itself wasmtime names only its major version in
/// compiled code, so a fix in its compiler would not reach code that is already cached.
pub(crate) const WASMTIME_VERSION: &str = "48.0.8";

/// Counts up whenever this crate changes what a guest can observe: an import's answer, a fuel charge, a
/// clock.
pub(crate) const HOST_REVISION: u32 = 3;

/// Stack for the guest's frames, in bytes. The thread has to have more than that.
pub(crate) const STACK_BYTES: usize = 512 << 10;

/// Elements of one table, in all modules. The limiter refuses growth beyond, as wasmtime's pool would.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// What stays mapped of a place in the pool, and is cleared for its next instance.
const MEMORY_KEPT_BYTES: usize = 2 << 20;
const TABLE_KEPT_BYTES: usize = 32 << 10;
/// Places of which that much stays while they are not in use.
const WARM_SLOTS: u32 = 16;

/// What an engine may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// The largest module that is taken, in bytes. It is the first bound on what compiling can cost.
    pub module_bytes_max: usize,
    /// Instances that may live at once. Each reserves some 8 GiB of address space, and no memory.
    pub instances_max: u32,
}

impl EngineOptions {
    /// 64 MiB modules and 512 instances.
    pub const DEFAULT: Self = Self { module_bytes_max: 64 << 20, instances_max: 512 };
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The WebAssembly features that guests may use. Several memories stay on because wasmtime's own adapters
/// between the parts of a component need them.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::FLOATS
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
}

/// A wasmtime engine of this set-up.
pub(crate) fn build(options: &EngineOptions) -> Result<wasmtime::Engine, HostFault> {
    configure(options).and_then(|config| wasmtime::Engine::new(&config)).map_err(|error| {
        HostFault::new(format!(
            "cannot set up the sandbox: {error:#}; where address space is limited, allow fewer instances \
             than {}",
            options.instances_max
        ))
    })
}

/// `wasmtime-<version>-<hash>`, the hash cut to `hex_digits`.
pub(crate) fn name(engine: &wasmtime::Engine, hex_digits: usize) -> String {
    let mut hasher = DigestHasher(DigestBuilder::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("wasmtime-{WASMTIME_VERSION}-{}", &hasher.0.finish().hex()[..hex_digits])
}

fn configure(options: &EngineOptions) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(features(), true)
        .gc_support(false)
        .shared_memory(false)
        .concurrency_support(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .max_wasm_stack(STACK_BYTES)
        .native_unwind_info(false)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .memory_init_cow(true)
        .module_version(ModuleVersionStrategy::Custom(format!(
            "{WASMTIME_VERSION} stack={STACK_BYTES} host={HOST_REVISION}"
        )))?
        .allocation_strategy(pool(options));
    pin_target(&mut config)?;
    Ok(config)
}

/// The same code on every machine of an architecture, whatever it can do beyond: on x86-64 the instructions
/// that processors have had since 2009 (the level x86-64-v2).
#[cfg_attr(target_arch = "x86_64", allow(unsafe_code))]
fn pin_target(config: &mut Config) -> wasmtime::Result<()> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    config.target("x86_64-unknown-linux-gnu")?;
    #[cfg(all(target_arch = "aarch64", target_os = "linux"))]
    config.target("aarch64-unknown-linux-gnu")?;
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    for flag in ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"] {
        // SAFETY: the flags only name instructions that generated code may use; wasmtime compares them with
        // the running processor when the engine is made and again when code is loaded, and refuses on a
        // mismatch.
        unsafe {
            config.cranelift_flag_enable(flag);
        }
    }
    Ok(())
}

/// The pool that instances come from. Sizes fit the largest known guests, CPython and QuickJS components.
/// Memories may take all 4 GiB of their slots: what bounds them is the step's limit, whose refusal is
/// deterministic. `pagemap_scan` stays off and protection keys are not compiled in, since both can show a
/// guest another one's memory in this version.
fn pool(options: &EngineOptions) -> PoolingAllocationConfig {
    let instances = options.instances_max;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(64))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .max_core_instances_per_component(128)
        .max_memories_per_component(8)
        .max_tables_per_component(32)
        .max_tables_per_module(8)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(WARM_SLOTS)
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        .pagemap_scan(Enabled::No);
    pool
}

/// Feeds what is hashed to SHA-256, so that the hash is the same in every process.
struct DigestHasher(DigestBuilder);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        u64::from_le_bytes(self.0.clone().finish().as_raw()[..8].try_into().expect("8 bytes of 32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_built() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"\n")));
    }

    #[test]
    fn names_depend_on_the_configuration_only() {
        let small = EngineOptions { instances_max: 4, ..EngineOptions::DEFAULT };
        let (a, b) = (build(&small).expect("an engine"), build(&small).expect("an engine"));
        assert_eq!(name(&a, 16), name(&b, 16));
        let mut config = configure(&small).expect("a configuration");
        config.cranelift_nan_canonicalization(false);
        let other = wasmtime::Engine::new(&config).expect("an engine");
        assert_ne!(name(&a, 16), name(&other, 16));
    }
}
