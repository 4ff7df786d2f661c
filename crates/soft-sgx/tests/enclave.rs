//! Images loaded, entered and left, as on hardware.

mod tiny;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use cloister_soft_sgx::{
    Error, REPORT_SIZE, SoftPlatform, enforces,
    enter::{Exit, Registers, SgxEnclaveRun, call, enter, enter_tcs},
    last_fault,
    sigstruct::SigstructParameters,
};
use sgx_isa::{AttributesFlags, Enclu, ErrorCode, Keyname, PageType, SecinfoFlags};
use sgxs::loader::{MappingInfo, Tcs};
use sha2::{Digest, Sha256};
use tiny::{Enclave, Operation};

#[test]
fn measurement_is_the_hash_of_the_stream() {
    let (_state, platform) = platform();
    let image = tiny::image(0);
    let enclave = tiny::load(&platform, &image).unwrap();
    assert_eq!(enclave.info.mrenclave()[..], Sha256::digest(&image.sgxs)[..]);
    assert_eq!(enclave.info.mrsigner(), tiny::key().mrsigner());
    assert_eq!(enclave.info.address() as usize % enclave.info.size(), 0);
    assert_eq!(enclave.info.size() as u64, tiny::SIZE);
}

#[test]
fn a_changed_image_is_refused() {
    let (_state, platform) = platform();
    let good = tiny::image(0);
    // A code byte, a permission, page order, a record tag.
    for offset in [64 + 64 + 64 + 10, 64 + 16, 64 + 8, 64] {
        let mut image = tiny::image(0);
        image.sgxs[offset] ^= 1;
        let error = load_error(&platform, &image);
        assert!(
            matches!(error, Error::Measurement { .. } | Error::Layout { .. } | Error::Stream(_)),
            "offset {offset}: {error}"
        );
    }
    for length in [0, 63, 64, 1000, good.sgxs.len() - 1] {
        let image = tiny::Image { sgxs: good.sgxs[..length].to_vec(), sigstruct: tiny::image(0).sigstruct };
        let error = load_error(&platform, &image);
        assert!(
            matches!(error, Error::Measurement { .. } | Error::Layout { .. } | Error::Stream(_)),
            "{length} bytes: {error}"
        );
    }
}

