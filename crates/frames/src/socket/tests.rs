use super::*;
use crate::MAX_FRAME;
use proptest::prelude::*;
use std::net::SocketAddrV6;

fn v4() -> SocketAddr {
    ([192, 0, 2, 1], 0x1234).into()
}

fn v6() -> SocketAddr {
    SocketAddrV6::new("2001:db8::1".parse().unwrap(), 443, 0x0a0b, 7).into()
}

fn requests() -> Vec<SocketRequest<'static>> {
    let socket = 0x0102_0304_0506_0708;
    let datagrams =
        vec![Datagram { peer: v4(), bytes: b"" }, Datagram { peer: v6(), bytes: &[7; MAX_DATAGRAM] }];
    vec![
        SocketRequest::Open { transport: Transport::Udp, family: Family::V6 },
        SocketRequest::Bind { socket, local: v4() },
        SocketRequest::Connect { socket, remote: v6() },
        SocketRequest::FinishConnect { socket },
        SocketRequest::Disconnect { socket },
        SocketRequest::Listen { socket, backlog: u32::MAX },
        SocketRequest::Accept { socket },
        SocketRequest::LocalAddress { socket },
        SocketRequest::RemoteAddress { socket },
        SocketRequest::Option { socket, option: SocketOption::KeepCount },
        SocketRequest::SetOption { socket, option: SocketOption::SendBuffer, value: u64::MAX },
        SocketRequest::Shutdown { socket, direction: Shutdown::Both },
        SocketRequest::Receive { socket, most: 16 },
        SocketRequest::Send { socket, datagrams },
        SocketRequest::Resolve { name: "bücher.example" },
    ]
}

fn responses() -> Vec<SocketResponse<'static>> {
    let mut responses = vec![
        SocketResponse::Opened { number: u64::MAX },
        SocketResponse::Done,
        SocketResponse::Accepted { number: 9, peer: v6() },
        SocketResponse::Address(v4()),
        SocketResponse::Value(1 << 40),
        SocketResponse::Received(vec![Datagram { peer: v6(), bytes: b"x" }; MAX_DATAGRAMS]),
        SocketResponse::Sent(1),
        SocketResponse::Found(vec![v4().ip(); MAX_ADDRESSES]),
        SocketResponse::Found(vec![v6().ip()]),
    ];
    responses.extend(SocketFailure::ALL.map(SocketResponse::Failed));
    responses
}

#[test]
fn requests_and_responses_survive_encoding() {
    for request in requests() {
        assert_eq!(SocketRequest::decode(&request.encode()), Ok(request));
    }
    for response in responses() {
        assert_eq!(SocketResponse::decode(&response.encode()), Ok(response));
    }
}

#[test]
fn every_request_but_two_is_about_a_socket() {
    let about: Vec<bool> = requests().iter().map(|request| request.socket().is_some()).collect();
    assert_eq!(about.iter().filter(|about| !**about).count(), 2);
    assert!(!about[0] && !about[14]);
}

