//! Counters as Prometheus text (exposition format 0.0.4).

use crate::access::Requester;
use crate::body;
use crate::state::Enclave;
use cloister_api::{FunctionCounters, Problem};
use http::{Response, StatusCode};
use std::fmt::Write;

/// Counters of the requester's apps, and of the enclave.
///
/// # Errors
/// A [`Problem`] where the requester is neither an owner nor the operator.
pub(crate) fn serve(enclave: &Enclave, requester: Requester) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner_or_operator(&enclave.configuration)?;
    let state = enclave.state();
    let functions: Vec<_> = state
        .apps
        .running
        .values()
        .filter(|app| owners.is_some_and(|own| own.include(&app.record.owner)))
        .flat_map(|app| {
            let (_, functions) = app.counters.read();
            functions.into_iter().map(|(function, counters)| (app.name.to_string(), function, counters))
        })
        .collect();
    let mut text = String::new();
    for (metric, kind, help, value) in FUNCTION_METRICS {
        header(&mut text, metric, kind, help);
        for (app, function, counters) in &functions {
            let labels = format!("app=\"{}\",function=\"{}\"", escaped(app), escaped(function));
            line(&mut text, metric, &labels, value(counters));
        }
    }
    let runtime = enclave.runtime.statistics();
    let pool = runtime.pool;
    let volume = enclave.storage.statistics();
    let permits = |total: u32, free: usize| u64::from(total).saturating_sub(free as u64);
    let configuration = &enclave.configuration;
    for (metric, help, value) in [
        ("cloister_apps", "Apps that answer.", state.apps.running.len() as u64),
        (
            "cloister_apps_damaged",
            "Apps whose part of the volume does not verify.",
            state.apps.affected.len() as u64,
        ),
        (
            "cloister_code_pool_bytes_used",
            "Bytes of executable pages that native code holds.",
            pool.used as u64,
        ),
        ("cloister_code_pool_bytes_total", "Bytes of executable pages in the image.", pool.total as u64),
        ("cloister_volume_epoch", "Commits of the volume over its whole life.", volume.state.epoch),
        (
            "cloister_volume_bytes_used",
            "Bytes of the disk that the volume uses.",
            volume.used.saturating_mul(cloister_volume::BLOCK as u64),
        ),
        (
            "cloister_volume_bytes_total",
            "Bytes of the disk that the host lends now.",
            volume.blocks.saturating_mul(cloister_volume::BLOCK as u64),
        ),
        (
            "cloister_calls_under_way",
            "Calls that have begun and not ended.",
            permits(configuration.max_concurrent_calls, enclave.calls.available_permits()),
        ),
        (
            "cloister_connections",
            "Open TLS connections.",
            permits(configuration.max_connections, enclave.connections.available_permits()),
        ),
    ] {
        header(&mut text, metric, "gauge", help);
        line(&mut text, metric, "", value);
    }
    for (metric, help, value) in [
        ("cloister_components_compiled_total", "Components compiled since the start.", runtime.compiled),
        (
            "cloister_components_restored_total",
            "Components that the volume had compiled, since the start.",
            runtime.restored,
        ),
        ("cloister_volume_commits_total", "Commits of the volume since the start.", volume.commits),
        ("cloister_volume_cache_hits_total", "Blocks that reads found in memory.", volume.cache_hits),
        ("cloister_volume_cache_misses_total", "Blocks read from the disk.", volume.cache_misses),
    ] {
        header(&mut text, metric, "counter", help);
        line(&mut text, metric, "", value);
    }
    Ok(body::whole(StatusCode::OK, "text/plain; version=0.0.4", text))
}

type FunctionMetric = (&'static str, &'static str, &'static str, fn(&FunctionCounters) -> u64);

const FUNCTION_METRICS: [FunctionMetric; 6] = [
    ("cloister_calls_total", "counter", "Calls that ended.", |c| c.calls),
    ("cloister_call_errors_total", "counter", "Calls that ended without a result.", |c| c.errors),
    ("cloister_fuel_total", "counter", "Fuel units burnt.", |c| c.fuel_total),
    ("cloister_fuel_max", "gauge", "Most fuel units that one call burnt.", |c| c.fuel_max),
    ("cloister_call_microseconds_total", "counter", "Wall time of calls.", |c| c.wall_us_total),
    ("cloister_call_microseconds_max", "gauge", "Longest wall time of one call.", |c| c.wall_us_max),
];

fn header(text: &mut String, metric: &str, kind: &str, help: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} {kind}");
}

fn line(text: &mut String, metric: &str, labels: &str, value: u64) {
    let _ = match labels {
        "" => writeln!(text, "{metric} {value}"),
        _ => writeln!(text, "{metric}{{{labels}}} {value}"),
    };
}

fn escaped(label: &str) -> String {
    label.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_prometheus_text() {
        let mut text = String::new();
        header(&mut text, "m", "counter", "Help.");
        line(&mut text, "m", &format!("f=\"{}\"", escaped("a\"b\\c\nd")), 3);
        line(&mut text, "g", "", 4);
        assert_eq!(text, "# HELP m Help.\n# TYPE m counter\nm{f=\"a\\\"b\\\\c\\nd\"} 3\ng 4\n");
    }
}
