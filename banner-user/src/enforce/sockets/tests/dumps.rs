//! What the kernel may answer, and this machine's does not.

use netlink_packet_core::Emitable as _;
use netlink_packet_sock_diag::{AF_INET6, inet::SocketId};

use super::{
    super::netlink::{Dumped, read},
    *,
};

/// A message with its header (netlink(7)).
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap().to_ne_bytes();
    [&length, &kind.to_ne_bytes()[..], &flags.to_ne_bytes(), &[0; 8], body].concat()
}

fn socket(port: u16) -> Vec<u8> {
    let header = InetResponseHeader {
        family: AF_INET6,
        state: TCP_ESTABLISHED,
        timer: None,
        socket_id: SocketId { source_port: port, ..SocketId::new_v6() },
        recv_queue: 0,
        send_queue: 0,
        uid: 0,
        inode: 7,
    };
    let mut body = vec![0; header.buffer_len()];
    header.emit(&mut body);
    body
}

/// Whether the dump is over, what it has told so far, and the ports of the sockets.
fn answer(messages: &[Vec<u8>]) -> (Result<bool, String>, Dumped, Vec<u16>) {
    let (mut dumped, mut ports) = (Dumped::All, Vec::new());
    let over = read(&messages.concat(), &mut dumped, &mut |socket: InetResponseHeader| {
        ports.push(socket.socket_id.source_port);
        Ok(())
    });
    (over.map_err(|error| format!("{error:?}")), dumped, ports)
}

const SOCKET: u16 = 20;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const INTERRUPTED: u16 = 0x10;

#[test]
fn a_dump_ends_with_its_last_message_and_says_whether_it_is_complete() {
    let zero = [0; 4];
    let first = || message(SOCKET, 2, &socket(25));
    let second = |flags| message(SOCKET, 2 | flags, &socket(587));
    let table = [
        (vec![first(), second(0)], Ok(false), Dumped::All, vec![25, 587]),
        (vec![first(), message(DONE, 2, &zero)], Ok(true), Dumped::All, vec![25]),
        (vec![message(DONE, 2, &[])], Ok(true), Dumped::All, vec![]),
        (vec![first(), second(INTERRUPTED)], Ok(false), Dumped::InPart, vec![25, 587]),
        (vec![message(DONE, 2 | INTERRUPTED, &zero)], Ok(true), Dumped::InPart, vec![]),
    ];
    for (messages, over, dumped, ports) in table {
        assert_eq!(answer(&messages), (over, dumped, ports));
    }
}

#[test]
fn what_the_kernel_cannot_do_is_told_from_what_went_wrong() {
    let table = [
        (message(ERROR, 0, &(-2_i32).to_ne_bytes()), "NoDiagnosis"),
        (message(DONE, 2, &(-2_i32).to_ne_bytes()), "NoDiagnosis"),
        (message(ERROR, 0, &(-105_i32).to_ne_bytes()), "Transfer { cause: ENOBUFS }"),
        (message(SOCKET, 2, &socket(25)[..71]), "Decode"),
        (message(SOCKET, 2, &socket(25))[..60].to_vec(), "Decode"),
    ];
    for (bytes, expected) in table {
        let (over, ..) = answer(&[bytes]);
        let error = over.unwrap_err();
        assert!(error.starts_with(expected), "{error} instead of {expected}");
    }
}
