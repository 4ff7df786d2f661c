use super::*;
use crate::lanes::scripted::{Scripted, Step};
use cloister_frames::{MAX_ADDRESSES, SocketFailure, encode_length};
use proptest::prelude::*;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddrV6};

fn v4() -> SocketAddr {
    ([192, 0, 2, 1], 443).into()
}

fn v6() -> SocketAddr {
    "[2001:db8::1]:443".parse().unwrap()
}

fn frame(response: &SocketResponse<'_>) -> Vec<u8> {
    raw(&response.encode())
}

fn raw(payload: &[u8]) -> Vec<u8> {
    [&encode_length(payload.len()).unwrap(), payload].concat()
}

thread_local! {
    /// What the host of this test's thread says to everything, and how often it was opened.
    static ANSWER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static OPENED: Cell<usize> = const { Cell::new(0) };
}

fn told(answer: Vec<u8>) -> Sockets<Scripted> {
    ANSWER.set(answer);
    Sockets::new(|| {
        OPENED.set(OPENED.get() + 1);
        Ok(Scripted::after([], ANSWER.take()))
    })
}

fn answered(response: &SocketResponse<'_>) -> Sockets<Scripted> {
    told(frame(response))
}

#[test]
fn each_request_has_its_answer() {
    let done = || answered(&SocketResponse::Done);
    assert_eq!(answered(&SocketResponse::Opened { number: 7 }).open(Transport::Tcp, Family::V4), Ok(7));
    assert_eq!(answered(&SocketResponse::Opened { number: 8 }).resolve("name"), Ok(8));
    assert_eq!(done().bind(1, v4()), Ok(()));
    assert_eq!(done().start_connect(1, v6()), Ok(()));
    assert_eq!(done().finish_connect(1), Ok(()));
    assert_eq!(done().disconnect(1), Ok(()));
    assert_eq!(done().listen(1, 2), Ok(()));
    assert_eq!(done().set_option(1, SocketOption::KeepAlive, 1), Ok(()));
    assert_eq!(done().shutdown(1, Shutdown::Read), Ok(()));
    assert_eq!(answered(&SocketResponse::Accepted { number: 9, peer: v6() }).accept(1), Ok((9, v6())));
    assert_eq!(answered(&SocketResponse::Address(v4())).local_address(1, Family::V4), Ok(v4()));
    assert_eq!(answered(&SocketResponse::Address(v6())).remote_address(1, Family::V6), Ok(v6()));
    assert_eq!(answered(&SocketResponse::Value(64)).option(1, SocketOption::HopLimit), Ok(64));
}

#[test]
fn requests_are_what_was_meant_and_lanes_are_kept() {
    let sockets = Sockets::new(|| {
        OPENED.set(OPENED.get() + 1);
        Ok(Scripted::new(|payload| {
            frame(&match SocketRequest::decode(payload).unwrap() {
                SocketRequest::Bind { socket: 5, local } if local == v4() => SocketResponse::Done,
                SocketRequest::Receive { most, .. } => SocketResponse::Value(most.into()),
                _ => SocketResponse::Failed(SocketFailure::AddressInUse),
            })
        }))
    });
    assert_eq!(OPENED.get(), 0);
    for _ in 0..3 {
        assert_eq!(sockets.bind(5, v4()), Ok(()));
        assert_eq!(sockets.bind(6, v4()), Err(SocketError::AddressInUse));
    }
    assert_eq!(OPENED.get(), 1);
    assert_eq!(sockets.receive(5, Family::V4, usize::MAX), Err(SocketError::Host));
    assert_eq!(sockets.bind(5, v4()), Ok(()));
    assert_eq!(OPENED.get(), 2);
}

#[test]
fn an_answer_of_another_kind_is_none() {
    let responses = [
        SocketResponse::Opened { number: 1 },
        SocketResponse::Done,
        SocketResponse::Accepted { number: 1, peer: v4() },
        SocketResponse::Address(v4()),
        SocketResponse::Value(1),
        SocketResponse::Received(vec![Packet { peer: v4(), bytes: b"x" }]),
        SocketResponse::Sent(1),
        SocketResponse::Found(vec![v4().ip()]),
    ];
    let datagrams = [Datagram { peer: v4(), bytes: Bytes::from_static(b"x") }];
    for (index, response) in responses.iter().enumerate() {
        let told = || answered(response);
        let results = [
            told().open(Transport::Udp, Family::V4).map(drop),
            told().bind(1, v4()),
            told().accept(1).map(drop),
            told().local_address(1, Family::V4).map(drop),
            told().option(1, SocketOption::KeepCount).map(drop),
            told().receive(1, Family::V4, 4).map(drop),
            told().send(1, &datagrams).map(drop),
        ];
        for (asked, result) in results.into_iter().enumerate() {
            assert_eq!(result, if asked == index { Ok(()) } else { Err(SocketError::Host) }, "{response:?}");
        }
    }
}

