use super::*;
use crate::verify::extract::{any_quote, root};
use crate::verify::{TcbStatus, TrustAnchor};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

#[test]
fn a_hit_gives_what_a_miss_gave() {
    let quotes = VerifiedQuotes::default();
    let anew = signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(NOW));
    assert_eq!(anew.as_ref().unwrap().status, TcbStatus::ConfigurationAndSWHardeningNeeded);
    for _ in 0..3 {
        assert_eq!(quotes.signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(NOW)), anew);
        assert_eq!(quotes.entries().len(), 1);
    }
}

/// Nothing verifies these bytes, so only memory can give an answer.
#[test]
fn what_is_remembered_is_not_verified_again() {
    let quotes = VerifiedQuotes::default();
    let inputs = digest(b"no quote", &ROOT, &COLLATERAL);
    assert!(quotes.signatures(b"no quote", &ROOT, Some(&COLLATERAL), at(NOW)).is_err());
    quotes.remember(inputs, NOW, &PLATFORM);
    assert_eq!(quotes.signatures(b"no quote", &ROOT, Some(&COLLATERAL), at(NOW)), Ok(PLATFORM.clone()));

    // Other bytes are not answered from it.
    assert!(quotes.signatures(b"no quot", &ROOT, Some(&COLLATERAL), at(NOW)).is_err());
    assert!(quotes.signatures(b"no quote", b"no root", Some(&COLLATERAL), at(NOW)).is_err());
    assert!(quotes.signatures(b"no quote", &ROOT, None, at(NOW)).is_err());
    let tcb_info = COLLATERAL.tcb_info.replace("OutOfDate", "UpToDate");
    let other = Collateral { tcb_info, ..COLLATERAL.clone() };
    assert!(quotes.signatures(b"no quote", &ROOT, Some(&other), at(NOW)).is_err());
}

#[test]
fn the_time_counts_in_whole_seconds_since_1970() {
    let quotes = VerifiedQuotes::default();
    quotes.remember(digest(b"no quote", &ROOT, &COLLATERAL), NOW, &PLATFORM);
    let answered = |now| quotes.signatures(b"no quote", &ROOT, Some(&COLLATERAL), now);
    assert!(answered(at(NOW) + Duration::from_millis(999)).is_ok());
    assert!(answered(at(NOW) - Duration::from_millis(1)).is_err());
    assert!(answered(UNIX_EPOCH - Duration::from_secs(1)).unwrap_err().contains("before 1970"));
}

#[test]
fn what_does_not_verify_is_not_remembered() {
    let quotes = VerifiedQuotes::default();
    let mut spoiled = QUOTE.to_vec();
    spoiled[48 + 320] ^= 1;
    let without_list = Collateral { pck_crl: Vec::new(), ..COLLATERAL.clone() };
    for _ in 0..2 {
        assert!(quotes.signatures(&spoiled, &ROOT, Some(&COLLATERAL), at(NOW)).is_err());
        assert!(quotes.signatures(QUOTE, b"no root", Some(&COLLATERAL), at(NOW)).is_err());
        assert!(quotes.signatures(QUOTE, &ROOT, Some(&without_list), at(NOW)).is_err());
        assert!(quotes.signatures(QUOTE, &ROOT, None, at(NOW)).is_err());
        assert!(quotes.signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(EXPIRY + DAY)).is_err());
        assert!(quotes.signatures(QUOTE, &ROOT, Some(&COLLATERAL), UNIX_EPOCH).is_err());
        assert_eq!(quotes.entries().len(), 0);
    }
}

#[test]
fn an_entry_is_used_for_five_minutes() {
    let quotes = VerifiedQuotes::default();
    quotes.remember([1; 32], NOW, &PLATFORM);
    for (now, used) in
        [(NOW, true), (NOW + 1, true), (NOW + 299, true), (NOW + 300, false), (NOW + DAY, false)]
    {
        assert_eq!(quotes.recall(&[1; 32], now).is_some(), used, "{now}");
    }
}

