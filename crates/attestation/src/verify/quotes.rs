use super::extract::{VerifiedPlatform, signatures};
use super::{Collateral, Observed, Policy, Presented, Refused, Verified, appraise};
use crate::HASH_LEN;
use graviola::hashing::sha2::Sha256Context;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Quotes that were verified a short while ago, for whoever appraises many sessions with few enclaves.
///
/// What is remembered is what the signatures from the root down to the report, and the collateral, say of the platform. It stands
/// under the SHA-256 of all that goes into it: the root certificate, the quote and every part of the collateral. So it is the
/// answer for these very bytes alone, under this very root. It is used for at most five minutes, never before the time at which it
/// was verified, and only until the first of everything that was verified expires. Within that time verifying anew would come to
/// the same result, since nothing but those dates depends on the time.
///
/// Only what verified is remembered: 64 quotes, of which the one that was verified longest ago makes room for a new one.
///
/// Everything else is appraised anew each time, and compared with the policy of that time: the binding to the session, the claims,
/// the certificate, the status of the platform, the ages.
#[derive(Default)]
pub struct VerifiedQuotes(Mutex<VecDeque<Remembered>>);

impl VerifiedQuotes {
    /// Appraises evidence as [`verify`](super::verify()) does, with the same result; a quote that is remembered is not verified
    /// anew.
    ///
    /// # Errors
    /// [`Refused`] where any check failed.
    pub fn verify(
        &self,
        presented: &Presented<'_>,
        observed: &Observed<'_>,
        collateral: Option<&Collateral>,
        policy: &Policy,
        now: SystemTime,
    ) -> Result<Verified, Refused> {
        appraise(presented, observed, collateral, policy, now, Some(self))
    }

    /// The same as [`signatures`]. Nobody waits for another's verification: the lock is held while memory is looked at.
    pub(super) fn signatures(
        &self,
        quote: &[u8],
        root: &[u8],
        collateral: Option<&Collateral>,
        now: SystemTime,
    ) -> Result<VerifiedPlatform, String> {
        let (Some(known), Ok(time)) = (collateral, now.duration_since(UNIX_EPOCH)) else {
            return signatures(quote, root, collateral, now);
        };
        let (inputs, time) = (digest(quote, root, known), time.as_secs());
        if let Some(platform) = self.recall(&inputs, time) {
            return Ok(platform);
        }
        let platform = signatures(quote, root, collateral, now)?;
        self.remember(inputs, time, &platform);
        Ok(platform)
    }

    fn recall(&self, inputs: &[u8; HASH_LEN], now: u64) -> Option<VerifiedPlatform> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.inputs == *inputs && entry.used.contains(&now))?;
        Some(entry.platform.clone())
    }

    fn remember(&self, inputs: [u8; HASH_LEN], now: u64, platform: &VerifiedPlatform) {
        if size(platform) > MAX_SIZE {
            return;
        }
        let used = now..platform.expires.min(now.saturating_add(LIFETIME));
        let mut entries = self.entries();
        entries.retain(|entry| entry.inputs != inputs);
        if entries.len() >= MAX_ENTRIES {
            entries.pop_front();
        }
        entries.push_back(Remembered { inputs, used, platform: platform.clone() });
    }

    /// Each entry is whole, also where somebody panicked.
    fn entries(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VerifiedQuotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedQuotes").field("remembered", &self.entries().len()).finish()
    }
}

struct Remembered {
    /// Of all that was verified, as [`digest`] makes it.
    inputs: [u8; HASH_LEN],
    /// Seconds since 1970: from when it was verified, until it is verified anew.
    used: Range<u64>,
    platform: VerifiedPlatform,
}

/// SHA-256 over all that goes into a verification, each part with its length before it.
fn digest(quote: &[u8], root: &[u8], collateral: &Collateral) -> [u8; HASH_LEN] {
    // Whoever adds a part to collateral has to add it here.
    let Collateral {
        pck_crl_issuer_chain,
        root_ca_crl,
        pck_crl,
        tcb_info_issuer_chain,
        tcb_info,
        tcb_info_signature,
        qe_identity_issuer_chain,
        qe_identity,
        qe_identity_signature,
        pck_certificate_chain,
    } = collateral;
    let mut context = Sha256Context::new();
    let mut add = |part: &[u8]| {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    };
    add(root);
    add(quote);
    add(pck_crl_issuer_chain.as_bytes());
    add(root_ca_crl);
    add(pck_crl);
    add(tcb_info_issuer_chain.as_bytes());
    add(tcb_info.as_bytes());
    add(tcb_info_signature);
    add(qe_identity_issuer_chain.as_bytes());
    add(qe_identity.as_bytes());
    add(qe_identity_signature);
    // The last one, so that without it nothing follows.
    if let Some(chain) = pck_certificate_chain {
        add(chain.as_bytes());
    }
    context.finish()
}

/// Bytes of what has no bound of its own.
fn size(platform: &VerifiedPlatform) -> usize {
    let advisories = platform.advisories.iter().map(|advisory| size_of::<String>() + advisory.len());
    platform.ppid.len() + advisories.sum::<usize>()
}

/// Quotes that are remembered.
const MAX_ENTRIES: usize = 64;
/// Of one of them, in bytes: whoever signs for an accepted root cannot fill the memory. Those of Intel's have less than 1 KiB.
const MAX_SIZE: usize = 16 << 10;
/// Seconds after which a quote is verified anew, whatever its dates.
const LIFETIME: u64 = 300;

#[cfg(test)]
mod tests;
