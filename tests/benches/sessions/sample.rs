//! Latencies, and how many there were in what time.

use anyhow::Result;
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Sample {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Sample {
    pub(crate) const fn new() -> Self {
        Self { latencies: Vec::new(), elapsed: Duration::ZERO }
    }

    pub(crate) fn push(&mut self, latency: Duration) {
        self.latencies.push(latency);
        self.elapsed += latency;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.elapsed += other.elapsed;
    }

    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Of a hundred sorted latencies the one at this place, in microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }
}

/// Does it again and again, so many at once, until so much time has passed.
pub(crate) async fn take(
    in_flight: usize,
    duration: Duration,
    once: impl AsyncFn() -> Result<()>,
) -> Result<Sample> {
    let began = Instant::now();
    let one = async || {
        let mut latencies = Vec::new();
        while began.elapsed() < duration {
            let start = Instant::now();
            once().await?;
            latencies.push(start.elapsed());
        }
        anyhow::Ok(latencies)
    };
    let mut sample = Sample::new();
    for latencies in futures(in_flight, one).await {
        sample.latencies.extend(latencies?);
    }
    sample.elapsed = began.elapsed();
    Ok(sample)
}

/// So many futures at once, on this thread.
async fn futures<T>(count: usize, make: impl AsyncFn() -> T) -> Vec<T> {
    let mut running: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut done: Vec<Option<T>> = (0..count).map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(cx)
            {
                *done = Some(value);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
