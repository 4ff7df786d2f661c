//! A loaded enclave and the host's threads in it.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::HostError;
use crate::abi::UsercallError;
use crate::enter::{Fault, Left, PanicText, Tcs, Values, block_termination_signals};
use crate::memory::Breach;
use crate::sync::lock;
use crate::usercalls::{Host, Manner, Reply, Threads};

/// How the enclave ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It finished its work.
    Success,
    /// It panicked, or exited with a code other than zero.
    Failure {
        /// What it said of it. Only images made for debugging say anything.
        message: Option<String>,
    },
    /// It was asked to end and did not within the grace period.
    Forced,
}

/// An enclave, shared by the threads that are in it.
#[derive(Debug)]
pub(crate) struct Enclave {
    pub(crate) host: Host,
    free: Mutex<Vec<Tcs>>,
    freed: Condvar,
    state: Mutex<State>,
    changed: Condvar,
    /// Keeps the enclave loaded.
    mapping: Mapping,
}

impl Enclave {
    pub(crate) fn new(host: Host, free: Vec<Tcs>, mapping: Mapping) -> Arc<Self> {
        let (freed, state, changed) = Default::default();
        Arc::new(Self { host, free: Mutex::new(free), freed, state, changed, mapping })
    }

    /// Starts the thread that runs the enclave's `main`.
    pub(crate) fn start_main(self: &Arc<Self>, tcs: Tcs) -> Result<(), HostError> {
        // As with the command line of a process, the first argument is a name.
        let arguments = self.host.memory.publish_arguments(&["enclave"]);
        let (address, count) = arguments.map_err(|_| HostError::System {
            action: "allocate the enclave's arguments",
            source: io::ErrorKind::OutOfMemory.into(),
        })?;
        self.spawn(tcs, Entry::Main(Values::main(address, count)))
            .map_err(|(_, source)| HostError::System { action: "start a thread", source })
    }