#[test]
fn addresses_of_another_family_are_lies() {
    let mapped: SocketAddr = SocketAddrV6::new("::ffff:192.0.2.1".parse().unwrap(), 1, 0, 0).into();
    for (address, family) in [(v6(), Family::V4), (v4(), Family::V6), (mapped, Family::V6)] {
        let told = answered(&SocketResponse::Address(address));
        assert_eq!(told.local_address(1, family), Err(SocketError::Host));
        let told = answered(&SocketResponse::Address(address));
        assert_eq!(told.remote_address(1, family), Err(SocketError::Host));
        let packets = vec![Packet { peer: address, bytes: b"" }];
        let told = answered(&SocketResponse::Received(packets));
        assert_eq!(told.receive(1, family, 16), Err(SocketError::Host));
        assert_eq!(of_family(address, family), Err(SocketError::Host));
    }
}

#[test]
fn numbers_beyond_what_was_asked_are_lies() {
    let packet = Packet { peer: v4(), bytes: b"abc" };
    let told = answered(&SocketResponse::Received(vec![packet; 3]));
    assert_eq!(told.receive(1, Family::V4, 2), Err(SocketError::Host));
    let told = answered(&SocketResponse::Received(vec![packet; 3]));
    let received = told.receive(1, Family::V4, 3).unwrap();
    assert_eq!(received, vec![Datagram { peer: v4(), bytes: Bytes::from_static(b"abc") }; 3]);
    let datagrams = vec![Datagram { peer: v4(), bytes: Bytes::new() }; 2];
    assert_eq!(answered(&SocketResponse::Sent(3)).send(1, &datagrams), Err(SocketError::Host));
    assert_eq!(answered(&SocketResponse::Sent(2)).send(1, &datagrams), Ok(2));
    assert_eq!(answered(&SocketResponse::Sent(1)).send(1, &datagrams), Ok(1));
    for (option, value) in
        [(SocketOption::KeepAlive, 2), (SocketOption::HopLimit, 256), (SocketOption::KeepCount, 1 << 32)]
    {
        assert_eq!(answered(&SocketResponse::Value(value)).option(1, option), Err(SocketError::Host));
    }
}

#[test]
fn only_what_can_wait_has_to() {
    let would_block = || answered(&SocketResponse::Failed(SocketFailure::WouldBlock));
    let datagrams = [Datagram { peer: v4(), bytes: Bytes::new() }];
    assert_eq!(would_block().finish_connect(1), Err(SocketError::WouldBlock));
    assert_eq!(would_block().accept(1), Err(SocketError::WouldBlock));
    assert_eq!(would_block().receive(1, Family::V4, 1), Err(SocketError::WouldBlock));
    assert_eq!(would_block().send(1, &datagrams), Err(SocketError::WouldBlock));
    assert_eq!(would_block().bind(1, v4()), Err(SocketError::Host));
    assert_eq!(would_block().open(Transport::Tcp, Family::V4), Err(SocketError::Host));
    assert_eq!(would_block().start_connect(1, v4()), Err(SocketError::Host));
    assert_eq!(would_block().resolve("name"), Err(SocketError::Host));
}

#[test]
fn every_failure_has_its_name() {
    for failure in SocketFailure::ALL {
        let told = answered(&SocketResponse::Failed(failure));
        let error = told.finish_connect(1).unwrap_err();
        assert_eq!(format!("{error:?}"), format!("{failure:?}"));
    }
}

#[test]
fn datagrams_are_sent_as_far_as_they_fit() {
    let sizes = |bytes: &[usize]| -> Vec<Datagram> {
        bytes.iter().map(|size| Datagram { peer: v6(), bytes: vec![1; *size].into() }).collect()
    };
    let offered = || {
        Sockets::new(|| {
            Ok(Scripted::new(|payload| match SocketRequest::decode(payload).unwrap() {
                SocketRequest::Send { datagrams, .. } => frame(&SocketResponse::Sent(datagrams.len() as u8)),
                _ => Vec::new(),
            }))
        })
    };
    assert_eq!(offered().send(1, &sizes(&[])), Ok(0));
    assert_eq!(offered().send(1, &sizes(&[5; 40])), Ok(MAX_DATAGRAMS));
    assert_eq!(offered().send(1, &sizes(&[MAX_DATAGRAM; 16])), Ok(7));
    assert_eq!(offered().send(1, &sizes(&[1, MAX_DATAGRAM + 1, 1])), Ok(1));
    assert_eq!(offered().send(1, &sizes(&[MAX_DATAGRAM + 1, 1])), Err(SocketError::DatagramTooLarge));
}

#[test]
fn names_that_no_frame_can_have_are_not_asked_for() {
    for name in [String::new(), "a\0b".into(), "a".repeat(MAX_NAME + 1)] {
        assert_eq!(told(Vec::new()).resolve(&name), Err(SocketError::InvalidArgument));
    }
    assert_eq!(OPENED.get(), 0);
}

