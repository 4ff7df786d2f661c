//! What has to be done though nobody asks for it: counters are kept, and writes of calls whose clients went away; evidence is
//! made anew before it is old.

use crate::app::App;
use crate::keys;
use crate::state::Enclave;
use crate::storage::KeptCounters;
use cloister_api::Problem;
use std::sync::Arc;
use std::time::Duration;

/// Keeps counters and forgotten writes at intervals, and the evidence young, for as long as it is polled.
pub(crate) async fn run(enclave: &Arc<Enclave>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        if write_counters(enclave).await || enclave.storage.has_uncommitted() {
            // Calls hear of a failure themselves, and the next time comes.
            let _ = enclave.storage.commit().await;
        }
        renew(enclave).await;
    }
}

/// Makes evidence anew that is older than the configuration wants. Where that fails, what there is stays, and the next time comes.
pub(crate) async fn renew(enclave: &Arc<Enclave>) {
    let lifetime = Duration::from_millis(enclave.configuration.quote_lifetime_ms);
    if enclave.state().attested.age() < lifetime {
        return;
    }
    let renewed: Result<(), Problem> =
        enclave.change(|enclave, apps| enclave.evidence(apps).map(|next| (next, ()))).await;
    if let Err(problem) = renewed {
        cloister_boundary::log(&format!("the evidence is old and cannot be made anew: {}", problem.detail));
    }
}

/// The last commit of a run.
pub(crate) async fn finish(enclave: &Arc<Enclave>) {
    write_counters(enclave).await;
    if enclave.storage.commit().await.is_err() {
        cloister_boundary::log(
            "the volume could not be written at the end; what calls were told is on the disk",
        );
    }
}

/// Writes the counters that changed, and says whether there were any.
async fn write_counters(enclave: &Arc<Enclave>) -> bool {
    // An app that is being removed meanwhile would leave what is written here.
    let unchanged = enclave.unchanged().await;
    let state = enclave.state();
    let changed: Vec<_> = state
        .apps
        .running
        .values()
        .filter_map(|app| Some((Arc::clone(app), app.counters.take_changed()?)))
        .collect();
    if changed.is_empty() {
        return false;
    }
    let storage = enclave.storage.clone();
    let writing = tokio::task::spawn_blocking(move || {
        let _unchanged = unchanged;
        for (app, functions) in changed {
            let App { name, record, counters, .. } = &*app;
            let kept = KeptCounters { functions, keys: keys::uses(&app.keys) };
            if storage.write_counters(name, record, kept).is_err() {
                counters.mark_changed();
            }
        }
    });
    writing.await.is_ok()
}

/// What a power cut can take of counters.
const INTERVAL: Duration = Duration::from_secs(10);
