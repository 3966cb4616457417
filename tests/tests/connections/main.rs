//! What becomes of connections that are open when their source is banned: "already banned" and still talking is an old complaint
//! of fail2ban's users.

mod dying;
mod restarting;
