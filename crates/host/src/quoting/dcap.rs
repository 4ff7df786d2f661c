//! Intel's DCAP quote library, `sgx_dcap_ql_wrapper.h`: three functions. Whether the quoting enclave runs in this process or in the
//! AESM service is the library's business (its `SGX_AESM_ADDR`).
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cloister_frames::{REPORT_LEN, TARGET_INFO_LEN};
use libloading::Library;

use super::quote::MAX_QUOTE;
use super::{DcapError, QuotingEnclave, QuotingError};
use crate::sync::lock;

/// The library, which a thread of its own calls: a call into it cannot be given up, only not waited for.
#[derive(Debug)]
pub(super) struct Dcap {
    worker: Arc<Mutex<Worker>>,
    patience: Duration,
}

#[derive(Debug)]
struct Worker {
    jobs: SyncSender<Job>,
    answers: Receiver<Result<Answer, QuotingError>>,
    /// Nobody waits any more for the answer to the last job, which has not come.
    abandoned: bool,
}

impl Dcap {
    /// Loads the library, or finds it loaded: once in a process, so that it has one thread and not one for each call that hangs.
    pub(super) fn load(path: &Path, patience: Duration) -> Result<Self, QuotingError> {
        let mut loaded = lock(&LOADED);
        if let Some(worker) = loaded.get(path) {
            return Ok(Self { worker: Arc::clone(worker), patience });
        }
        let functions = Functions::load(path)?;
        let (jobs, wanted) = sync_channel::<Job>(1);
        let (given, answers) = sync_channel(1);
        let run = move || {
            for job in wanted {
                let answer = match job {
                    Job::TargetInfo => functions.target_info().map(Answer::TargetInfo),
                    Job::Quote(report) => functions.quote(&report).map(Answer::Quote),
                };
                if given.send(answer).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("dcap".into())
            .spawn(run)
            .map_err(|error| QuotingError::NoLibrary { path: path.to_owned(), reason: error.to_string() })?;
        let worker = Arc::new(Mutex::new(Worker { jobs, answers, abandoned: false }));
        loaded.insert(path.to_owned(), Arc::clone(&worker));
        Ok(Self { worker, patience })
    }

    fn ask(&self, doing: &'static str, job: Job) -> Result<Answer, QuotingError> {
        let mut worker = lock(&self.worker);
        if worker.abandoned {
            // What it says now is the answer to something else.
            drop(self.wait(&mut worker, doing)?);
        }
        worker.jobs.send(job).map_err(|_| wrong(doing, "its thread ended"))?;
        self.wait(&mut worker, doing)?
    }

    fn wait(
        &self,
        worker: &mut Worker,
        doing: &'static str,
    ) -> Result<Result<Answer, QuotingError>, QuotingError> {
        let answer = worker.answers.recv_timeout(self.patience);
        worker.abandoned = answer.is_err();
        answer.map_err(|error| match error {
            RecvTimeoutError::Timeout => QuotingError::TimedOut { who: WHO, doing, after: self.patience },
            RecvTimeoutError::Disconnected => wrong(doing, "its thread ended"),
        })
    }
}

impl QuotingEnclave for Dcap {
    fn target_info(&self) -> Result<Box<[u8; TARGET_INFO_LEN]>, QuotingError> {
        match self.ask(TARGET, Job::TargetInfo)? {
            Answer::TargetInfo(target_info) => Ok(target_info),
            Answer::Quote(_) => Err(wrong(TARGET, "it is a quote")),
        }
    }

    fn quote(&self, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError> {
        match self.ask(QUOTE, Job::Quote(Box::new(*report)))? {
            Answer::Quote(quote) => Ok(quote),
            Answer::TargetInfo(_) => Err(wrong(QUOTE, "it is no quote")),
        }
    }
}

#[derive(Debug)]
enum Job {
    TargetInfo,
    Quote(Box<[u8; REPORT_LEN]>),
}

#[derive(Debug)]
enum Answer {
    TargetInfo(Box<[u8; TARGET_INFO_LEN]>),
    Quote(Vec<u8>),
}

/// The functions of the library, as its header declares them. All return `quote3_error_t`, an `enum` of 32 bits.
struct Functions {
    target_info: unsafe extern "C" fn(*mut Aligned<TARGET_INFO_LEN>) -> u32,
    quote_size: unsafe extern "C" fn(*mut u32) -> u32,
    quote: unsafe extern "C" fn(*const Aligned<REPORT_LEN>, u32, *mut u8) -> u32,
}

impl Functions {
    fn load(path: &Path) -> Result<Self, QuotingError> {
        let missing = |error: libloading::Error| QuotingError::NoLibrary {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        // SAFETY: loading runs the initializers of a library that the operator installed and named; the host process has no
        // secrets, and what the library gives is checked.
        let library = unsafe { Library::new(path) }.map_err(missing)?;
        // SAFETY: the functions of these names have these types (`sgx_dcap_ql_wrapper.h`), and the library stays loaded.
        let functions = unsafe {
            Self {
                target_info: *library.get(b"sgx_qe_get_target_info\0").map_err(missing)?,
                quote_size: *library.get(b"sgx_qe_get_quote_size\0").map_err(missing)?,
                quote: *library.get(b"sgx_qe_get_quote\0").map_err(missing)?,
            }
        };
        // For good: a call into it may hang.
        std::mem::forget(library);
        Ok(functions)
    }

    fn target_info(&self) -> Result<Box<[u8; TARGET_INFO_LEN]>, QuotingError> {
        let mut target_info = Box::new(Aligned([0; TARGET_INFO_LEN]));
        // SAFETY: the function writes a `sgx_target_info_t`, which is 512 bytes, to where it is told.
        succeed(TARGET, unsafe { (self.target_info)(&raw mut *target_info) })?;
        if target_info.0.iter().all(|byte| *byte == 0) {
            return Err(wrong(TARGET, "its TARGETINFO is empty"));
        }
        Ok(Box::new(target_info.0))
    }

    fn quote(&self, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError> {
        let mut size = 0;
        // SAFETY: the function writes a `uint32_t` to where it is told.
        succeed(SIZE, unsafe { (self.quote_size)(&raw mut size) })?;
        if size == 0 || size as usize > MAX_QUOTE {
            return Err(wrong(SIZE, "no quote has that size"));
        }
        let report = Aligned(*report);
        let mut quote = vec![0; size as usize];
        // SAFETY: the function reads a `sgx_report_t`, which is 432 bytes, and writes at most `size` bytes to the buffer.
        succeed(QUOTE, unsafe { (self.quote)(&raw const report, size, quote.as_mut_ptr()) })?;
        Ok(quote)
    }
}

/// Structures of SGX are aligned to 512 bytes at most (Intel SDM volume 3D, section 38.16: TARGETINFO and REPORT).
#[repr(C, align(512))]
struct Aligned<const N: usize>([u8; N]);

fn succeed(doing: &'static str, code: u32) -> Result<(), QuotingError> {
    match code {
        0 => Ok(()),
        code => Err(QuotingError::Dcap { doing, error: DcapError(code) }),
    }
}

fn wrong(doing: &'static str, reason: &'static str) -> QuotingError {
    QuotingError::Malformed { who: WHO, doing, reason }
}

/// The libraries that are loaded, which they are for good.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Mutex<Worker>>>> = Mutex::new(BTreeMap::new());

const WHO: &str = "DCAP quote library";
const TARGET: &str = "load the quoting enclave";
const SIZE: &str = "say how long quotes are";
const QUOTE: &str = "make a quote";
