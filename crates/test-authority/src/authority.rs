use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, DnType, Issuer, KeyUsagePurpose};
use rustls::pki_types::CertificateDer;

use crate::key::Key;
use crate::{Certificate, Identity};

/// A certificate authority with a key and a name of its own.
pub struct Authority {
    name: String,
    key: Key,
    parameters: CertificateParams,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// A new one. No two in a process have the same name.
    pub fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Self::named(format!("authority {} of tests", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    /// Another authority under this one's name.
    pub fn namesake(&self) -> Self {
        Self::named(self.name.clone())
    }

    fn named(name: String) -> Self {
        let key = Key::generate();
        let mut parameters = Certificate::of([]).of_an_authority().into_parameters();
        parameters.distinguished_name.push(DnType::CommonName, &*name);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = parameters.self_signed(&key).expect("it can be signed").into();
        Self { name, key, parameters, certificate }
    }

    /// Its own certificate.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Its own certificate, in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// A server that it vouches for. A name alone makes a [`Certificate`] that is good for that.
    pub fn issue(&self, certificate: impl Into<Certificate>) -> Identity {
        let key = Key::generate();
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let signed = certificate.into().into_parameters().signed_by(&key, &issuer);
        Identity::new(signed.expect("it can be signed").into(), &key)
    }

    /// A server of this machine that it vouches for: `localhost`, 127.0.0.1 and ::1.
    pub fn good(&self) -> Identity {
        self.issue(["localhost", "127.0.0.1", "::1"])
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).finish_non_exhaustive()
    }
}