#[test]
fn an_entry_is_not_used_before_its_time() {
    let quotes = VerifiedQuotes::default();
    quotes.remember([1; 32], NOW, &PLATFORM);
    assert!(quotes.recall(&[1; 32], NOW - 1).is_none());
    assert!(quotes.recall(&[1; 32], 0).is_none());

    // Verified anew by the clock that went back, it is used from then on.
    quotes.remember([1; 32], NOW - 1000, &PLATFORM);
    for (now, used) in
        [(NOW - 1001, false), (NOW - 1000, true), (NOW - 701, true), (NOW - 700, false), (NOW, false)]
    {
        assert_eq!(quotes.recall(&[1; 32], now).is_some(), used, "{now}");
    }
}

#[test]
fn an_entry_is_not_used_when_something_expired() {
    let quotes = VerifiedQuotes::default();
    let expiring = |expires| VerifiedPlatform { expires, ..PLATFORM.clone() };
    quotes.remember([1; 32], NOW, &expiring(NOW + 100));
    for (now, used) in [(NOW, true), (NOW + 99, true), (NOW + 100, false), (NOW + 101, false)] {
        assert_eq!(quotes.recall(&[1; 32], now).is_some(), used, "{now}");
    }
    // The dates shorten the time and never prolong it.
    for (expires, last) in [(NOW + 299, NOW + 298), (NOW + 300, NOW + 299), (NOW + 301, NOW + 299)] {
        quotes.remember([2; 32], NOW, &expiring(expires));
        assert!(quotes.recall(&[2; 32], last).is_some(), "{expires}");
        assert!(quotes.recall(&[2; 32], last + 1).is_none(), "{expires}");
    }
    for expires in [0, NOW - 1, NOW] {
        quotes.remember([3; 32], NOW, &expiring(expires));
        assert!(quotes.recall(&[3; 32], NOW).is_none(), "{expires}");
    }
    quotes.remember([4; 32], u64::MAX, &expiring(u64::MAX));
    assert!(quotes.recall(&[4; 32], u64::MAX).is_none());
}

#[test]
fn a_verified_quote_knows_what_expires_first() {
    let verified = signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(NOW)).unwrap();
    assert_eq!(verified.expires, EXPIRY);

    let quotes = VerifiedQuotes::default();
    quotes.signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(EXPIRY - 1)).unwrap();
    let inputs = digest(QUOTE, &ROOT, &COLLATERAL);
    assert_eq!(quotes.recall(&inputs, EXPIRY - 1), Some(verified));
    assert_eq!(quotes.recall(&inputs, EXPIRY), None);
    assert!(quotes.signatures(QUOTE, &ROOT, Some(&COLLATERAL), at(EXPIRY + 1)).is_err());
}

/// The oldest is the one that was verified longest ago, also where it was used since.
#[test]
fn when_memory_is_full_the_oldest_goes() {
    let quotes = VerifiedQuotes::default();
    let known = || Vec::from_iter((0..=255).filter(|number| quotes.recall(&[*number; 32], NOW).is_some()));
    for number in 0..64 {
        quotes.remember([number; 32], NOW, &PLATFORM);
    }
    assert_eq!(known(), Vec::from_iter(0..64));
    quotes.remember([64; 32], NOW, &PLATFORM);
    assert_eq!(known(), Vec::from_iter(1..65));

    // One that is verified again is the newest, and takes no second place.
    quotes.remember([1; 32], NOW, &PLATFORM);
    assert_eq!(known(), Vec::from_iter(1..65));
    quotes.remember([65; 32], NOW, &PLATFORM);
    assert_eq!(known(), [&[1][..], &Vec::from_iter(3..66)].concat());
    assert_eq!(quotes.entries().len(), 64);
}

