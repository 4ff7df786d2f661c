//! A stand-in for a caching service: it speaks the interface of Intel's Provisioning Certification Service, version 4, on
//! loopback, and gives what it was made with.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use dcap_qvl::QuoteCollateralV3;

/// The answer to a path, its query included or not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection, perhaps through TLS.
pub(crate) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A service that runs until the test ends.
#[derive(Clone, Debug)]
pub(crate) struct Pccs {
    pub(crate) address: SocketAddr,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    received: Arc<Mutex<Vec<String>>>,
}

impl Pccs {
    /// One that has this collateral, plainly over HTTP.
    pub(crate) fn start(pages: BTreeMap<String, Page>) -> Self {
        Self::start_over(pages, |stream| Box::new(stream))
    }

    /// One that speaks through what `layer` makes of a connection.
    pub(crate) fn start_over(
        pages: BTreeMap<String, Page>,
        layer: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self {
            address: listener.local_addr().unwrap(),
            pages: Arc::new(Mutex::new(pages)),
            received: Arc::default(),
        };
        let (theirs, layer) = (service.clone(), Arc::new(layer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (theirs, layer) = (theirs.clone(), Arc::clone(&layer));
                thread::spawn(move || theirs.answer(layer(stream)));
            }
        });
        service
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Targets of the requests so far.
    #[allow(dead_code, reason = "not every test looks")]
    pub(crate) fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    /// Changes what it has.
    #[allow(dead_code, reason = "not every test changes anything")]
    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Page>)) {
        change(&mut self.pages.lock().unwrap());
    }

    fn answer(&self, mut stream: Box<dyn Stream>) {
        let mut request = String::new();
        {
            let mut reader = BufReader::new(&mut stream);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                request.push_str(&line);
                line.clear();
            }
        }
        let Some(target) = request.split(' ').nth(1) else { return };
        self.received.lock().unwrap().push(target.to_owned());
        let path = target.split('?').next().unwrap_or(target);
        let page = {
            let pages = self.pages.lock().unwrap();
            pages.get(target).or_else(|| pages.get(path)).cloned()
        };
        let page = page.unwrap_or(Page { status: 404, ..Page::default() });
        let mut answer = format!(
            "HTTP/1.1 {} Whatever\r\ncontent-length: {}\r\nconnection: close\r\n",
            page.status,
            page.body.len()
        );
        for (name, value) in &page.headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        answer.push_str("\r\n");
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.write_all(&page.body);
        let _ = stream.flush();
    }
}

/// What a service answers that has this collateral for the technology (`sgx` or `tdx`). The list of the root is in hexadecimal, as
/// Intel's cache writes it.
pub(crate) fn pages(collateral: &QuoteCollateralV3, technology: &str) -> BTreeMap<String, Page> {
    let signed = |name: &str, signed: &str, signature: &[u8]| {
        format!(r#"{{"{name}":{signed},"signature":"{}"}}"#, hex::encode(signature)).into_bytes()
    };
    let page = |header, pem: &str, body| Page { status: 200, headers: vec![(header, chain(pem))], body };
    let tcb = signed("tcbInfo", &collateral.tcb_info, &collateral.tcb_info_signature);
    let identity = signed("enclaveIdentity", &collateral.qe_identity, &collateral.qe_identity_signature);
    let revocations = collateral.pck_crl.clone();
    let root = Page { status: 200, headers: vec![], body: hex::encode(&collateral.root_ca_crl).into() };
    BTreeMap::from([
        (
            "/sgx/certification/v4/pckcrl".to_owned(),
            page("sgx-pck-crl-issuer-chain", &collateral.pck_crl_issuer_chain, revocations),
        ),
        (
            format!("/{technology}/certification/v4/tcb"),
            page("tcb-info-issuer-chain", &collateral.tcb_info_issuer_chain, tcb),
        ),
        (
            format!("/{technology}/certification/v4/qe/identity"),
            page("sgx-enclave-identity-issuer-chain", &collateral.qe_identity_issuer_chain, identity),
        ),
        ("/sgx/certification/v4/rootcacrl".to_owned(), root),
    ])
}

/// Header values have no line feeds: the service writes them as `%0A`.
pub(crate) fn chain(pem: &str) -> String {
    pem.replace('%', "%25").replace(' ', "%20").replace('\r', "").replace('\n', "%0A")
}