#[test]
fn records_that_the_cpu_refuses_are_refused_here() {
    let (_state, platform) = platform();
    let good = tiny::image(0);
    let first_page = 64;
    let changes: [(&str, usize, u64); 6] = [
        ("size not a power of two", 12, 0x10001),
        ("size beyond the limit", 12, 1 << 40),
        ("page outside", first_page + 8, 0x10000),
        ("page not aligned", first_page + 8, 8),
        ("writable, not readable", first_page + 16, 0x202),
        ("reserved flag", first_page + 16, 0x285),
    ];
    for (name, offset, value) in changes {
        let mut image = tiny::Image { sgxs: good.sgxs.clone(), sigstruct: tiny::image(0).sigstruct };
        image.sgxs[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        let error = load_error(&platform, &image);
        assert!(matches!(error, Error::Layout { .. }), "{name}: {error}");
    }
    let flags = SecinfoFlags::from(PageType::Tcs) | SecinfoFlags::R;
    let mut image = tiny::image(0);
    image.sgxs[first_page + 16..first_page + 24].copy_from_slice(&flags.bits().to_le_bytes());
    assert!(matches!(load_error(&platform, &image), Error::Layout { .. }));
}

#[test]
fn a_wrong_hash_or_signature_is_refused() {
    let (_state, platform) = platform();
    let mut image = tiny::image(0);
    image.sigstruct = tiny::key().sign([1; 32], &SigstructParameters::default()).unwrap();
    assert!(matches!(load_error(&platform, &image), Error::Measurement { .. }));

    let mut image = tiny::image(0);
    image.sigstruct.signature[0] ^= 1;
    let error = load_error(&platform, &image);
    assert!(matches!(error, Error::Sigstruct { code: ErrorCode::InvalidSignature, .. }), "{error}");

    let mut image = tiny::image(0);
    image.sigstruct.isvsvn += 1;
    assert!(matches!(load_error(&platform, &image), Error::Sigstruct { .. }));
}

#[test]
fn attributes_must_be_the_signed_ones() {
    use sgxs::loader::Load;
    let (_state, platform) = platform();
    let tiny::Image { sgxs, sigstruct } = tiny::image(0);
    let load = |flags: AttributesFlags, xfrm: u64| {
        let mut attributes = sigstruct.attributes;
        attributes.flags = flags;
        attributes.xfrm = xfrm;
        cloister_soft_sgx::SoftSgx::new(&platform)
            .load(&mut &sgxs[..], &sigstruct, attributes, sigstruct.miscselect)
            .map(drop)
            .map_err(|error| error.downcast::<Error>().unwrap())
    };
    let normal = AttributesFlags::MODE64BIT;
    assert!(load(normal, 7).is_ok());
    for (flags, xfrm) in [
        (normal | AttributesFlags::DEBUG, 7),
        (normal | AttributesFlags::PROVISIONKEY, 7),
        (normal | AttributesFlags::INIT, 7),
        (AttributesFlags::empty(), 7),
        (normal, 3),
        (normal, 4),
    ] {
        assert!(matches!(load(flags, xfrm), Err(Error::Attributes(_))), "{flags:?} {xfrm}");
    }
}

#[test]
fn entering_and_leaving_passes_registers() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    for (index, local) in [tiny::LOCAL_A, tiny::LOCAL_B].into_iter().enumerate() {
        let mut registers = Registers { rsi: 30, rdx: 12, r9: 99, ..operation(Operation::Echo) };
        assert_eq!(visit(&enclave, index, &mut registers), Exit::Exited);
        assert_eq!((registers.rdi, registers.rsi, registers.r9), (42, 0, 99));
        assert_eq!(registers.rdx, base(&enclave) + local, "GS base");
        assert_eq!(registers.r8, enclave.tcss[index].address() as u64);
    }
}

#[test]
fn leaving_by_the_instruction_works_too() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let mut registers = Registers { rsi: 7, ..operation(Operation::ExitByInstruction) };
    assert_eq!(visit(&enclave, 0, &mut registers), Exit::Exited);
    assert_eq!(registers.rsi, 7);
}

#[test]
fn code_written_to_a_writable_executable_page_runs() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let mut registers = operation(Operation::RunWritten);
    assert_eq!(visit(&enclave, 0, &mut registers), Exit::Exited);
    assert_eq!(registers.rsi, 42);
}

#[test]
fn a_report_made_inside_becomes_a_quote() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let mut report = report(&enclave, &platform.target_info(), &[0x5c; 64]);
    assert_eq!(report[64..96], enclave.info.mrenclave());
    assert_eq!(report[128..160], enclave.info.mrsigner());
    assert_eq!(report[320..384], [0x5c; 64]);
    // INIT and MODE64BIT, not DEBUG.
    assert_eq!(report[48..56], 5_u64.to_le_bytes());

    let quote = platform.quote(&report).unwrap();
    assert_eq!(quote[48..48 + 384], report[..384]);
    report[320] ^= 1;
    assert!(matches!(platform.quote(&report), Err(Error::ReportMac)));
}

#[test]
fn a_seal_key_belongs_to_platform_and_enclave() {
    let (state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let (first, code) = seal_key(&enclave, MRENCLAVE_POLICY, 0);
    assert_eq!(code, 0);

    let reopened = SoftPlatform::open(state.path()).unwrap();
    let again = tiny::load(&reopened, &tiny::image(0)).unwrap();
    assert_eq!(seal_key(&again, MRENCLAVE_POLICY, 0).0, first, "the same after a restart");

    let other_image = tiny::load(&platform, &tiny::image(1)).unwrap();
    assert_ne!(seal_key(&other_image, MRENCLAVE_POLICY, 0).0, first, "another MRENCLAVE");
    let by_signer = seal_key(&enclave, MRSIGNER_POLICY, 0).0;
    assert_eq!(seal_key(&other_image, MRSIGNER_POLICY, 0).0, by_signer, "the same MRSIGNER");

    let (_other_state, elsewhere) = self::platform();
    let elsewhere = tiny::load(&elsewhere, &tiny::image(0)).unwrap();
    assert_ne!(seal_key(&elsewhere, MRENCLAVE_POLICY, 0).0, first, "another platform");
}

#[test]
fn egetkey_errors_arrive_in_rax() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let (key, code) = seal_key(&enclave, MRENCLAVE_POLICY, 1);
    assert_eq!((key, code), ([0; 16], ErrorCode::InvalidIsvsvn as u64));
}