#[test]
fn no_encoding_can_lose_its_end() {
    for bytes in
        requests().iter().map(SocketRequest::encode).filter(|bytes| bytes[0] != 15 && bytes.len() < 100)
    {
        for length in 0..bytes.len() {
            assert_eq!(SocketRequest::decode(&bytes[..length]), Err(FrameError::Length));
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(SocketRequest::decode(&longer).is_err());
    }
    for response in responses() {
        let bytes = response.encode();
        assert!(SocketResponse::decode(&bytes[..bytes.len() - 1]).is_err() || bytes[0] == 8);
        assert!(SocketResponse::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}

#[test]
fn layouts_are_those_of_the_design_page() {
    let request = SocketRequest::Bind { socket: 5, local: v4() };
    assert_eq!(request.encode(), [2, 5, 0, 0, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1, 0x34, 0x12]);
    let request = SocketRequest::SetOption { socket: 5, option: SocketOption::HopLimit, value: 64 };
    assert_eq!(request.encode(), [11, 5, 0, 0, 0, 0, 0, 0, 0, 5, 64, 0, 0, 0, 0, 0, 0, 0]);
    let datagrams = vec![Datagram { peer: v4(), bytes: b"hi" }];
    assert_eq!(
        SocketResponse::Received(datagrams).encode(),
        [6, 4, 192, 0, 2, 1, 0x34, 0x12, 2, 0, b'h', b'i']
    );
    let SocketAddr::V6(address) = v6() else { unreachable!() };
    let encoded = SocketResponse::Address(v6()).encode();
    assert_eq!(encoded[..2], [4, 6]);
    assert_eq!(encoded[2..18], address.ip().octets());
    assert_eq!(encoded[18..], [0xbb, 1, 0x0b, 0x0a, 0, 0, 7, 0, 0, 0]);
    assert_eq!(SocketResponse::Failed(SocketFailure::WouldBlock).encode(), [255, 6]);
}

#[test]
fn numbers_and_lengths_out_of_bounds_are_errors() {
    let request = |request: SocketRequest<'_>| SocketRequest::decode(&request.encode()).unwrap_err();
    let response = |response: SocketResponse<'_>| SocketResponse::decode(&response.encode()).unwrap_err();
    let datagrams = |count, bytes| vec![Datagram { peer: v4(), bytes }; count];
    let long = [0; MAX_DATAGRAM + 1];
    assert_eq!(request(SocketRequest::Send { socket: 1, datagrams: Vec::new() }), FrameError::Length);
    assert_eq!(request(SocketRequest::Send { socket: 1, datagrams: datagrams(17, b"") }), FrameError::Number);
    assert_eq!(
        request(SocketRequest::Send { socket: 1, datagrams: datagrams(1, &long) }),
        FrameError::Number
    );
    assert_eq!(
        request(SocketRequest::Send { socket: 1, datagrams: datagrams(9, &long[1..]) }),
        FrameError::Length
    );
    assert_eq!(request(SocketRequest::Receive { socket: 1, most: 0 }), FrameError::Number);
    assert_eq!(request(SocketRequest::Receive { socket: 1, most: 17 }), FrameError::Number);
    assert_eq!(request(SocketRequest::Resolve { name: "" }), FrameError::Length);
    assert_eq!(request(SocketRequest::Resolve { name: &"a".repeat(MAX_NAME + 1) }), FrameError::Length);
    assert_eq!(request(SocketRequest::Resolve { name: "a\0b" }), FrameError::Number);
    assert_eq!(SocketRequest::decode(&[15, 0xff]), Err(FrameError::Number));
    assert_eq!(SocketRequest::decode(&[1, 3, 4]), Err(FrameError::Number));
    assert_eq!(SocketRequest::decode(&[1, 1, 5]), Err(FrameError::Number));
    assert_eq!(SocketRequest::decode(&[16]), Err(FrameError::Tag(16)));
    assert_eq!(SocketRequest::decode(&[]), Err(FrameError::Length));
    assert_eq!(response(SocketResponse::Sent(0)), FrameError::Number);
    assert_eq!(response(SocketResponse::Sent(17)), FrameError::Number);
    assert_eq!(response(SocketResponse::Received(Vec::new())), FrameError::Length);
    assert_eq!(response(SocketResponse::Found(Vec::new())), FrameError::Length);
    assert_eq!(response(SocketResponse::Found(vec![v4().ip(); MAX_ADDRESSES + 1])), FrameError::Number);
    assert_eq!(SocketResponse::decode(&[255, 0]), Err(FrameError::Number));
    assert_eq!(SocketResponse::decode(&[255, 21]), Err(FrameError::Number));
    assert_eq!(SocketResponse::decode(&[9]), Err(FrameError::Tag(9)));
}

#[test]
fn the_largest_frames_fit() {
    const { assert!(MAX_SOCKET_PAYLOAD <= MAX_FRAME) }
    let largest = Datagram { peer: v6(), bytes: &[0; MAX_DATAGRAM] };
    let response = SocketResponse::Received(vec![largest]);
    assert_eq!(response.encode().len(), 1 + largest.encoded_len());
    assert!(7 * largest.encoded_len() < MAX_SOCKET_PAYLOAD);
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16, u32, u32)>().prop_map(|(ip, port, flow, scope)| SocketAddrV6::new(
            ip.into(),
            port,
            flow,
            scope
        )
        .into()),
    ]
}

proptest! {
    #[test]
    fn any_addresses_and_datagrams_survive(
        socket in any::<u64>(),
        packets in prop::collection::vec((addresses(), prop::collection::vec(any::<u8>(), 0..40)), 1..=16),
    ) {
        let datagrams: Vec<_> = packets.iter().map(|(peer, bytes)| Datagram { peer: *peer, bytes }).collect();
        let encoded = SocketResponse::Received(datagrams.clone()).encode();
        let length: usize = datagrams.iter().map(Datagram::encoded_len).sum();
        prop_assert_eq!(encoded.len(), 1 + length);
        prop_assert_eq!(SocketResponse::decode(&encoded), Ok(SocketResponse::Received(datagrams.clone())));
        let request = SocketRequest::Send { socket, datagrams };
        let encoded = request.encode();
        prop_assert_eq!(SocketRequest::decode(&encoded), Ok(request));
    }

    #[test]
    fn any_bytes_are_a_value_that_encodes_to_them_or_an_error(
        tag in prop_oneof![0..17_u8, Just(255)],
        rest in prop::collection::vec(prop_oneof![Just(0), 1..8_u8, any::<u8>()], 0..48),
    ) {
        let bytes = [&[tag], rest.as_slice()].concat();
        if let Ok(request) = SocketRequest::decode(&bytes) {
            prop_assert_eq!(request.encode(), bytes.clone());
        }
        if let Ok(response) = SocketResponse::decode(&bytes) {
            prop_assert_eq!(response.encode(), bytes);
        }
    }
}
