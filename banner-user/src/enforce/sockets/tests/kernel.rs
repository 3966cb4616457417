//! What the kernel does, in a network namespace that each test makes, with the real maps of bans.

use std::{
    io::{self, ErrorKind, Read as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use netlink_packet_sock_diag::{TCP_FIN_WAIT1, TCP_FIN_WAIT2};
use tokio::net::TcpSocket;

use super::{super::filter::remote_in, *};
use crate::{
    clock::Now,
    enforce::{
        kernel::{Kernel, MapSizes},
        namespace::{in_namespace, ip},
        scratch::Scratch,
    },
    judge::effect::{Entry, Slot, Until},
};

const ATTACKER: &str = "198.51.100.66";
const NEIGHBOUR: &str = "198.51.100.67";
/// The attacker behind NAT64.
const TRANSLATED: &str = "64:ff9b::c633:6442";
const ATTACKER_V6: &str = "2001:db8:0:66::1";
/// In the attacker's /64.
const BESIDE_V6: &str = "2001:db8:0:66::2";
const NEIGHBOUR_V6: &str = "2001:db8:0:67::1";

const SERVER: &str = "192.0.2.25";
const SERVER_V6: &str = "fd00:25::25";

/// A mail server and its clients on one loopback interface.
struct Host {
    _scratch: Scratch,
    kernel: Kernel,
    sockets: Sockets,
}

impl Host {
    fn new() -> Option<Self> {
        let scratch = Scratch::new()?;
        ip("link set lo up");
        for address in [ATTACKER, NEIGHBOUR, SERVER] {
            ip(&format!("address add {address}/32 dev lo"));
        }
        for address in [TRANSLATED, ATTACKER_V6, BESIDE_V6, NEIGHBOUR_V6, SERVER_V6] {
            ip(&format!("address add {address}/128 dev lo nodad"));
        }
        let (kernel, _) = scratch.load(MapSizes { bans_v4: 1024, bans_v6: 16, prefixes: 16 }).unwrap();
        let sockets = Sockets::open(&scratch.pins, &Services::default()).unwrap();
        Some(Self { _scratch: scratch, kernel, sockets })
    }

    fn write(&mut self, prefix: &str, change: impl FnOnce(&mut Entry)) -> Slot {
        let prefix = prefix.parse().unwrap();
        let mut entry = Entry {
            slot: Slot::exact(prefix).unwrap_or(Slot::net(prefix)),
            services: Services::default().mask(crate::service::MAIL).unwrap(),
            until: Until::Boot(Now::read().boot + Duration::from_secs(600)),
            observe: false,
            manual: false,
            listed: false,
            protected: false,
        };
        change(&mut entry);
        let ticks = self.kernel.ticks;
        self.kernel.bans.write(&entry, &ticks).unwrap();
        entry.slot
    }
}

struct Connection {
    name: &'static str,
    /// The end on which it was made.
    client: TcpStream,
    /// The end that was asked.
    server: TcpStream,
}

impl Connection {
    async fn open(name: &'static str, from: &str, listener: &TcpListener, to: &str) -> Self {
        let client = connect(from, listener, to).await;
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(
            (peer.ip().to_canonical(), peer.port()),
            (from.parse().unwrap(), client.local_addr().unwrap().port())
        );
        server.set_nonblocking(true).unwrap();
        Self { name, client, server }
    }

    /// Whether the server's end was taken from it, and not by its peer.
    fn is_destroyed(&self) -> bool {
        is_aborted(&self.server)
    }

    /// Ends it, also where a process that another test's thread is just starting has the sockets too, until its execve(2).
    fn end(self) {
        for end in [self.client, self.server] {
            // One that was destroyed is not connected.
            let _: io::Result<()> = end.shutdown(Shutdown::Both);
        }
    }
}

async fn connect(from: &str, listener: &TcpListener, to: &str) -> TcpStream {
    let to = SocketAddr::new(to.parse().unwrap(), listener.local_addr().unwrap().port());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        match socket.connect(to).await.and_then(tokio::net::TcpStream::into_std) {
            Ok(stream) => return stream,
            // The route to a new IPv6 address comes a moment after it (`addrconf_dad_work`, net/ipv6/addrconf.c).
            Err(error) if error.kind() == ErrorKind::NetworkUnreachable && Instant::now() < deadline => {
                thread::yield_now();
            }
            Err(error) => panic!("{from} does not reach {to}: {error}"),
        }
    }
}

fn is_aborted(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        other => panic!("neither open nor destroyed: {other:?}"),
    }
}

