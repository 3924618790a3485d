//! Where the node listens: the ports that the documentation names, or free ones where these are taken.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// An address on loopback with this port, or with any free one if somebody listens there already; then it
/// says so.
///
/// # Errors
/// When loopback has no free port.
pub(crate) fn choose(what: &str, port: u16) -> std::io::Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if TcpListener::bind(wanted).is_ok() {
        return Ok(wanted);
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    eprintln!("port {port} is taken: {what} listens on {} instead", free.port());
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_gone_around() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = taken.local_addr().expect("it is bound").port();
        let chosen = choose("the test", port).expect("there is another port");
        assert_ne!(chosen.port(), port);
        drop(taken);
        assert_eq!(choose("the test", port).expect("it is free again").port(), port);
    }
}