#[test]
fn exceptions_come_back_with_vector_and_address() {
    let (_state, platform) = platform();
    let hole = tiny::LOCAL_B + 0x1000;
    let non_canonical = 0x8000_0000_0000_0000;
    let cases = |base: u64| {
        [
            (Operation::DivideByZero, 0, 0, 0),
            (Operation::InvalidOpcode, 0, 6, 0),
            (Operation::Breakpoint, 0, 3, 0),
            (Operation::Read, base + hole + 0x123, 14, base + hole),
            (Operation::Read, 0x10, 14, 0),
            (Operation::Read, base + tiny::TCS_A, 14, base + tiny::TCS_A),
            (Operation::Read, non_canonical, 13, 0),
            (Operation::Jump, base + hole, 14, base + hole),
            (Operation::Jump, 0, 14, 0),
            (Operation::Jump, base + tiny::DATA, 14, base + tiny::DATA),
            (Operation::WriteCode, 0, 14, base),
            (Operation::MisalignedReport, 0, 13, 0),
        ]
    };
    for index in 0..12 {
        let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
        let (what, rsi, vector, address) = cases(base(&enclave))[index];
        let mut registers = Registers { rsi, ..operation(what) };
        match visit(&enclave, 0, &mut registers) {
            Exit::Exception { vector: found, address: at, .. } => {
                assert_eq!((found, at), (vector, address), "case {index}");
            }
            other => panic!("case {index}: {other:?}"),
        }
        let fault = last_fault().unwrap();
        assert_eq!(fault.vector, vector);
        assert_eq!(registers, Registers { r10: registers.r10, ..Default::default() }, "nothing leaks out");
        // The other thread of the enclave is not affected.
        let mut registers = Registers { rsi: 1, rdx: 1, ..operation(Operation::Echo) };
        assert_eq!(visit(&enclave, 1, &mut registers), Exit::Exited);
    }
}

#[test]
fn a_fault_names_its_instruction_to_who_debugs() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let address = base(&enclave) + tiny::LOCAL_B + 0x1234;
    visit(&enclave, 0, &mut Registers { rsi: address, ..operation(Operation::Read) });
    let fault = last_fault().unwrap();
    assert_eq!((fault.vector, fault.address), (14, address));
    assert!(fault.instruction < 0x1000, "in the code page: {:#x}", fault.instruction);
}

#[test]
fn cpuid_and_system_calls_are_refused_where_the_machine_can() {
    let (_state, platform) = platform();
    let system_calls = enforces().system_calls;
    let cpuid = enforces().cpuid;
    let cases = [(Operation::SystemCall, system_calls), (Operation::Cpuid, cpuid)];
    for (what, refused) in cases {
        let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
        let mut registers = Registers { rsi: libc::SYS_getpid as u64, ..operation(what) };
        let exit = visit(&enclave, 0, &mut registers);
        if refused {
            assert!(matches!(exit, Exit::Exception { vector: 6, .. }), "{exit:?}");
        } else {
            assert_eq!(exit, Exit::Exited);
        }
        // The host's own still work on this thread.
        assert!(std::fs::metadata("/proc/self").is_ok());
        let _ = std::arch::x86_64::__cpuid(0);
    }
}

#[test]
fn a_busy_thread_control_structure_is_refused() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    while_one_is_inside(&enclave, || {
        let exit = visit(&enclave, 0, &mut operation(Operation::Echo));
        assert_eq!(exit, Exit::Refused { vector: 13 });
    });
    assert_eq!(visit(&enclave, 0, &mut operation(Operation::Echo)), Exit::Exited);
}

