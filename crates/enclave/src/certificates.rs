//! Certificates for the host names that clients ask for.
//!
//! A client that is not ours, such as curl or a browser, compares the name that it asked for with those in the
//! certificate. So each name gets a certificate of its own: the same key and the same evidence, and where an app has that
//! name, what concerns that app.

use crate::host_name::HostName;
use rustls::sign::CertifiedKey;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The certificates that were asked for last, of one set of evidence.
#[derive(Debug, Default)]
pub(crate) struct Certificates(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// Oldest first.
    names: VecDeque<String>,
}

impl Certificates {
    /// The certificate for a name, made where there is none.
    ///
    /// # Errors
    /// As `make` says.
    pub(crate) fn find_or_make<E>(
        &self,
        name: &HostName,
        make: impl FnOnce() -> Result<Arc<CertifiedKey>, E>,
    ) -> Result<Arc<CertifiedKey>, E> {
        if let Some(made) = self.lock().by_name.get(name.as_str()) {
            return Ok(Arc::clone(made));
        }
        let made = make()?;
        let mut all = self.lock();
        if all.by_name.insert(name.as_str().to_owned(), Arc::clone(&made)).is_none() {
            all.names.push_back(name.as_str().to_owned());
        }
        while all.names.len() > MOST
            && let Some(oldest) = all.names.pop_front()
        {
            all.by_name.remove(&oldest);
        }
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Certificates that are kept. Making one costs about as much as the handshake that asks for it.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_attestation::TlsKey;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use std::convert::Infallible;

    fn certificate() -> Arc<CertifiedKey> {
        let key = TlsKey::generate().unwrap();
        let own = cloister_attestation::client_certificate(&key).unwrap();
        let pkcs8 = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().unwrap().to_vec());
        let provider = rustls_graviola::default_provider();
        Arc::new(CertifiedKey::from_der(vec![own], pkcs8.into(), &provider).unwrap())
    }

    #[test]
    fn the_last_names_are_kept() {
        let certificates = Certificates::default();
        let certificate = certificate();
        let mut made = 0;
        let mut ask = |name: String| {
            let name = HostName::parse(&name).unwrap();
            let make = || {
                made += 1;
                Ok::<_, Infallible>(Arc::clone(&certificate))
            };
            certificates.find_or_make(&name, make).unwrap();
            made
        };
        assert_eq!((ask("a.test".into()), ask("a.test".into()), ask("A.test".into())), (1, 1, 1));
        for number in 0..MOST {
            ask(format!("n{number}.test"));
        }
        assert_eq!(ask(format!("n{}.test", MOST - 1)), MOST + 1);
        assert_eq!(ask("a.test".into()), MOST + 2);
        assert_eq!(certificates.lock().by_name.len(), MOST);
    }
}