#[test]
fn what_is_verified_again_replaces_what_was() {
    let quotes = VerifiedQuotes::default();
    quotes.remember([1; 32], NOW, &PLATFORM);
    quotes.remember([2; 32], NOW, &PLATFORM);
    let newer = VerifiedPlatform { status: TcbStatus::OutOfDate, ..PLATFORM.clone() };
    quotes.remember([1; 32], NOW + 10, &newer);
    assert_eq!(quotes.recall(&[1; 32], NOW + 10), Some(newer));
    assert_eq!(quotes.recall(&[1; 32], NOW), None);
    assert_eq!(quotes.recall(&[2; 32], NOW), Some(PLATFORM.clone()));
    assert_eq!(quotes.entries().len(), 2);
}

#[test]
fn a_platform_with_too_much_to_say_is_not_remembered() {
    let with = |ppid: usize, advisories: Vec<String>| {
        let quotes = VerifiedQuotes::default();
        quotes.remember(
            [1; 32],
            NOW,
            &VerifiedPlatform { ppid: vec![0; ppid], advisories, ..PLATFORM.clone() },
        );
        quotes.recall(&[1; 32], NOW).is_some()
    };
    // A string is 24 bytes beside its text.
    for (ppid, advisories, remembered) in [
        (16, vec![1000; 15], true),
        (16 << 10, vec![], true),
        ((16 << 10) + 1, vec![], false),
        (16, vec![(16 << 10) - 16 - 24], true),
        (16, vec![(16 << 10) - 16 - 23], false),
        (0, vec![(8 << 10) - 24; 2], true),
        (1, vec![(8 << 10) - 24; 2], false),
        (16, vec![0; 682], true),
        (17, vec![0; 682], false),
    ] {
        let texts = advisories.iter().map(|length| "x".repeat(*length)).collect();
        assert_eq!(with(ppid, texts), remembered, "{ppid} {advisories:?}");
    }
}

#[test]
fn every_byte_of_what_is_verified_counts() {
    let mut digests = BTreeSet::from([digest(QUOTE, &ROOT, &COLLATERAL)]);
    let mut expected = 1;
    let mut count = |digest: [u8; HASH_LEN], what: &str| {
        expected += 1;
        digests.insert(digest);
        assert_eq!(digests.len(), expected, "{what}");
    };
    for at in 0..QUOTE.len() {
        let mut quote = QUOTE.to_vec();
        quote[at] ^= 1;
        count(digest(&quote, &ROOT, &COLLATERAL), "quote");
    }
    for at in 0..ROOT.len() {
        let mut root = ROOT.clone();
        root[at] ^= 1;
        count(digest(QUOTE, &root, &COLLATERAL), "root");
    }
    macro_rules! count_each {
        ($($part:ident),*) => {$({
            for at in 0..COLLATERAL.$part.len() {
                let mut other = COLLATERAL.clone();
                let mut bytes: Vec<u8> = other.$part.into();
                bytes[at] ^= 1;
                other.$part = bytes.try_into().unwrap();
                count(digest(QUOTE, &ROOT, &other), stringify!($part));
            }
        })*};
    }
    count_each!(
        pck_crl_issuer_chain,
        root_ca_crl,
        pck_crl,
        tcb_info_issuer_chain,
        tcb_info,
        tcb_info_signature
    );
    count_each!(qe_identity_issuer_chain, qe_identity, qe_identity_signature);
    for chain in ["", "chain", "chaim"] {
        let other = Collateral { pck_certificate_chain: Some(chain.to_owned()), ..COLLATERAL.clone() };
        count(digest(QUOTE, &ROOT, &other), "pck_certificate_chain");
    }
}