#[test]
fn two_threads_run_in_two_thread_control_structures() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    while_one_is_inside(&enclave, || {
        for turn in 0..100 {
            let mut registers = Registers { rsi: turn, rdx: 1, ..operation(Operation::Echo) };
            assert_eq!(visit(&enclave, 1, &mut registers), Exit::Exited);
            assert_eq!(registers.rdi, turn + 1);
        }
    });
}

#[test]
fn an_exception_handler_inside_can_resume() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let mut registers = Registers::default();
    let mut run = SgxEnclaveRun::new(enclave.tcss[0].address() as u64);
    // The second visit is with the second save area frame and repairs the first. All are made from
    // one place on the stack, which the enclave knows from the first.
    let visits = [
        (Enclu::EEnter, Operation::Interrupted, Enclu::EResume),
        (Enclu::EEnter, Operation::SkipOpcode, Enclu::EExit),
        (Enclu::EResume, Operation::Echo, Enclu::EExit),
    ];
    for (leaf, what, left_by) in visits {
        registers = operation(what);
        // SAFETY: The tiny enclave keeps RBP and RSP.
        let result = unsafe { call(enter, leaf, &mut registers, &mut run) };
        assert_eq!((result, run.function), (0, left_by as u32));
    }
    assert_eq!((registers.rsi, registers.r8), (0x1111, 0x2222), "general and vector registers survived");
    assert_eq!(registers.rdx, base(&enclave) + tiny::LOCAL_A, "GS base survived");
    assert_eq!(visit(&enclave, 0, &mut operation(Operation::Echo)), Exit::Exited);
}

#[test]
fn a_thread_without_save_area_left_cannot_enter() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    for _ in 0..2 {
        let exit = visit(&enclave, 0, &mut operation(Operation::InvalidOpcode));
        assert!(matches!(exit, Exit::Exception { vector: 6, .. }), "{exit:?}");
    }
    assert_eq!(visit(&enclave, 0, &mut operation(Operation::Echo)), Exit::Refused { vector: 13 });
}

#[test]
fn arguments_that_the_kernel_refuses_are_refused() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let tcs = enclave.tcss[0].address() as u64;
    let run_with = |leaf: Enclu, mut run: SgxEnclaveRun| {
        // SAFETY: The tiny enclave keeps RBP and RSP.
        let result = unsafe { call(enter, leaf, &mut operation(Operation::Echo), &mut run) };
        (result, run.function, run.exception_vector)
    };
    assert_eq!(run_with(Enclu::EExit, SgxEnclaveRun::new(tcs)).0, -libc::EINVAL);
    let mut reserved = SgxEnclaveRun::new(tcs);
    reserved.reserved[215] = 1;
    assert_eq!(run_with(Enclu::EEnter, reserved).0, -libc::EINVAL);
    // Not a TCS, no enclave, nothing to resume: #GP of the leaf itself.
    for (leaf, address) in [(Enclu::EEnter, tcs + 4096), (Enclu::EEnter, 4096), (Enclu::EResume, tcs)] {
        assert_eq!(run_with(leaf, SgxEnclaveRun::new(address)), (0, leaf as u32, 13));
    }
}

#[test]
fn threads_end_cleanly_after_visits() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    for _ in 0..50 {
        thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(visit(&enclave, 0, &mut operation(Operation::ExitByInstruction)), Exit::Exited);
            });
        });
    }
}

#[test]
fn unloading_frees_the_address_range() {
    let (_state, platform) = platform();
    let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
    let address = enclave.tcss[0].address() as u64;
    drop(enclave);
    let mut run = SgxEnclaveRun::new(address);
    // SAFETY: Nothing is entered: no enclave is there.
    let result = unsafe { call(enter, Enclu::EEnter, &mut operation(Operation::Echo), &mut run) };
    assert_eq!((result, run.function, run.exception_vector), (0, Enclu::EEnter as u32, 13));
}

