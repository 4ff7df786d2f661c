//! A server that answers with bytes that are no HTTP, or barely.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads the head of one request, writes what its path names, and closes.
pub(crate) async fn answer<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(mut stream: S) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => head.extend_from_slice(&buffer[..length]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let name = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let answer = ANSWERS.iter().find(|(of, _)| *of == name).map_or("", |(_, answer)| answer);
    let piece = if name == "byte-by-byte" { 1 } else { answer.len().max(1) };
    for bytes in answer.as_bytes().chunks(piece) {
        // A client that has heard enough may be gone.
        if stream.write_all(bytes).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if piece == 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let _gone = stream.shutdown().await;
}

const ANSWERS: [(&str, &str); 18] = [
    ("garbage", "this is no HTTP\r\n\r\n"),
    ("nothing", ""),
    ("half-a-head", "HTTP/1.1 200 OK\r\ncontent-le"),
    ("no-status", "HTTP/1.1\r\n\r\n"),
    ("length-no-number", "HTTP/1.1 200 OK\r\ncontent-length: ten\r\n\r\n0123456789"),
    ("two-lengths", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n012345"),
    ("header-without-a-name", "HTTP/1.1 200 OK\r\n: value\r\n\r\n"),
    ("chunk-no-number", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
    ("chunks-without-end", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ("length-too-long", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort"),
    ("chunk-cut-off", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nshort"),
    ("until-the-end", "HTTP/1.1 200 OK\r\n\r\nuntil the end"),
    (
        "early-hints",
        "HTTP/1.1 103 Early Hints\r\nlink: </style>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\nafter the hints",
    ),
    ("more-than-the-length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nexact, and more"),
    (
        "chunk-extensions",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7;name=value\r\nchunked\r\n0\r\n\r\n",
    ),
    ("no-reason", "HTTP/1.1 200\r\ncontent-length: 10\r\n\r\nreasonless"),
    ("byte-by-byte", "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nslowly"),
    // RFC 9112, section 2.2: a recipient may take a line feed alone for the end of a line.
    ("bare-line-feeds", "HTTP/1.1 200 OK\ncontent-length: 7\n\nlenient"),
];