#[test]
fn no_part_is_taken_for_a_piece_of_another() {
    let empty = || Collateral {
        pck_crl_issuer_chain: String::new(),
        root_ca_crl: Vec::new(),
        pck_crl: Vec::new(),
        tcb_info_issuer_chain: String::new(),
        tcb_info: String::new(),
        tcb_info_signature: Vec::new(),
        qe_identity_issuer_chain: String::new(),
        qe_identity: String::new(),
        qe_identity_signature: Vec::new(),
        pck_certificate_chain: None,
    };
    let text = || "x".to_owned();
    let digests = [
        digest(b"", b"", &empty()),
        digest(b"x", b"", &empty()),
        digest(b"", b"x", &empty()),
        digest(b"xx", b"", &empty()),
        digest(b"", b"xx", &empty()),
        digest(b"x", b"x", &empty()),
        digest(b"", b"", &Collateral { pck_crl_issuer_chain: text(), ..empty() }),
        digest(b"", b"", &Collateral { root_ca_crl: text().into(), ..empty() }),
        digest(b"", b"", &Collateral { pck_crl: text().into(), ..empty() }),
        digest(b"", b"", &Collateral { tcb_info_issuer_chain: text(), ..empty() }),
        digest(b"", b"", &Collateral { tcb_info: text(), ..empty() }),
        digest(b"", b"", &Collateral { tcb_info_signature: text().into(), ..empty() }),
        digest(b"", b"", &Collateral { qe_identity_issuer_chain: text(), ..empty() }),
        digest(b"", b"", &Collateral { qe_identity: text(), ..empty() }),
        digest(b"", b"", &Collateral { qe_identity_signature: text().into(), ..empty() }),
        digest(b"", b"", &Collateral { pck_certificate_chain: Some(text()), ..empty() }),
        digest(b"", b"", &Collateral { pck_certificate_chain: Some(String::new()), ..empty() }),
    ];
    assert_eq!(BTreeSet::from(digests).len(), digests.len());
}

#[test]
fn it_is_used_by_many_and_survives_one_that_panics() {
    let quotes = VerifiedQuotes::default();
    quotes.remember([1; 32], NOW, &PLATFORM);
    std::thread::scope(|scope| {
        let panics = scope.spawn(|| {
            let _held = quotes.entries();
            panic!("while it holds the lock");
        });
        assert!(panics.join().is_err());
    });
    assert!(quotes.recall(&[1; 32], NOW).is_some());
    quotes.remember([2; 32], NOW, &PLATFORM);
    assert!(quotes.recall(&[2; 32], NOW).is_some());
}

/// No digest and no machine's name gets into logs.
#[test]
fn it_is_printed_as_a_number() {
    let quotes = VerifiedQuotes::default();
    assert_eq!(format!("{quotes:?}"), "VerifiedQuotes { remembered: 0 }");
    quotes.remember([1; 32], NOW, &PLATFORM);
    assert_eq!(format!("{quotes:?}"), "VerifiedQuotes { remembered: 1 }");
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A quote of real hardware with Intel's collateral.
const QUOTE: &[u8] = include_bytes!("../../../tests/vectors/sgx_quote.bin");
static COLLATERAL: LazyLock<Collateral> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../tests/vectors/sgx_quote_collateral.json")).unwrap()
});
static ROOT: LazyLock<Vec<u8>> =
    LazyLock::new(|| root(&any_quote(QUOTE).unwrap(), Some(&COLLATERAL), &TrustAnchor::Intel).unwrap());
/// Says what nothing here verifies.
static PLATFORM: LazyLock<VerifiedPlatform> = LazyLock::new(|| VerifiedPlatform {
    status: TcbStatus::UpToDate,
    advisories: Vec::new(),
    fmspc: [7; 6],
    ppid: vec![8; 16],
    collateral_issued: Ok(NOW),
    expires: NOW + DAY,
});
/// 2025-06-25T00:00:00Z, inside the validity of the collateral.
const NOW: u64 = 1_750_809_600;
/// 2025-07-19T10:01:18Z, when it ends: that of the quoting enclave's identity.
const EXPIRY: u64 = 1_752_919_278;
const DAY: u64 = 24 * 60 * 60;