    /// Ends the enclave, unless it already ended: no thread enters it again, and none stays blocked outside.
    pub(crate) fn end(&self, ending: Result<Exit, HostError>) {
        let mut state = lock(&self.state);
        let first = state.ending.is_none() && !state.taken;
        if first {
            state.ending = Some(ending);
        }
        drop(state);
        if first {
            self.host.stop();
            self.changed.notify_all();
            self.host.streams.listening().notify();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        let state = lock(&self.state);
        state.taken || state.ending.is_some()
    }

    /// Blocks until the enclave has ended, or for `timeout`. Says whether it has.
    pub(crate) fn wait_for_end(&self, timeout: Option<Duration>) -> bool {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = lock(&self.state);
        while !state.taken && state.ending.is_none() {
            let Some(waiting) = self.wait_for_change(state, deadline) else {
                return false;
            };
            state = waiting;
        }
        true
    }

    /// How the enclave ended: once it has, and its threads have left it or had their time to.
    pub(crate) fn take_ending(&self) -> Result<Exit, HostError> {
        self.wait_for_end(None);
        let deadline = Instant::now().checked_add(LEAVING_TIME);
        let mut state = lock(&self.state);
        state.taken = true;
        let ending = state.ending.take();
        while state.running > 0 {
            // A thread that computes in the enclave cannot be made to leave. It keeps the enclave loaded, and goes
            // with the process.
            let Some(waiting) = self.wait_for_change(state, deadline) else {
                break;
            };
            state = waiting;
        }
        ending.unwrap_or(Ok(Exit::Forced))
    }

    fn wait_for_change<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, State>> {
        let Some(deadline) = deadline else {
            return Some(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        };
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return None;
        }
        let (state, _) = self.changed.wait_timeout(state, remaining).unwrap_or_else(PoisonError::into_inner);
        Some(state)
    }

    /// Starts a thread at a TCS, or gives the TCS back.
    fn spawn(self: &Arc<Self>, tcs: Tcs, entry: Entry) -> Result<(), (Option<Tcs>, io::Error)> {
        let presence = Presence::of(self);
        // The thread takes the TCS out; where it never starts, it is still there.
        let slot = Arc::new(Mutex::new(Some(tcs)));
        let theirs = Arc::clone(&slot);
        let started = thread::Builder::new().name("enclave".into()).spawn(move || {
            let enclave = Arc::clone(&presence.enclave);
            if let Some(tcs) = lock(&theirs).take() {
                enclave.run(tcs, entry);
            }
            presence.leave();
        });
        started.map(drop).map_err(|error| (lock(&slot).take(), error))
    }

    fn give_back(&self, tcs: Tcs) {
        lock(&self.free).push(tcs);
        self.freed.notify_one();
    }

    /// Enters, serves usercalls and enters again, until the entry is over.
    fn run(self: &Arc<Self>, mut tcs: Tcs, entry: Entry) {
        let Some(slot) = self.host.slot(tcs.address()) else {
            return;
        };
        block_termination_signals();
        slot.events.attach();
        let mut text = PanicText::new();
        let mut values = match entry {
            Entry::Main(values) => values,
            Entry::Thread => Values::thread(),
        };
        while !self.host.is_stopping() {
            let call = match tcs.enter(values, &text) {
                Left::Usercall(call) => call,
                Left::Returned => match entry {
                    Entry::Main(_) => return self.end(Err(Breach::MainReturned.into())),
                    Entry::Thread => return self.give_back(tcs),
                },
                Left::Fault(fault) => {
                    let instruction = self.mapping.faulting_instruction();
                    return self.end(Err(HostError::Fault(Fault { instruction, ..fault })));
                }
                Left::NotEntered { errno } => {
                    return self.end(Err(HostError::NotEntered(io::Error::from_raw_os_error(errno))));
                }
            };
            values = match self.host.serve(slot, self, call) {
                Ok(Reply::Enter(first, second)) => Values::answer(first, second),
                Ok(Reply::Exit(Manner::Success)) => return self.end(Ok(Exit::Success)),
                Ok(Reply::Exit(Manner::Failure)) => {
                    return self.end(Ok(Exit::Failure { message: text.take() }));
                }
                Err(breach) => return self.end(Err(breach.into())),
            };
        }
    }
}

impl Threads for Arc<Enclave> {
    /// Waits a moment for a TCS: a thread that was joined is still on its way out of the enclave.
    fn launch(&self) -> Result<(), UsercallError> {
        let free = lock(&self.free);
        let (mut free, _) = self
            .freed
            .wait_timeout_while(free, JOINED_TIME, |free| free.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let tcs = free.pop().ok_or(UsercallError::WouldBlock)?;
        drop(free);
        self.spawn(tcs, Entry::Thread).map_err(|(tcs, error)| {
            if let Some(tcs) = tcs {
                self.give_back(tcs);
            }
            UsercallError::from(error)
        })
    }
}

/// What keeps an enclave loaded, and knows more of its faults than the CPU tells.
pub(crate) struct Mapping {
    _owned: Box<dyn Any + Send + Sync>,
    faulting_instruction: fn() -> Option<u64>,
}

impl Mapping {
    /// `faulting_instruction` says where the last fault of the calling thread was, as an offset from the enclave's
    /// base.
    pub(crate) fn new(owned: impl Any + Send + Sync, faulting_instruction: fn() -> Option<u64>) -> Self {
        Self { _owned: Box::new(owned), faulting_instruction }
    }

    fn faulting_instruction(&self) -> Option<u64> {
        (self.faulting_instruction)()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Threads of the host that are in the enclave or serve its usercalls.
    running: usize,
    ending: Option<Result<Exit, HostError>>,
    /// The ending was handed out.
    taken: bool,
}

#[derive(Clone, Copy)]
enum Entry {
    Main(Values),
    Thread,
}

/// Counts a thread for as long as it runs. Dropping it without leaving means that the thread panicked.
struct Presence {
    enclave: Arc<Enclave>,
    left: bool,
}

impl Presence {
    fn of(enclave: &Arc<Enclave>) -> Self {
        lock(&enclave.state).running += 1;
        Self { enclave: Arc::clone(enclave), left: false }
    }

    fn leave(mut self) {
        self.left = true;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if !self.left && thread::panicking() {
            self.enclave.end(Err(HostError::HostPanicked));
        }
        lock(&self.enclave.state).running -= 1;
        self.enclave.changed.notify_all();
    }
}

/// How long the threads of an enclave that ended get to leave it.
const LEAVING_TIME: Duration = Duration::from_secs(1);

/// How long a new thread waits for a TCS.
const JOINED_TIME: Duration = Duration::from_millis(5);
