use cloister_attestation::TlsKey;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

/// A certificate authority of its own.
pub struct Authority {
    key: TlsKey,
    parameters: CertificateParams,
    certificate: CertificateDer<'static>,
}

/// What a server's certificate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate<'a> {
    /// Good for this name or address.
    For(&'a str),
    /// Good for this name or address until 2021.
    ExpiredFor(&'a str),
    /// Good for this name or address from 2100 on.
    NotYetFor(&'a str),
}

/// What a server proves who it is with.
#[derive(Clone, Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    /// PKCS #8 in DER.
    pub key: Vec<u8>,
}

impl Authority {
    /// # Panics
    /// Where there is no randomness.
    pub fn new() -> Self {
        let key = TlsKey::generate().expect("randomness");
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names are valid names");
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "An authority of tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.serial_number = Some(1.into());
        let certificate = parameters.self_signed(&key).expect("it can be signed").into();
        Self { key, parameters, certificate }
    }

    /// Its own certificate.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// A server that it vouches for.
    ///
    /// # Panics
    /// Where the name is none.
    pub fn vouch_for(&self, certificate: Certificate<'_>) -> Identity {
        let key = TlsKey::generate().expect("randomness");
        let issuer = Issuer::from_params(&self.parameters, &self.key);
        let signed = certificate.parameters().signed_by(&key, &issuer).expect("it can be signed");
        Identity::new(vec![signed.into()], &key)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Certificate<'_> {
    fn parameters(self) -> CertificateParams {
        let (name, years) = match self {
            Self::For(name) => (name, 2020..2100),
            Self::ExpiredFor(name) => (name, 2020..2021),
            Self::NotYetFor(name) => (name, 2100..2101),
        };
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("the name is valid");
        parameters.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "A server of tests");
        parameters.serial_number = Some(2.into());
        parameters
    }
}

impl Identity {
    /// A server that nobody but itself vouches for.
    ///
    /// # Panics
    /// Where the name is none.
    pub fn self_signed(certificate: Certificate<'_>) -> Self {
        let key = TlsKey::generate().expect("randomness");
        let signed = certificate.parameters().self_signed(&key).expect("it can be signed");
        Self::new(vec![signed.into()], &key)
    }

    /// A server that shows what somebody else says of themselves: extensions by object identifier, under a key of its own.
    ///
    /// # Panics
    /// Where the name is none.
    pub fn impostor(certificate: Certificate<'_>, extensions: &[(&[u64], Vec<u8>)]) -> Self {
        let key = TlsKey::generate().expect("randomness");
        let mut parameters = certificate.parameters();
        let extension =
            |(oid, contents): &(&[u64], Vec<u8>)| CustomExtension::from_oid_content(oid, contents.clone());
        parameters.custom_extensions = extensions.iter().map(extension).collect();
        Self::new(vec![parameters.self_signed(&key).expect("it can be signed").into()], &key)
    }

    /// A certificate as `openssl req -x509` makes it: an authority's, which vouches for itself as a server.
    ///
    /// # Panics
    /// Where the name is none.
    pub fn self_signed_authority(certificate: Certificate<'_>) -> Self {
        let key = TlsKey::generate().expect("randomness");
        let mut parameters = certificate.parameters();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self::new(vec![parameters.self_signed(&key).expect("it can be signed").into()], &key)
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: &TlsKey) -> Self {
        Self { chain, key: key.to_pkcs8_der().expect("it has an encoding").to_vec() }
    }

    /// Its certificate.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |certificate| certificate)
    }
}
