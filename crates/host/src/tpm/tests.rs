use super::*;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// TPM2_GetRandom(16): tag without sessions, size, command code 0x17b, count.
const GET_RANDOM: [u8; 12] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, 16];

/// A software TPM in a folder of its own; it ends with this value.
struct SoftTpm {
    process: Child,
    folder: tempfile::TempDir,
}

impl SoftTpm {
    /// Needs Debian's `swtpm`, which `cargo xtask test` installs.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--terminate", "--flags", "not-need-init,startup-clear"])
            .arg("--server")
            .arg(format!("type=unixio,path={}", socket.display()))
            .arg("--tpmstate")
            .arg(format!("dir={}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm can be run: `cargo xtask setup` installs it");
        let tpm = Self { process, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        // A connection would be its only one: it ends with that.
        while !listens(&socket) {
            assert!(Instant::now() < deadline, "swtpm does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        tpm
    }

    fn path(&self) -> TpmPath {
        TpmPath::Socket(self.folder.path().join("socket"))
    }
}

/// Whether somebody listens there, as Linux tells: the kernel's flag of a socket that accepts.
fn listens(socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(3) == Some(ACCEPTS) && fields.next_back().map(Path::new) == Some(socket)
    })
}

impl Drop for SoftTpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn open(path: TpmPath) -> Result<Tpm, HostError> {
    Tpm::open(path, LogSink::discard(), None)
}

#[test]
fn paths_name_devices_or_sockets() {
    let device: TpmPath = "/dev/tpmrm0".parse().unwrap();
    let socket: TpmPath = "unix:/run/tpm".parse().unwrap();
    assert_eq!(device, TpmPath::Device("/dev/tpmrm0".into()));
    assert_eq!(socket, TpmPath::Socket("/run/tpm".into()));
    assert_eq!((device.to_string(), socket.to_string()), ("/dev/tpmrm0".into(), "unix:/run/tpm".into()));
}

#[test]
fn a_tpm_that_is_not_there_is_named() {
    for path in ["/dev/no-tpm", "unix:/nowhere/socket"] {
        let error = open(path.parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains(path), "{error}");
    }
}

#[test]
fn commands_reach_a_software_tpm() {
    let soft = SoftTpm::start();
    let tpm = open(soft.path()).unwrap();
    let [first, second] = [(); 2].map(|()| Answer::of(&tpm, &GET_RANDOM).unwrap());
    // A header, a length, and 16 bytes.
    assert_eq!((first.len(), &first[6..12]), (28, &[0, 0, 0, 0, 0, 16][..]));
    assert_ne!(first, second);
    assert_eq!(Answer::of(&tpm, &[0; 9]), Err(UsercallError::InvalidData));
    assert_eq!(Answer::of(&tpm, &[0; MAX_TPM_MESSAGE + 1]), Err(UsercallError::InvalidData));
    let refused = Answer::of(&tpm, &[0; 10]).unwrap();
    assert!(refused.len() == 10 && refused[6..] != [0; 4], "the TPM's own error: {refused:?}");
}

#[test]
fn a_tpm_that_goes_away_is_an_empty_answer_and_may_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let answer_once = |path: &Path| {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut command = [0; GET_RANDOM.len()];
            client.read_exact(&mut command).unwrap();
            client.write_all(&[0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0]).unwrap();
        })
    };
    let server = answer_once(&path);
    let tpm = open(TpmPath::Socket(path.clone())).unwrap();
    assert_eq!(Answer::of(&tpm, &GET_RANDOM).unwrap().len(), 10);
    server.join().unwrap();
    assert!(Answer::of(&tpm, &GET_RANDOM).unwrap().is_empty());
    assert!(Answer::of(&tpm, &GET_RANDOM).unwrap().is_empty());
    std::fs::remove_file(&path).unwrap();
    let server = answer_once(&path);
    assert_eq!(Answer::of(&tpm, &GET_RANDOM).unwrap().len(), 10);
    server.join().unwrap();
}

#[test]
fn a_response_that_is_longer_than_any_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        client.write_all(&[0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).unwrap();
        let _ = client.read(&mut [0; 64]);
    });
    let tpm = open(TpmPath::Socket(path)).unwrap();
    assert!(Answer::of(&tpm, &GET_RANDOM).unwrap().is_empty());
    server.join().unwrap();
}

/// Repeats the first response forever.
#[derive(Debug, Default)]
struct Repeats(Mutex<Option<Vec<u8>>>);

impl Interference for Repeats {
    fn tpm(&self, command: &[u8], tpm: &dyn Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
        Some(lock(&self.0).get_or_insert_with(|| tpm(command)).clone())
    }
}

#[test]
fn an_interference_may_answer_in_the_tpms_place() {
    let soft = SoftTpm::start();
    let tpm = Tpm::open(soft.path(), LogSink::discard(), Some(Arc::new(Repeats::default()))).unwrap();
    let [first, second] = [(); 2].map(|()| Answer::of(&tpm, &GET_RANDOM).unwrap());
    assert_eq!(first, second);
}