fn listen(address: &str, port: u16) -> TcpListener {
    TcpListener::bind((address.parse::<IpAddr>().unwrap(), port)).unwrap()
}

struct Row {
    case: &'static str,
    bans: &'static [&'static str],
    change: fn(&mut Entry),
    protected: &'static [&'static str],
    asked: Option<&'static [&'static str]>,
    destroyed: &'static [&'static str],
}

const MAIL_BAN: fn(&mut Entry) = |_| {};

const ROWS: [Row; 12] = [
    Row {
        case: "an address, on sockets of one family and of both, and behind NAT64",
        bans: &["198.51.100.66/32"],
        change: MAIL_BAN,
        protected: &[],
        asked: None,
        destroyed: &["IPv4", "mapped", "NAT64"],
    },
    Row {
        case: "its network",
        bans: &["198.51.100.0/24"],
        change: MAIL_BAN,
        protected: &[],
        asked: None,
        destroyed: &["IPv4", "mapped", "NAT64", "neighbour"],
    },
    Row {
        case: "its network, with a protected address in it",
        bans: &["198.51.100.0/24"],
        change: MAIL_BAN,
        protected: &["198.51.100.67/32"],
        asked: None,
        destroyed: &["IPv4", "mapped", "NAT64"],
    },
    Row {
        case: "a /64, and not the next one",
        bans: &["2001:db8:0:66::/64"],
        change: MAIL_BAN,
        protected: &[],
        asked: None,
        destroyed: &["IPv6", "beside"],
    },
    Row {
        case: "a full IPv6 address",
        bans: &["2001:db8:0:66::1/128"],
        change: MAIL_BAN,
        protected: &[],
        asked: None,
        destroyed: &["IPv6"],
    },
    Row {
        case: "a wide IPv6 prefix, with a protected address in it",
        bans: &["2001:db8::/32"],
        change: MAIL_BAN,
        protected: &["2001:db8:0:66::2/128"],
        asked: None,
        destroyed: &["IPv6", "neighbour IPv6"],
    },
    Row {
        case: "both families at once",
        bans: &["198.51.100.67/32", "2001:db8:0:67::/64"],
        change: MAIL_BAN,
        protected: &[],
        asked: None,
        destroyed: &["neighbour", "neighbour IPv6"],
    },
    Row {
        case: "from the web alone",
        bans: &["198.51.100.66/32"],
        change: |entry| entry.services = Services::default().mask(["http"]).unwrap(),
        protected: &[],
        asked: None,
        destroyed: &["web"],
    },
    Row {
        case: "observed",
        bans: &["198.51.100.0/24", "198.51.100.66/32"],
        change: |entry| entry.observe = true,
        protected: &[],
        asked: None,
        destroyed: &[],
    },
    Row {
        case: "asked for, and not in the kernel",
        bans: &[],
        change: MAIL_BAN,
        protected: &[],
        asked: Some(&["0.0.0.0/0", "::/0"]),
        destroyed: &[],
    },
    Row {
        case: "in the kernel, and not asked for",
        bans: &["198.51.100.66/32"],
        change: MAIL_BAN,
        protected: &[],
        asked: Some(&["198.51.100.67/32", "2001:db8:0:66::/64"]),
        destroyed: &[],
    },
    Row {
        case: "more banned than one filter takes",
        bans: &["198.51.100.66/32", "2001:db8:0:66::/64"],
        change: MAIL_BAN,
        protected: &[],
        asked: Some(&[]),
        destroyed: &["IPv4", "mapped", "NAT64", "IPv6", "beside"],
    },
];

