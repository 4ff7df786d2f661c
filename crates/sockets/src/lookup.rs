use cloister_frames::{MAX_ADDRESSES, MAX_NAME, SocketFailure};
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

/// The addresses of a name as the operating system finds them, in its order, none twice. Blocks, maybe for a long time.
///
/// # Errors
/// [`SocketFailure::NameUnresolvable`] where there are none, others as the operating system says.
pub fn look_up(name: &str) -> Result<Vec<IpAddr>, SocketFailure> {
    if name.is_empty() || name.len() > MAX_NAME || name.contains('\0') {
        return Err(SocketFailure::InvalidArgument);
    }
    let found = (name, 0).to_socket_addrs().map_err(|error| failure(&error))?;
    let mut addresses = Vec::new();
    for address in found.map(|found| found.ip()) {
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(SocketFailure::NameUnresolvable) } else { Ok(addresses) }
}

/// `std` keeps the text of `gai_strerror` and nothing else; it is that of the C locale, as nobody sets another.
fn failure(error: &io::Error) -> SocketFailure {
    let text = error.to_string();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    if says(&["Temporary failure", "Try again"]) {
        SocketFailure::TemporaryResolverFailure
    } else if says(&["Non-recoverable"]) {
        SocketFailure::PermanentResolverFailure
    } else {
        SocketFailure::NameUnresolvable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_found_and_once_each() {
        let found = look_up("localhost").unwrap();
        assert!(found.iter().all(IpAddr::is_loopback));
        assert!(!found.is_empty() && found.len() <= 2);
    }

    #[test]
    fn what_is_no_name_is_refused_unasked() {
        for name in [String::new(), "a\0b".into(), "a".repeat(MAX_NAME + 1)] {
            assert_eq!(look_up(&name), Err(SocketFailure::InvalidArgument));
        }
    }

    #[test]
    fn failures_are_told_apart() {
        let of = |text: &str| failure(&io::Error::other(text.to_owned()));
        let prefix = "failed to lookup address information: ";
        assert_eq!(
            of(&format!("{prefix}Temporary failure in name resolution")),
            SocketFailure::TemporaryResolverFailure
        );
        assert_eq!(
            of(&format!("{prefix}Non-recoverable failure in name resolution")),
            SocketFailure::PermanentResolverFailure
        );
        assert_eq!(of(&format!("{prefix}Name or service not known")), SocketFailure::NameUnresolvable);
    }
}
