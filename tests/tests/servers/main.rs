//! banner in front of real servers: Debian's own Postfix, Cyrus IMAP and Dovecot on hosts of their own, real clients, and attackers
//! who try what they can.

mod scene;

mod botnet;
mod connections;
mod host;
mod injecting;
mod judging;
mod losing_nothing;
mod mechanisms;
mod names;
mod oracle;
mod outage;
