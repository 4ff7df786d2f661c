//! What owners write of callers, of the network and of upgrades. What is understood means the same when it is written again.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use cloister_api::{CallerPolicy, CallerRule, ImageUpgrade, NetworkPolicy, NetworkRule, Upgrade};

libfuzzer_sys::fuzz_target!(|text: &str| {
    is_stable::<CallerRule>(text);
    is_stable::<NetworkRule>(text);
    is_stable::<Upgrade>(text);
    is_stable::<ImageUpgrade>(text);
    let rules: Vec<CallerRule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if let Ok(policy) = CallerPolicy::new(rules) {
        let again = CallerPolicy::new(policy.rules().to_vec()).expect("it was within bounds");
        assert_eq!(again, policy);
        let texts: Vec<String> = policy.rules().iter().map(CallerRule::to_string).collect();
        assert!(texts.is_sorted_by(|a, b| a < b), "{texts:?}");
    }
    let rules: Vec<NetworkRule> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if let Ok(policy) = NetworkPolicy::new(rules) {
        assert!(policy.beyond(&policy).is_empty());
        assert_eq!(NetworkPolicy::new(policy.rules().to_vec()).expect("it was within bounds"), policy);
    }
});

fn is_stable<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().ok().as_ref(), Some(&value), "{text:?}");
    }
}