#[test]
fn a_ban_destroys_the_connections_whose_packets_it_drops_and_no_other() {
    in_namespace(|| async {
        let Some(mut host) = Host::new() else { return };
        let (smtp, smtp_v6) = (listen(SERVER, 25), listen(SERVER_V6, 25));
        let [submission, web, other] = [587, 80, 8025].map(|port| listen("::", port));
        let theirs = listen(ATTACKER, 25);
        for row in &ROWS {
            let connections = [
                Connection::open("IPv4", ATTACKER, &smtp, SERVER).await,
                Connection::open("mapped", ATTACKER, &submission, SERVER).await,
                Connection::open("NAT64", TRANSLATED, &smtp_v6, SERVER_V6).await,
                Connection::open("no service", ATTACKER, &other, SERVER).await,
                Connection::open("web", ATTACKER, &web, SERVER).await,
                Connection::open("neighbour", NEIGHBOUR, &smtp, SERVER).await,
                Connection::open("IPv6", ATTACKER_V6, &smtp_v6, SERVER_V6).await,
                Connection::open("beside", BESIDE_V6, &submission, SERVER_V6).await,
                Connection::open("neighbour IPv6", NEIGHBOUR_V6, &smtp_v6, SERVER_V6).await,
            ];
            let delivery = Connection::open("our mail to them", SERVER, &theirs, ATTACKER).await;
            let mut slots: Vec<Slot> = row.bans.iter().map(|ban| host.write(ban, row.change)).collect();
            slots.extend(row.protected.iter().map(|protected| {
                host.write(protected, |entry| {
                    // A trie's, whatever its shape: a hash would leave the word to the prefix around it.
                    entry.slot = Slot::net(protected.parse().unwrap());
                    (entry.services, entry.protected) = (ServiceMask::NONE, true);
                })
            }));
            let asked = match row.asked {
                None => Banned::In(prefixes(row.bans)),
                Some([]) => Banned::Everyone,
                Some(asked) => Banned::In(prefixes(asked)),
            };
            let outcome = host.sockets.destroy(&asked).unwrap();
            let destroyed: Vec<_> =
                connections.iter().filter(|connection| connection.is_destroyed()).map(|it| it.name).collect();
            assert_eq!(destroyed.iter().collect::<BTreeSet<_>>(), row.destroyed.iter().collect(), "{}", row.case);
            assert_eq!(outcome, Outcome { destroyed: destroyed.len(), ..Outcome::default() }, "{}", row.case);
            for end in [&delivery.client, &delivery.server] {
                end.set_nonblocking(true).unwrap();
                assert!(!is_aborted(end), "our mail to them: {}", row.case);
            }
            assert_eq!(host.sockets.destroy(&asked).unwrap(), Outcome::default(), "{}, again", row.case);
            slots.iter().for_each(|slot| assert!(host.kernel.bans.remove(*slot).unwrap()));
            connections.into_iter().chain([delivery]).for_each(Connection::end);
        }
    });
}

/// The states of the attacker's sockets at the server's port 25, with the inode of each.
fn states() -> Vec<(u8, u32)> {
    let mut states = Vec::new();
    let dumped = Diagnosis::open().unwrap().dump(Family::V4, StateFlags::all(), None, |socket| {
        if (socket.socket_id.source_port, socket.socket_id.destination_address)
            == (25, ATTACKER.parse::<IpAddr>().unwrap())
        {
            states.push((socket.state, socket.inode));
        }
        Ok(())
    });
    assert_eq!(dumped.unwrap(), Dumped::All);
    states
}

#[test]
fn a_connection_that_no_process_has_yet_is_destroyed() {
    in_namespace(|| async {
        let Some(mut host) = Host::new() else { return };
        host.write("198.51.100.66/32", MAIL_BAN);
        let banned = Banned::In(prefixes(&["198.51.100.66/32"]));
        let smtp = listen(SERVER, 25);

        let _waiting = connect(ATTACKER, &smtp, SERVER).await;
        assert_eq!(states(), [(TCP_ESTABLISHED, 0)], "not accepted yet");
        assert_eq!(host.sockets.destroy(&banned).unwrap().destroyed, 1);
        assert_eq!(states(), []);

        defer_accept(&smtp);
        let _half_open = connect(ATTACKER, &smtp, SERVER).await;
        assert_eq!(states(), [(TCP_SYN_RECV, 0)], "the handshake is not over");
        assert_eq!(host.sockets.destroy(&banned).unwrap().destroyed, 1);
        assert_eq!(states(), []);
    });
}

