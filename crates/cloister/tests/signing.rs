//! Signing images with real keys: in files, in a token, and on another machine.

use cloister_soft_sgx::{SoftPlatform, SoftSgx, sigstruct};
use sgx_isa::{AttributesFlags, PageType, SecinfoFlags, Sigstruct};
use sgxs::loader::Load as _;
use sgxs::sgxs::{CanonicalSgxsWriter, MeasECreate, MeasuredData, PageChunk, SecinfoTruncated};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Debian's package `softhsm2` brings it.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "123456";

struct Signer {
    folder: TempDir,
}

impl Signer {
    fn new() -> Self {
        let signer = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(signer.path("tokens")).unwrap();
        fs::write(
            signer.path("softhsm2.conf"),
            format!(
                "directories.tokendir = {}\nobjectstore.backend = file\n",
                signer.path("tokens").display()
            ),
        )
        .unwrap();
        fs::write(signer.path("image.sgxs"), image()).unwrap();
        signer
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, line: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(program)
            .args(line)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .env_remove("CLOISTER_KEY")
            .env_remove("CLOISTER_FORMAT")
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    fn cloister(&self, line: &[&str], environment: &[(&str, &str)]) -> Output {
        self.run(env!("CARGO_BIN_EXE_cloister"), line, environment)
    }

    fn sigstruct(&self, name: &str) -> Sigstruct {
        let read = sigstruct::from_bytes(&fs::read(self.path(name)).unwrap()).unwrap();
        sigstruct::verify(&read).unwrap();
        assert_eq!(read.enclavehash[..], Sha256::digest(image())[..]);
        read
    }

    /// The image with this signature, as EINIT takes it.
    fn loads(&self, sigstruct: &Sigstruct) -> bool {
        let platform = SoftPlatform::open(self.path("state")).unwrap();
        let image = image();
        SoftSgx::new(&platform)
            .load(&mut &image[..], sigstruct, sigstruct.attributes, sigstruct.miscselect)
            .is_ok()
    }

    /// A token called `release`, with a key called `cloister`: RSA of 3072 bits with this exponent, also in `key.pem`.
    fn make_token(&self, exponent: &str) {
        let exponent = format!("rsa_keygen_pubexp:{exponent}");
        let key = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-pkeyopt", &exponent];
        let init = ["--init-token", "--free", "--label", "release", "--so-pin", "87654321", "--pin", PIN];
        let import =
            ["--import", "key.pem", "--token", "release", "--label", "cloister", "--id", "01", "--pin", PIN];
        for (program, line) in [
            ("openssl", [&key[..], &["-out", "key.pem"]].concat()),
            ("softhsm2-util", init.to_vec()),
            ("softhsm2-util", import.to_vec()),
        ] {
            let done = self.run(program, &line, &[]);
            assert!(done.status.success(), "{program}: {}{}", text(&done.stdout), text(&done.stderr));
        }
    }
}

/// An enclave of one page of code, and a thread control structure with what that needs.
fn image() -> Vec<u8> {
    let mut stream = Vec::new();
    let create = MeasECreate { ssaframesize: 1, size: 0x8000 };
    let mut writer = CanonicalSgxsWriter::new(&mut stream, create, true).unwrap();
    let mut tcs = vec![0; 4096];
    tcs[16..24].copy_from_slice(&0x1000_u64.to_le_bytes());
    tcs[28..32].copy_from_slice(&1_u32.to_le_bytes());
    tcs[64..72].fill(0xff);
    let (r, w, x) = (SecinfoFlags::R, SecinfoFlags::W, SecinfoFlags::X);
    let register = SecinfoFlags::from(PageType::Reg);
    let pages = [
        (0, register | r | x, vec![0xf4; 4096]),
        (0x1000, register | r | w, vec![0; 4096]),
        (0x2000, PageType::Tcs.into(), tcs),
    ];
    for (offset, flags, content) in pages {
        let mut content = &content[..];
        let data: MeasuredData<'_, &[u8]> = (&mut content, [PageChunk::IncludedMeasured; 16]).into();
        writer.write_page(data, Some(offset), SecinfoTruncated { flags }).unwrap();
    }
    stream
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_key_in_a_token_signs_and_the_image_loads() {
    let signer = Signer::new();
    signer.make_token("3");
    let line = |pin_file: bool| {
        let mut line = vec!["image", "sign", "image.sgxs", "--product", "7", "--svn", "9"];
        line.extend(["--pkcs11-module", SOFTHSM, "--pkcs11-token", "release", "--pkcs11-key", "cloister"]);
        if pin_file {
            line.extend(["--pkcs11-pin-file", "pin"]);
        }
        line
    };
    let done = signer.cloister(&line(false), &[("CLOISTER_PKCS11_PIN", PIN)]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let signed = signer.sigstruct("image.sigstruct");
    assert_eq!((signed.isvprodid, signed.isvsvn), (7, 9));
    assert!(signer.loads(&signed));
    assert!(text(&done.stdout).contains(&hex::encode(sigstruct::mrsigner(&signed))));

    fs::write(signer.path("pin"), format!("{PIN}\n")).unwrap();
    let done = signer.cloister(&line(true), &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(signer.sigstruct("image.sigstruct").signature, signed.signature);

    // Each thing that can be wrong says what.
    for (change, with, expected) in [
        ("release", "other", "no token with the label 'other'"),
        ("cloister", "other", "no RSA key with the label 'other'"),
        (SOFTHSM, "/nowhere.so", "cannot be loaded"),
    ] {
        let line: Vec<_> =
            line(false).into_iter().map(|word| if word == change { with } else { word }).collect();
        let done = signer.cloister(&line, &[("CLOISTER_PKCS11_PIN", PIN)]);
        assert_eq!(done.status.code(), Some(2));
        assert!(text(&done.stderr).contains(expected), "{}", text(&done.stderr));
    }
    let done = signer.cloister(&line(false), &[("CLOISTER_PKCS11_PIN", "000000")]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("the PIN is wrong"), "{}", text(&done.stderr));
    assert!(!text(&done.stderr).contains("000000"));
    let done = signer.cloister(&line(false), &[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("needs its PIN"), "{}", text(&done.stderr));
    let both = [&line(false)[..], &["--key", "key.pem"]].concat();
    assert_eq!(signer.cloister(&both, &[("CLOISTER_PKCS11_PIN", PIN)]).status.code(), Some(2));

    // The token gave back what the key itself gives.
    let line = [
        "image",
        "sign",
        "image.sgxs",
        "--key",
        "key.pem",
        "--product",
        "7",
        "--svn",
        "9",
        "--out",
        "by-file",
    ];
    assert!(signer.cloister(&line, &[]).status.success());
    assert_eq!(fs::read(signer.path("by-file")).unwrap(), AsRef::<[u8]>::as_ref(&signed));
}

#[test]
fn a_key_in_a_token_with_another_exponent_is_refused() {
    let signer = Signer::new();
    signer.make_token("65537");
    let line = ["image", "sign", "image.sgxs", "--pkcs11-module", SOFTHSM, "--pkcs11-token", "release"];
    let line = [&line[..], &["--pkcs11-key", "cloister"]].concat();
    let done = signer.cloister(&line, &[("CLOISTER_PKCS11_PIN", PIN)]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("public exponent 3"), "{}", text(&done.stderr));
    assert!(!signer.path("image.sigstruct").exists());
}

#[test]
fn a_key_on_another_machine_signs_in_two_steps() {
    let signer = Signer::new();
    for line in [
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:3072",
            "-pkeyopt",
            "rsa_keygen_pubexp:3",
        ][..],
        &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"],
    ] {
        let line = if line[0] == "genpkey" { [line, &["-out", "key.pem"]].concat() } else { line.to_vec() };
        assert!(signer.run("openssl", &line, &[]).status.success());
    }
    let done = signer
        .cloister(&["image", "digest", "image.sgxs", "--product", "3", "--svn", "4", "--out", "tbs"], &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let line = ["dgst", "-sha256", "-sign", "key.pem", "-out", "signature", "tbs"];
    assert!(signer.run("openssl", &line, &[]).status.success());
    let attach = ["image", "attach", "tbs", "--signature", "signature", "--public-key", "public.pem"];
    let attach = [&attach[..], &["--out", "apart.sigstruct"]].concat();
    let done = signer.cloister(&attach, &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let apart = signer.sigstruct("apart.sigstruct");
    assert!(signer.loads(&apart));

    // The same as with the key's file, which OpenSSL wrote as PKCS #8.
    let line = ["image", "sign", "image.sgxs", "--key", "key.pem", "--product", "3", "--svn", "4"];
    let done = signer.cloister(&line, &[]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let here = fs::read(signer.path("image.sigstruct")).unwrap();
    assert_eq!(here, fs::read(signer.path("apart.sigstruct")).unwrap());

    let mut other = fs::read(signer.path("tbs")).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(signer.path("tbs"), other).unwrap();
    let done = signer.cloister(&attach, &[]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("does not verify"), "{}", text(&done.stderr));
}

#[test]
fn what_the_signature_says_is_what_was_asked_for() {
    let signer = Signer::new();
    let sign = |options: &[&str]| {
        let line = [&["image", "sign", "image.sgxs", "--key", "key.pem"], options].concat();
        let done = signer.cloister(&line, &[]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        signer.sigstruct("image.sigstruct")
    };
    let plain = sign(&[]);
    assert_eq!((plain.isvprodid, plain.isvsvn, plain.date), (0, 0, 0x2026_0101));
    assert!(!plain.attributes.flags.contains(AttributesFlags::DEBUG));
    let dated = sign(&["--date", "2027-12-31"]);
    assert_eq!(dated.date, 0x2027_1231);
    let debug = sign(&["--debug"]);
    assert!(debug.attributes.flags.contains(AttributesFlags::DEBUG));
    for (sigstruct, name) in [(plain, "plain"), (dated, "dated")] {
        assert!(signer.loads(&sigstruct), "{name}");
    }
    assert!(signer.path("key.pem").exists(), "it was made");
}
