//! A quoting platform for tests: quotes of whatever enclave a test asks for, below a root of its own, with collateral
//! of whatever status. Other than a soft platform, it lets a test get exactly one thing wrong.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "a module of several test programs, each of which uses a part"
)]

mod machine;

pub use machine::Machine;

use cloister_attestation::sha256;
use cloister_attestation::verify::Collateral;
use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::json;

/// What the quote says of its enclave.
#[derive(Clone, Copy)]
pub struct Enclave {
    pub mrenclave: [u8; 32],
    pub debug: bool,
    pub report_data: [u8; 64],
}

/// What the quote says of its image beside MRENCLAVE.
#[derive(Clone, Copy)]
pub struct Image {
    pub mrsigner: [u8; 32],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
}

impl Default for Image {
    fn default() -> Self {
        Self { mrsigner: [0xdd; 32], isv_prod_id: 1, isv_svn: 1 }
    }
}

/// Which machine the platform's certificate is of.
#[derive(Clone, Copy)]
pub struct Processor {
    pub ppid: [u8; 16],
    pub fmspc: [u8; 6],
}

impl Default for Processor {
    fn default() -> Self {
        Self { ppid: [0x77; 16], fmspc: [0x70; 6] }
    }
}

/// What collateral says, and since when.
#[derive(Clone, Copy)]
pub struct Levels<'a> {
    pub status: &'a str,
    pub advisories: &'a [&'a str],
    pub fmspc: [u8; 6],
    /// When the TCB info and the quoting enclave's identity were issued.
    pub issued: [&'a str; 2],
}

impl Default for Levels<'_> {
    fn default() -> Self {
        Self { status: "UpToDate", advisories: &[], fmspc: Processor::default().fmspc, issued: [FROM; 2] }
    }
}

/// What of a platform's certificates and collateral has dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dated {
    TcbInfo,
    QeIdentity,
    TcbSigning,
    RootRevocations,
    PckRevocations,
    PckAuthority,
    Pck,
}

pub struct TestPlatform {
    expiring: Option<Dated>,
    root: Key,
    pck_ca: Key,
    pck: Key,
    tcb_signing: Key,
    attestation: Key,
    pub root_der: Vec<u8>,
    pck_ca_der: Vec<u8>,
    pck_der: Vec<u8>,
    tcb_signing_der: Vec<u8>,
}

impl TestPlatform {
    /// A platform of which nothing expires before 2090.
    pub fn new() -> Self {
        Self::expiring(None)
    }

    /// A platform of which this alone expires at [`EARLY`].
    pub fn expiring(expiring: Option<Dated>) -> Self {
        let dated = |mut parameters: CertificateParams, what| {
            set_end(&mut parameters, until(expiring == Some(what)));
            parameters
        };
        let keys: [Key; 5] = std::array::from_fn(|_| Key::new());
        let [root, pck_ca, pck, tcb_signing, attestation] = keys;
        let root_issuer = Issuer::new(parameters("test root", &root, Some(1)), &root);
        let pck_ca_issuer = Issuer::new(parameters("Test PCK Platform CA", &pck_ca, Some(0)), &pck_ca);
        let der = |certificate: rcgen::Certificate| certificate.der().to_vec();
        let root_der = der(parameters("test root", &root, Some(1)).self_signed(&root).unwrap());
        let pck_ca_der =
            der(dated(parameters("Test PCK Platform CA", &pck_ca, Some(0)), Dated::PckAuthority)
                .signed_by(&pck_ca, &root_issuer)
                .unwrap());
        let pck_der = der(dated(pck_parameters(&pck, Processor::default()), Dated::Pck)
            .signed_by(&pck, &pck_ca_issuer)
            .unwrap());
        let tcb_signing_der =
            der(dated(parameters("test TCB signing", &tcb_signing, None), Dated::TcbSigning)
                .signed_by(&tcb_signing, &root_issuer)
                .unwrap());
        drop((root_issuer, pck_ca_issuer));
        Self {
            expiring,
            root,
            pck_ca,
            pck,
            tcb_signing,
            attestation,
            root_der,
            pck_ca_der,
            pck_der,
            tcb_signing_der,
        }
    }

    fn until(&self, what: Dated) -> Until {
        until(self.expiring == Some(what))
    }

    pub fn root_fingerprint(&self) -> [u8; 32] {
        sha256(&self.root_der)
    }

    /// A DCAP quote, version 3.
    pub fn quote(&self, enclave: &Enclave) -> Vec<u8> {
        self.quote_of(enclave, Image::default(), Processor::default())
    }

