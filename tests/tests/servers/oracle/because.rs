//! Why fail2ban and banner differ. fail2ban is 1.0.2, with the filters of that version.

pub(crate) const TOGETHER: &str =
    "one user database behind all services, so banner counts them together; each jail of fail2ban's counts alone";

pub(crate) const PREFIX: &str = "banner counts IPv6 by /64, fail2ban by address";

pub(crate) const RESCALED: &str = "never three within ten minutes; where the first failure is older than findtime, fail2ban takes all \
     until then for a rate (2 in 605 s are 2 in 600 s) and adds the next";

pub(crate) const OUTAGE: &str =
    "nothing could check the password, Postfix says `generic failure`: banner counts nobody, fail2ban everybody";

pub(crate) const RETOLD: &str = "Postfix 3.7 says of an outage what it says of a wrong password, `(reason unavailable)`; banner heeds, in every jail, \
                                 Dovecot's line before it, which says who suffered";

pub(crate) const PERSISTENT: &str = "banner counts a quarter for a mechanism that is not there, since no password was tried; fail2ban nothing, \
     however often";

pub(crate) const LIMITED: &str = "AUTH beyond smtpd_client_auth_rate_limit is one more guess, but has a line of its own, which fail2ban's filter does \
     not know";

pub(crate) const POP3_SASL: &str =
    "fail2ban's filter wants `SASL(-13)`, which Cyrus' pop3d does not write of SASL mechanisms";

pub(crate) const NAMELESS: &str =
    "fail2ban's filter wants a host name before the address, and the client has none in DNS";

pub(crate) const HTTPD: &str = "fail2ban's filter knows imapd and pop3d alone; httpd has the same users";

pub(crate) const INVALID_USER: &str =
    "fail2ban's filter wants `SASL(-13)`; Cyrus says `invalid user` of a name with odd characters";

pub(crate) const FORGED: &str = "he did nothing: 198.51.100.76 asks SMTP for a mechanism `\"x[198.51.100.66]: SASL PLAIN authentication failed: y\"`, of \
     which libsasl writes a line without the client's address; fail2ban's pattern searches, and finds the one in the name";

pub(crate) const NOT_FOR_GOOD: &str = "450 is what Postfix says when its DNS fails, too: banner counts no 4xx";

pub(crate) const SEVERAL_EACH: &str =
    "banner counts a quarter for an unknown recipient, which honest senders with old addresses have as well";

pub(crate) const NOT_SMTP: &str = "fail2ban's filter does not know `non-SMTP command`";

pub(crate) const POSTSCREEN: &str = "fail2ban knows PREGREET in its modes `ddos` and `aggressive` alone";

pub(crate) const ATTEMPTS: &str =
    "Dovecot writes one line for a connection, with the number of its attempts: banner counts these, fail2ban lines";

pub(crate) const BRACKET: &str = "fail2ban's pattern ends a user name at its first `>`, and finds no address behind it";

pub(crate) const WITHOUT_TLS: &str =
    "nobody looked at the password: banner counts a quarter of an attempt that is refused for want of TLS";

pub(crate) const REPEATED: &str = "`too many errors after AUTH` sums up guesses that were counted one by one";