#[test]
fn a_connection_that_its_process_has_closed_is_let_alone() {
    in_namespace(|| async {
        let Some(mut host) = Host::new() else { return };
        host.write("198.51.100.66/32", MAIL_BAN);
        let banned = Banned::In(prefixes(&["198.51.100.66/32"]));
        let smtp = listen(SERVER, 25);

        // Says that it has no more to send, and goes on reading: the process would wait for ever.
        let half_closed = Connection::open("half closed", ATTACKER, &smtp, SERVER).await;
        half_closed.server.shutdown(Shutdown::Write).unwrap();
        assert!(matches!(states()[..], [(TCP_FIN_WAIT1 | TCP_FIN_WAIT2, inode)] if inode != 0));
        assert_eq!(host.sockets.destroy(&banned).unwrap().destroyed, 1);
        assert!(half_closed.is_destroyed());

        let Connection { client, server, .. } = Connection::open("closed", ATTACKER, &smtp, SERVER).await;
        drop(server);
        // Another test's thread may be starting a process, which has the socket too until its execve(2).
        let deadline = Instant::now() + Duration::from_secs(10);
        while !matches!(states()[..], [(TCP_FIN_WAIT1 | TCP_FIN_WAIT2, 0)]) {
            assert!(Instant::now() < deadline, "{:?}", states());
            thread::yield_now();
        }
        assert_eq!(host.sockets.destroy(&banned).unwrap(), Outcome::default());
        assert_eq!(states().len(), 1);
        drop(client);
    });
}

#[test]
fn the_kernel_leaves_out_what_is_in_none_of_the_prefixes() {
    in_namespace(|| async {
        ip("link set lo up");
        for address in [ATTACKER, NEIGHBOUR, SERVER] {
            ip(&format!("address add {address}/32 dev lo"));
        }
        for address in [TRANSLATED, ATTACKER_V6, NEIGHBOUR_V6, SERVER_V6] {
            ip(&format!("address add {address}/128 dev lo nodad"));
        }
        let (smtp, submission) = (listen(SERVER, 25), listen("::", 587));
        let _connections = [
            Connection::open("IPv4", ATTACKER, &smtp, SERVER).await,
            Connection::open("neighbour", NEIGHBOUR, &smtp, SERVER).await,
            Connection::open("mapped", ATTACKER, &submission, SERVER).await,
            Connection::open("mapped neighbour", NEIGHBOUR, &submission, SERVER).await,
            Connection::open("NAT64", TRANSLATED, &submission, SERVER_V6).await,
            Connection::open("IPv6", ATTACKER_V6, &submission, SERVER_V6).await,
            Connection::open("neighbour IPv6", NEIGHBOUR_V6, &submission, SERVER_V6).await,
        ];
        let attacker_mapped = "::ffff:198.51.100.66";
        let many: Vec<String> = (0..PREFIXES_MAX - 1).map(|n| format!("198.18.{}.{}/32", n / 256, n % 256)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).chain(["198.51.100.66/32"]).collect();
        let table: [(&[&str], &[&str], &[&str]); 7] = [
            (&["198.51.100.66/32"], &[ATTACKER], &[attacker_mapped, TRANSLATED]),
            (&["198.51.100.66/31"], &[ATTACKER, NEIGHBOUR], &[attacker_mapped, "::ffff:198.51.100.67", TRANSLATED]),
            (&["198.51.100.64/31"], &[], &[]),
            (&["2001:db8:0:66::/64"], &[], &[ATTACKER_V6]),
            (&["2001:db8:0:66::1/128", "198.51.100.67/32"], &[NEIGHBOUR], &[ATTACKER_V6, "::ffff:198.51.100.67"]),
            (&["2001:db8::/32", "203.0.113.0/24"], &[], &[ATTACKER_V6, NEIGHBOUR_V6]),
            (&many, &[ATTACKER], &[attacker_mapped, TRANSLATED]),
        ];
        for (banned, v4, v6) in table {
            for (family, expected) in [(Family::V4, v4), (Family::V6, v6)] {
                let filter = remote_in(&prefixes(banned), family);
                let mut reported = BTreeSet::new();
                if let Some(filter) = filter {
                    let dumped = Diagnosis::open().unwrap().dump(family, STATES, Some(&filter), |socket| {
                        reported.insert(socket.socket_id.destination_address);
                        Ok(())
                    });
                    assert_eq!(dumped.unwrap(), Dumped::All);
                }
                let expected = expected.iter().map(|address| address.parse().unwrap()).collect();
                assert_eq!(reported, expected, "{banned:?}, {family:?}");
            }
        }
    });
}

/// Lets connections wait in SYN_RECV until their client has sent something (TCP_DEFER_ACCEPT, tcp(7)).
fn defer_accept(listener: &TcpListener) {
    let seconds: libc::c_int = 30;
    #[expect(unsafe_code, reason = "neither std nor nix has this socket option")]
    // SAFETY: the descriptor is open, and the kernel reads so many bytes of an integer that lives until it returns.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            libc::socklen_t::try_from(size_of_val(&seconds)).unwrap(),
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}