    /// A DCAP quote, version 3, of this image on this machine.
    pub fn quote_of(&self, enclave: &Enclave, image: Image, processor: Processor) -> Vec<u8> {
        let pck_ca = Issuer::new(parameters("Test PCK Platform CA", &self.pck_ca, Some(0)), &self.pck_ca);
        let mut parameters = pck_parameters(&self.pck, processor);
        set_end(&mut parameters, self.until(Dated::Pck));
        let pck_der = parameters.signed_by(&self.pck, &pck_ca).unwrap().der().to_vec();
        let mut quote = Vec::new();
        quote.extend(3_u16.to_le_bytes());
        quote.extend(2_u16.to_le_bytes());
        quote.extend([0; 4]);
        quote.extend(1_u16.to_le_bytes());
        quote.extend(1_u16.to_le_bytes());
        quote.extend(dcap_qvl::INTEL_QE_VENDOR_ID);
        quote.extend([0; 20]);
        quote.extend(report(enclave, image));

        let mut authentication = self.attestation.raw_signature(&quote);
        authentication.extend(&self.attestation.point[1..]);
        authentication.extend(self.certification(&pck_der));
        quote.extend((authentication.len() as u32).to_le_bytes());
        quote.extend(authentication);
        quote
    }

    /// The quoting enclave's own report over the attestation key, and the platform's signature and certificates for that.
    fn certification(&self, pck_der: &[u8]) -> Vec<u8> {
        let mut qe_report_data = [0; 64];
        qe_report_data[..32].copy_from_slice(&sha256(&[&self.attestation.point[1..], &[0; 32]].concat()));
        let quoting = Enclave { mrenclave: [9; 32], debug: false, report_data: qe_report_data };
        let qe_report = report(&quoting, Image::default());
        let chain = pem_chain(&[pck_der, &self.pck_ca_der, &self.root_der]);

        let mut certification = Vec::new();
        certification.extend(&qe_report);
        certification.extend(self.pck.raw_signature(&qe_report));
        certification.extend(32_u16.to_le_bytes());
        certification.extend([0; 32]);
        certification.extend(5_u16.to_le_bytes());
        certification.extend((chain.len() as u32).to_le_bytes());
        certification.extend(chain.as_bytes());
        certification
    }

    /// Collateral that is valid from 2020 to 2090 and gives the platform this status.
    pub fn collateral(&self, status: &str) -> Collateral {
        self.collateral_of(&Levels { status, ..Levels::default() })
    }

    /// Collateral that is valid until 2090 and says this.
    pub fn collateral_of(&self, levels: &Levels<'_>) -> Collateral {
        let Levels { status, advisories, fmspc, issued: [tcb_info, identity] } = *levels;
        let components: Vec<_> = CPUSVN.iter().map(|svn| json!({ "svn": svn })).collect();
        let tcb = json!({ "sgxtcbcomponents": components, "pcesvn": 1 });
        let level = json!({ "tcb": tcb, "tcbDate": FROM, "tcbStatus": status, "advisoryIDs": advisories });
        let tcb_info = json!({
            "id": "SGX", "version": 3, "issueDate": tcb_info, "nextUpdate": self.until(Dated::TcbInfo).text,
            "fmspc": hex::encode(fmspc), "pceId": "0000", "tcbType": 0, "tcbEvaluationDataNumber": 1,
            "tcbLevels": [level],
        });
        self.signed_collateral("QE", identity, tcb_info)
    }

    /// The same, and the machine's certificate is revoked.
    pub fn revoking_collateral(&self, levels: &Levels<'_>) -> Collateral {
        let revoked = RevokedCertParams {
            serial_number: serial_number(&self.pck),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        Collateral { pck_crl: self.pck_revocations(vec![revoked]), ..self.collateral_of(levels) }
    }

    fn pck_revocations(&self, revoked: Vec<RevokedCertParams>) -> Vec<u8> {
        revocations("Test PCK Platform CA", &self.pck_ca, self.until(Dated::PckRevocations), revoked)
    }

    fn signed_collateral(
        &self,
        quoting_enclave: &str,
        issued: &str,
        tcb_info: serde_json::Value,
    ) -> Collateral {
        let tcb_info = tcb_info.to_string();
        let qe_identity = json!({
            "id": quoting_enclave, "version": 2, "issueDate": issued, "nextUpdate": self.until(Dated::QeIdentity).text,
            "tcbEvaluationDataNumber": 1,
            "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
            "attributes": hex::encode(attributes(false)), "attributesMask": "FF".repeat(16),
            "mrsigner": "DD".repeat(32), "isvprodid": 1,
            "tcbLevels": [{ "tcb": { "isvsvn": 1 }, "tcbDate": FROM, "tcbStatus": "UpToDate" }],
        })
        .to_string();
        let signing_chain = pem_chain(&[&self.tcb_signing_der, &self.root_der]);
        Collateral {
            pck_crl_issuer_chain: pem_chain(&[&self.pck_ca_der, &self.root_der]),
            root_ca_crl: revocations("test root", &self.root, self.until(Dated::RootRevocations), Vec::new()),
            pck_crl: self.pck_revocations(Vec::new()),
            tcb_info_issuer_chain: signing_chain.clone(),
            tcb_info_signature: self.tcb_signing.raw_signature(tcb_info.as_bytes()),
            tcb_info,
            qe_identity_issuer_chain: signing_chain,
            qe_identity_signature: self.tcb_signing.raw_signature(qe_identity.as_bytes()),
            qe_identity,
            pck_certificate_chain: None,
        }
    }
}

struct Key {
    key: SigningKey<P256>,
    point: Vec<u8>,
}

impl Key {
    fn new() -> Self {
        let key = SigningKey::generate().unwrap();
        let mut spki = [0; 128];
        let spki = key.to_spki_der(&mut spki).unwrap();
        let point = spki[spki.len() - 65..].to_vec();
        Self { key, point }
    }