/// Runs this test alone in a child process, in which a fault outside any enclave must end the
/// process as it would have without this crate.
#[test]
fn faults_outside_are_passed_on() {
    const MARK: &str = "CLOISTER_TEST_FAULT_OUTSIDE";
    if std::env::var_os(MARK).is_some() {
        let (_state, platform) = platform();
        let enclave = tiny::load(&platform, &tiny::image(0)).unwrap();
        assert_eq!(visit(&enclave, 0, &mut operation(Operation::Echo)), Exit::Exited);
        // SAFETY: The process is meant to end here.
        unsafe { std::arch::asm!("ud2") };
    }
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults_outside_are_passed_on"])
        .env(MARK, "1")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(status.signal(), Some(libc::SIGILL), "{status}");
}

fn platform() -> (tempfile::TempDir, SoftPlatform) {
    let state = tempfile::tempdir().unwrap();
    let platform = SoftPlatform::open(state.path()).unwrap();
    (state, platform)
}

fn load_error(platform: &SoftPlatform, image: &tiny::Image) -> Error {
    match tiny::load(platform, image) {
        Ok(_) => panic!("the image was loaded"),
        Err(error) => error.downcast().unwrap(),
    }
}

fn operation(operation: Operation) -> Registers {
    Registers { rdi: operation as u64, ..Default::default() }
}

fn visit(enclave: &Enclave, thread: usize, registers: &mut Registers) -> Exit {
    // SAFETY: The tiny enclave keeps RBP and RSP.
    unsafe { enter_tcs(&enclave.tcss[thread], registers) }.unwrap()
}

/// Runs `work` while another thread is in the first TCS.
fn while_one_is_inside(enclave: &Enclave, work: impl FnOnce()) {
    /// Lets the other thread out even when `work` fails.
    struct Release<'a>(&'a AtomicU64);
    impl Drop for Release<'_> {
        fn drop(&mut self) {
            self.0.store(1, Ordering::SeqCst);
        }
    }
    let (inside, release) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let (rsi, rdx) = (release.as_ptr() as u64, inside.as_ptr() as u64);
            visit(enclave, 0, &mut Registers { rsi, rdx, ..operation(Operation::Wait) })
        });
        let release = Release(&release);
        while inside.load(Ordering::SeqCst) == 0 && !waiter.is_finished() {
            thread::yield_now();
        }
        work();
        drop(release);
        assert_eq!(waiter.join().unwrap(), Exit::Exited);
    });
}

fn base(enclave: &Enclave) -> u64 {
    enclave.info.address() as u64
}

fn report(enclave: &Enclave, target: &[u8; 512], data: &[u8; 64]) -> [u8; REPORT_SIZE] {
    let mut report = [0; REPORT_SIZE];
    let mut registers = Registers {
        rsi: target.as_ptr() as u64,
        rdx: data.as_ptr() as u64,
        r8: report.as_mut_ptr() as u64,
        ..operation(Operation::Report)
    };
    assert_eq!(visit(enclave, 0, &mut registers), Exit::Exited);
    report
}

/// The key and EGETKEY's code.
fn seal_key(enclave: &Enclave, policy: u16, isvsvn: u16) -> ([u8; 16], u64) {
    let mut request = [0; 512];
    request[0..2].copy_from_slice(&(Keyname::Seal as u16).to_le_bytes());
    request[2..4].copy_from_slice(&policy.to_le_bytes());
    request[4..6].copy_from_slice(&isvsvn.to_le_bytes());
    request[24..40].fill(0xff);
    let mut key = [0; 16];
    let mut registers =
        Registers { rsi: request.as_ptr() as u64, r8: key.as_mut_ptr() as u64, ..operation(Operation::Key) };
    assert_eq!(visit(enclave, 0, &mut registers), Exit::Exited);
    let failed = registers.rdx != 0;
    assert_eq!(failed, registers.rsi != 0, "ZF says whether RAX holds an error");
    (key, registers.rsi)
}

const MRENCLAVE_POLICY: u16 = 1;
const MRSIGNER_POLICY: u16 = 2;
