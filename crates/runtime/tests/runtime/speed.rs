use crate::fixture::*;
use std::time::{Duration, Instant};

/// Prints what a fresh call costs; machines differ, so it only refuses the absurd.
#[tokio::test]
async fn a_fresh_call_is_cheap() {
    for (export, json) in [("add", "[1, 2]"), ("echo", "[\"a string of thirty-two letters..\"]")] {
        let mut samples = Vec::new();
        for _ in 0..2000 {
            let start = Instant::now();
            call(toolbox(), export, json).await.unwrap();
            samples.push(start.elapsed());
        }
        samples.sort();
        let median = samples[samples.len() / 2];
        println!("fresh call of {export}: median {median:?}, 99th percentile {:?}", samples[1980]);
        assert!(median < Duration::from_millis(50));
    }
}