    fn raw_signature(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign::<Sha256>(&[message], &mut [0; 64]).unwrap().to_vec()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign_asn1::<Sha256>(&[message], &mut [0; 128]).unwrap().to_vec())
    }
}

/// The part of a REPORT that quotes carry (Intel SDM volume 3D, table 38-22).
fn report(enclave: &Enclave, image: Image) -> Vec<u8> {
    let mut report = vec![0; 384];
    report[..16].copy_from_slice(&CPUSVN);
    report[48..64].copy_from_slice(&attributes(enclave.debug));
    report[64..96].copy_from_slice(&enclave.mrenclave);
    report[128..160].copy_from_slice(&image.mrsigner);
    report[256..258].copy_from_slice(&image.isv_prod_id.to_le_bytes());
    report[258..260].copy_from_slice(&image.isv_svn.to_le_bytes());
    report[320..].copy_from_slice(&enclave.report_data);
    report
}

/// INIT and MODE64BIT, DEBUG where asked; XFRM x87 and SSE.
fn attributes(debug: bool) -> [u8; 16] {
    let mut attributes = [0; 16];
    attributes[0] = if debug { 7 } else { 5 };
    attributes[8] = 3;
    attributes
}

fn parameters(name: &str, key: &Key, ca: Option<u8>) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2090, 1, 1);
    parameters.serial_number = Some(serial_number(key));
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(sha256(&key.point)[..20].to_vec());
    parameters.use_authority_key_identifier_extension = true;
    match ca {
        Some(depth) => {
            parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(depth));
            parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        }
        None => {
            parameters.is_ca = IsCa::ExplicitNoCa;
            parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }
    }
    parameters
}

/// Of the certificate for this key.
fn serial_number(key: &Key) -> SerialNumber {
    SerialNumber::from_slice(&[&[1], &key.point[1..16]].concat())
}

fn revocations(name: &str, key: &Key, until: Until, revoked_certs: Vec<RevokedCertParams>) -> Vec<u8> {
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(until.year, until.month, until.day),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::PreSpecified(sha256(&key.point)[..20].to_vec()),
    };
    list.signed_by(&Issuer::new(parameters(name, key, Some(1)), key)).unwrap().der().to_vec()
}

fn pck_parameters(pck: &Key, processor: Processor) -> CertificateParams {
    let mut parameters = parameters("test PCK", pck, None);
    parameters.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 2, 840, 113741, 1, 13, 1], pck_extension(processor))];
    parameters
}

/// When something expires: as Intel's documents have it, and as certificates do.
#[derive(Clone, Copy)]
struct Until {
    text: &'static str,
    year: i32,
    month: u8,
    day: u8,
}

fn until(early: bool) -> Until {
    match early {
        true => Until { text: "2027-01-16T00:00:00Z", year: 2027, month: 1, day: 16 },
        false => Until { text: UNTIL, year: 2090, month: 1, day: 1 },
    }
}

fn set_end(parameters: &mut CertificateParams, Until { year, month, day, .. }: Until) {
    parameters.not_after = date_time_ymd(year, month, day);
}

/// Intel's SGX extension of PCK certificates: PPID, TCB, PCE-ID, FMSPC, type.
fn pck_extension(processor: Processor) -> Vec<u8> {
    let oid = |arcs: &[u64]| {
        let all = [&[1, 2, 840, 113741, 1, 13, 1], arcs].concat();
        yasna::models::ObjectIdentifier::new(all)
    };
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(&[1]));
                writer.next().write_bytes(&processor.ppid);
            });
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(&[2]));
                writer.next().write_sequence(|writer| {
                    for component in 1..=17 {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_oid(&oid(&[2, component]));
                            writer.next().write_u8(1);
                        });
                    }
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&oid(&[2, 18]));
                        writer.next().write_bytes(&CPUSVN);
                    });
                });
            });
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(&[3]));
                writer.next().write_bytes(&[0; 2]);
            });
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(&[4]));
                writer.next().write_bytes(&processor.fmspc);
            });
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&oid(&[5]));
                writer.next().write_enum(0);
            });
        });
    })
}

fn pem_chain(certificates: &[&[u8]]) -> String {
    let blocks: Vec<_> = certificates.iter().map(|der| pem::Pem::new("CERTIFICATE", der.to_vec())).collect();
    pem::encode_many(&blocks)
}

/// Seconds since 1970 of 2027-01-16T00:00:00Z.
pub const EARLY: u64 = 1_800_057_600;
const CPUSVN: [u8; 16] = [1; 16];
const FROM: &str = "2020-01-01T00:00:00Z";
const UNTIL: &str = "2090-01-01T00:00:00Z";
