use anyhow::{Context as _, Result, ensure};
use cloister_api::{AppName, DeploySettings, Limits, NetworkPolicy};
use cloister_client::Session;
use cloister_tests::{Enclave, for_everybody, name, platform_guest};
use serde_json::Value;
use std::time::{Duration, Instant};

/// The guest `tests/guests/platform-bench` in the image.
pub(crate) struct Guest {
    session: Session,
    app: AppName,
}

impl Guest {
    pub(crate) async fn deploy(enclave: &Enclave, app: &str, rules: &[&str]) -> Result<Self> {
        let session = enclave.owner().await;
        let app = name(app);
        let limits = Limits { fuel: MAX_FUEL, wall_time_ms: 600_000, ..Limits::default() };
        let rules = rules.iter().map(|rule| rule.parse()).collect::<Result<_, _>>()?;
        let network = NetworkPolicy::new(rules)?;
        let settings = DeploySettings { limits, network, ..for_everybody() };
        session.deploy(&app, platform_guest("platform-bench"), &settings, |_| {}).await?;
        Ok(Self { session, app })
    }

    /// Seconds that one of the operations takes that an export does in a loop: the difference of two calls, so that what a call
    /// costs besides is no part of it. `arguments` gives them for a number of times.
    pub(crate) async fn seconds(
        &self,
        export: &str,
        amounts: Amounts,
        arguments: impl Fn(u32) -> Value,
    ) -> Result<f64> {
        let less = self.timed(export, arguments(amounts.less)).await?;
        let more = self.timed(export, arguments(amounts.more)).await?;
        Ok((more.as_secs_f64() - less.as_secs_f64()) / f64::from(amounts.more - amounts.less))
    }

    async fn timed(&self, export: &str, arguments: Value) -> Result<Duration> {
        let began = Instant::now();
        let answer =
            self.session.call_json(&self.app, export, &arguments).await.context(export.to_owned())?;
        let took = began.elapsed();
        ensure!(answer.result.get("err").is_none(), "{export}: {}", answer.result);
        Ok(took)
    }
}

/// How often an operation is done in each of two calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amounts {
    pub(crate) less: u32,
    pub(crate) more: u32,
}

/// The most that an image of the default settings allows.
const MAX_FUEL: u64 = 1_000_000_000_000;
