/// RDRAND gave no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CPU's random number generator gave no number in {RETRIES} tries")]
pub struct RandomError;

/// Fills `buffer` from RDRAND.
///
/// # Errors
/// [`RandomError`] where the generator fails; nothing of `buffer` may be used then.
pub fn random(buffer: &mut [u8]) -> Result<(), RandomError> {
    for chunk in buffer.chunks_mut(8) {
        chunk.copy_from_slice(&next()?.to_le_bytes()[..chunk.len()]);
    }
    Ok(())
}

/// One number of 64 random bits.
fn next() -> Result<u64, RandomError> {
    if !available() {
        return Err(RandomError);
    }
    for _ in 0..RETRIES {
        let mut number = 0;
        // SAFETY: the CPU has RDRAND, as `available` says.
        let filled = unsafe { rdrand(&mut number) };
        // All zeros and all ones are what broken generators were seen to return; a good one does so once in 2^63.
        if filled && number != 0 && number != u64::MAX {
            return Ok(number);
        }
    }
    Err(RandomError)
}

/// # Safety
/// The CPU must have RDRAND.
#[target_feature(enable = "rdrand")]
unsafe fn rdrand(number: &mut u64) -> bool {
    core::arch::x86_64::_rdrand64_step(number) == 1
}

/// CPUs with SGX have RDRAND, and CPUID cannot be asked inside.
#[cfg(target_env = "sgx")]
fn available() -> bool {
    true
}

#[cfg(not(target_env = "sgx"))]
fn available() -> bool {
    std::arch::is_x86_feature_detected!("rdrand")
}

/// Intel DRNG software implementation guide 2.1, section 5.2.1: 10 tries.
const RETRIES: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_filled() {
        for length in 0..40 {
            let mut sum = vec![0; length];
            for _ in 0..8 {
                let mut buffer = vec![0; length];
                random(&mut buffer).unwrap();
                sum.iter_mut().zip(&buffer).for_each(|(s, b)| *s |= b);
            }
            // A byte stays zero in eight draws once in 2^64.
            assert!(sum.iter().all(|&b| b != 0), "{length}");
        }
    }

    #[test]
    fn two_draws_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        random(&mut a).unwrap();
        random(&mut b).unwrap();
        assert_ne!(a, b);
    }
}
