//! What the options say of quotes and collateral.

use crate::arguments::{PccsArguments, QuotingArguments, QuotingChoice};
use crate::failure::{Failure, FileAction};
use cloister_collateral::{CollateralError, CollateralServer, ServerTrust};
use cloister_host::{DeviceKind, ProviderConfiguration, QuotingService, QuotingSettings};
use std::fs;
use std::path::Path;

/// For an enclave on this device. Where no PCCS is named, hardware takes the one that Intel's quote provider is configured with.
pub(super) fn settings(
    arguments: &QuotingArguments,
    device: DeviceKind,
    provider: &Path,
) -> Result<QuotingSettings, Failure> {
    let mut settings = QuotingSettings {
        service: match arguments.quoting {
            QuotingChoice::Auto => QuotingService::Auto,
            QuotingChoice::Aesm => QuotingService::Aesm,
            QuotingChoice::Dcap => QuotingService::Dcap,
        },
        collateral: server(&arguments.pccs)?,
        ..QuotingSettings::default()
    };
    if let Some(socket) = &arguments.aesm_socket {
        settings.aesm_socket.clone_from(socket);
    }
    if settings.collateral.is_none() && device == DeviceKind::Hardware {
        let named = ProviderConfiguration::read(provider).map_err(|source| Failure::File {
            action: FileAction::Read,
            path: provider.to_owned(),
            source,
        })?;
        settings.collateral = named.map(|named| named.server()).transpose().map_err(failure)?;
    }
    Ok(settings)
}

/// The service that is named, if one is.
pub(super) fn server(arguments: &PccsArguments) -> Result<Option<CollateralServer>, Failure> {
    let Some(url) = &arguments.pccs else { return Ok(None) };
    let mut server = CollateralServer::new(url).map_err(failure)?;
    if let Some(path) = &arguments.pccs_certificates {
        let pem = fs::read(path).map_err(|source| Failure::File {
            action: FileAction::Read,
            path: path.clone(),
            source,
        })?;
        let trust = ServerTrust::from_pem(&pem)
            .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        server = server.with_trust(trust);
    }
    Ok(Some(server))
}

/// Why there is no collateral.
pub(super) fn failure(error: CollateralError) -> Failure {
    let reason = error.to_string();
    match error {
        CollateralError::Url { .. } => Failure::Usage {
            what: reason,
            help: Some("write the URL of a PCCS, such as https://pccs.example:8081".to_owned()),
        },
        CollateralError::Certificates | CollateralError::Quote(_) => Failure::usage(reason),
        CollateralError::Status { server, .. }
        | CollateralError::TooLong { server, .. }
        | CollateralError::Malformed { server, .. } => Failure::Protocol { host: server, reason },
        CollateralError::Unreachable { server, .. }
        | CollateralError::TimedOut { server, .. }
        | CollateralError::BrokenOff { server, .. } => Failure::Connect { host: server, reason },
        other => Failure::Internal(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quote_providers_service_is_taken_on_hardware_alone() {
        let folder = tempfile::tempdir().unwrap();
        let provider = folder.path().join("sgx_default_qcnl.conf");
        fs::write(&provider, r#"{"pccs_url": "https://cache.example/sgx/certification/v4/"}"#).unwrap();
        let url = |arguments: &QuotingArguments, device| {
            let settings = settings(arguments, device, &provider).unwrap();
            settings.collateral.map(|server| server.url().to_owned())
        };
        let none = QuotingArguments::default();
        assert_eq!(url(&none, DeviceKind::Hardware).as_deref(), Some("https://cache.example"));
        assert_eq!(url(&none, DeviceKind::Soft), None);
        let pccs = PccsArguments { pccs: Some("https://mine.example".to_owned()), pccs_certificates: None };
        let named = QuotingArguments { pccs, ..QuotingArguments::default() };
        assert_eq!(url(&named, DeviceKind::Hardware).as_deref(), Some("https://mine.example"));
        fs::write(&provider, "{").unwrap();
        assert!(settings(&none, DeviceKind::Hardware, &provider).is_err());
        assert!(settings(&none, DeviceKind::Hardware, &folder.path().join("none")).is_ok());
    }

    #[test]
    fn options_choose_the_way() {
        let arguments = QuotingArguments {
            quoting: QuotingChoice::Aesm,
            aesm_socket: Some("/run/other".into()),
            pccs: PccsArguments::default(),
        };
        let made = settings(&arguments, DeviceKind::Soft, Path::new("/nowhere")).unwrap();
        assert_eq!((made.service, made.aesm_socket), (QuotingService::Aesm, "/run/other".into()));
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.pem");
        fs::write(&path, "nothing").unwrap();
        let arguments =
            PccsArguments { pccs: Some("https://a.example".to_owned()), pccs_certificates: Some(path) };
        assert!(server(&arguments).unwrap_err().to_string().contains("own.pem"));
        let arguments = PccsArguments { pccs: Some("http://a.example".to_owned()), pccs_certificates: None };
        assert!(server(&arguments).unwrap_err().to_string().contains("https"));
    }
}