#[test]
fn frames_that_are_none_are_the_hosts_fault() {
    let done = frame(&SocketResponse::Done);
    for answer in [
        Vec::new(),
        vec![0; 4],
        vec![0xff; 64],
        done[..4].to_vec(),
        raw(b"\x02\x00"),
        raw(b"\x63"),
        [done.clone(), done.clone()].concat(),
        u32::try_from(MAX_SOCKET_PAYLOAD + 1).unwrap().to_le_bytes().to_vec(),
        raw(&vec![2; MAX_SOCKET_PAYLOAD]),
    ] {
        assert_eq!(told(answer).listen(1, 1), Err(SocketError::Host));
    }
    let refused: Sockets<Scripted> = Sockets::new(|| Err(io::ErrorKind::PermissionDenied.into()));
    assert_eq!(refused.listen(1, 1), Err(SocketError::Host));
}

#[test]
fn an_exchange_may_be_interrupted_and_cut_anywhere() {
    let steps = [1, 2, 9, 100, 1, 2, 1, 3].into_iter();
    let steps = steps.flat_map(|count| [Step::Fails(io::ErrorKind::Interrupted), Step::Moves(count)]);
    let mut lane = Scripted::after(steps, frame(&SocketResponse::Address(v6())));
    let request = SocketRequest::LocalAddress { socket: 3 }.encode();
    assert_eq!(exchange(&mut lane, &request).unwrap(), SocketResponse::Address(v6()).encode());
}

/// What a lookup gives whose stream has these bytes, in pieces of this size.
fn found(mut bytes: &[u8], piece: usize) -> Result<Vec<IpAddr>, SocketError> {
    let mut found = Found::default();
    loop {
        let missing = found.missing()?;
        if missing == 0 {
            return found.addresses();
        }
        let (next, rest) = bytes.split_at(piece.min(missing).min(bytes.len()));
        if next.is_empty() {
            return Err(SocketError::Host);
        }
        found.add(next);
        bytes = rest;
    }
}

#[test]
fn a_lookup_ends_with_addresses_or_why_there_are_none() {
    let addresses = vec![v6().ip(); MAX_ADDRESSES];
    let answer = frame(&SocketResponse::Found(addresses.clone()));
    for piece in [1, 3, 4, 5, 5000] {
        assert_eq!(found(&answer, piece), Ok(addresses.clone()));
        assert_eq!(found(&[answer.as_slice(), &answer].concat(), piece), Ok(addresses.clone()));
        assert_eq!(found(&answer[..answer.len() - 1], piece), Err(SocketError::Host));
    }
    for failure in SocketFailure::ALL {
        let expected = match failure {
            SocketFailure::WouldBlock => SocketError::Host,
            failure => failure.into(),
        };
        assert_eq!(found(&frame(&SocketResponse::Failed(failure)), 100), Err(expected));
    }
    for answer in [raw(b""), raw(&[0; 2000]), vec![0xff; 9], frame(&SocketResponse::Done)] {
        assert_eq!(found(&answer, 5000), Err(SocketError::Host));
    }
}

#[test]
fn what_read_and_write_fail_with_has_a_name() {
    for (kind, error) in [
        (io::ErrorKind::WouldBlock, SocketError::WouldBlock),
        (io::ErrorKind::BrokenPipe, SocketError::ConnectionReset),
        (io::ErrorKind::NotConnected, SocketError::InvalidState),
        (io::ErrorKind::InvalidData, SocketError::Host),
        (io::ErrorKind::Other, SocketError::Unknown),
    ] {
        assert_eq!(transfer_error(&kind.into()), error);
    }
}

proptest! {
    #[test]
    fn whatever_the_host_says_is_an_answer_within_bounds_or_an_error(
        prefix in prop_oneof![Just(None), any::<u32>().prop_map(Some)],
        tag in prop_oneof![0..9_u8, Just(255)],
        rest in prop::collection::vec(prop_oneof![Just(0), Just(4), Just(6), any::<u8>()], 0..40),
        piece in 1..50_usize,
    ) {
        let payload = [&[tag], rest.as_slice()].concat();
        let answer = match prefix {
            None => raw(&payload),
            Some(prefix) => [&prefix.to_le_bytes(), payload.as_slice()].concat(),
        };
        if let Ok(received) = told(answer.clone()).receive(1, Family::V4, 2) {
            prop_assert!((1..=2).contains(&received.len()));
            prop_assert!(received.iter().all(|datagram| datagram.peer.is_ipv4()));
        }
        if let Ok(address) = told(answer.clone()).local_address(1, Family::V6) {
            prop_assert!(address.is_ipv6());
        }
        if let Ok(addresses) = found(&answer, piece) {
            prop_assert!((1..=MAX_ADDRESSES).contains(&addresses.len()));
        }
    }
}
