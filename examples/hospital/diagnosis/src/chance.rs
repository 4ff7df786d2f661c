//! Random numbers of `wasi:random`: inside the enclave they are the processor's (RDRAND).

/// Draws. It asks for randomness by the block, since each question costs a call.
pub struct Chance {
    block: Vec<u8>,
    /// The second of two normal numbers.
    kept: Option<f64>,
}

impl Chance {
    pub fn new() -> Self {
        Self { block: Vec::new(), kept: None }
    }

    /// Below `bound`. Whatever is off the fair share is less than one in 2³² for the small bounds here.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    /// From the standard normal distribution, by the method of Box and Muller.
    pub fn normal(&mut self) -> f64 {
        if let Some(kept) = self.kept.take() {
            return kept;
        }
        // The first is above 0, since it has a logarithm.
        let length = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.unit()).sin_cos();
        self.kept = Some(length * sine);
        length * cosine
    }

    /// From 0 to just below 1.
    fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn word(&mut self) -> u64 {
        if self.block.is_empty() {
            self.block = random_bytes(BLOCK);
        }
        let rest = self.block.len() - 8;
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[rest..]);
        self.block.truncate(rest);
        u64::from_le_bytes(word)
    }
}

#[cfg(not(test))]
fn random_bytes(length: usize) -> Vec<u8> {
    wasip2::random::random::get_random_bytes(length as u64)
}

/// Outside of Wasm there is no `wasi:random`.
#[cfg(test)]
fn random_bytes(length: usize) -> Vec<u8> {
    use std::hash::{BuildHasher as _, RandomState};
    let keys = RandomState::new();
    (0..length / 8).flat_map(|at| keys.hash_one(at).to_le_bytes()).collect()
}

/// In bytes: a multiple of 8.
const BLOCK: usize = 4_096;
