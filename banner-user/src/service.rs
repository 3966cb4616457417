//! Services: names for groups of TCP ports, each one bit of the mask that a ban and a port carry.

use std::{collections::BTreeMap, fmt};

use crate::nearest::{did_you_mean, nearest};

/// A set of services, one bit each. What a bit means is said by the [`Services`] table that made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceMask(pub u16);

impl ServiceMask {
    /// No service.
    pub const NONE: Self = Self(0);

    /// Services in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no service is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every service of `other` is in this.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The services that exist without configuration, with their ports (IANA's service names; 465 and 993 are RFC 8314's).
pub const BUILT_IN: [(&str, u16); 10] = [
    ("smtp", 25),
    ("submission", 587),
    ("submissions", 465),
    ("pop3", 110),
    ("pop3s", 995),
    ("imap", 143),
    ("imaps", 993),
    ("sieve", 4190),
    ("http", 80),
    ("https", 443),
];

/// The services of the default jail: all built-in ones that are mail.
pub const MAIL: [&str; 8] = ["smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps", "sieve"];

/// How many services there can be: the bits of a mask.
pub const SERVICES_MAX: usize = 16;

/// The table of services: names, bits and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// In the order of their bits.
    entries: Vec<(String, Vec<u16>)>,
}

/// Why a table of services cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// More services than bits.
    #[error(
        "there are more than {SERVICES_MAX} services, the built-in ones included; merge some, a service may have several ports"
    )]
    TooMany,
    /// A name that no service has.
    #[error("unknown service `{name}`{}", did_you_mean(.nearest.as_deref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// The known name nearest to it.
        nearest: Option<String>,
    },
}

impl Services {
    /// The built-in services, with ports replaced or services added by `configured` (name to ports).
    ///
    /// # Errors
    /// [`ServiceError::TooMany`] where the mask has no bit left.
    pub fn new(configured: &BTreeMap<String, Vec<u16>>) -> Result<Self, ServiceError> {
        let mut entries: Vec<_> = BUILT_IN.iter().map(|(name, port)| ((*name).to_owned(), vec![*port])).collect();
        for (name, ports) in configured {
            match entries.iter_mut().find(|(known, _)| known == name) {
                Some((_, known_ports)) => known_ports.clone_from(ports),
                None => entries.push((name.clone(), ports.clone())),
            }
        }
        if entries.len() > SERVICES_MAX { Err(ServiceError::TooMany) } else { Ok(Self { entries }) }
    }

    /// The mask of the services with these names.
    ///
    /// # Errors
    /// [`ServiceError::Unknown`] for the first name that is not known.
    pub fn mask<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<ServiceMask, ServiceError> {
        names.into_iter().try_fold(ServiceMask::NONE, |mask, name| {
            match self.entries.iter().position(|(known, _)| known == name) {
                Some(bit) => Ok(mask.union(ServiceMask(1 << bit))),
                None => Err(ServiceError::Unknown {
                    name: name.to_owned(),
                    nearest: nearest(name, self.known()).map(str::to_owned),
                }),
            }
        })
    }

    /// The names of all services, in the order of their bits.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The names of the services in a mask, in the order of their bits.
    pub fn names(&self, mask: ServiceMask) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .enumerate()
            .filter(move |(bit, _)| mask.0 & (1 << bit) != 0)
            .map(|(_, (name, _))| name.as_str())
    }

    /// Every guarded port with the mask of the services behind it.
    #[must_use]
    pub fn ports(&self) -> BTreeMap<u16, ServiceMask> {
        let mut ports = BTreeMap::<u16, ServiceMask>::new();
        for (bit, (_, service_ports)) in self.entries.iter().enumerate() {
            for port in service_ports {
                let mask = ports.entry(*port).or_default();
                *mask = mask.union(ServiceMask(1 << bit));
            }
        }
        ports
    }
}

impl Default for Services {
    fn default() -> Self {
        Self { entries: BUILT_IN.iter().map(|(name, port)| ((*name).to_owned(), vec![*port])).collect() }
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, ports)) in self.entries.iter().enumerate() {
            let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
            write!(f, "{}{name} {}", if index == 0 { "" } else { ", " }, ports.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_jail_guards_all_mail_ports_and_no_web() {
        let services = Services::default();
        let mask = services.mask(MAIL).unwrap();
        let guarded: Vec<u16> =
            services.ports().into_iter().filter(|(_, port)| mask.contains(*port)).map(|(port, _)| port).collect();
        assert_eq!(guarded, [25, 110, 143, 465, 587, 993, 995, 4190]);
        assert_eq!(services.names(mask).collect::<Vec<_>>(), MAIL);
    }

    #[test]
    fn configuration_adds_services_and_moves_ports() {
        let configured = BTreeMap::from([("smtp".to_owned(), vec![25, 2525]), ("managesieve".to_owned(), vec![2000])]);
        let services = Services::new(&configured).unwrap();
        let ports = services.ports();
        assert_eq!(ports[&25], ports[&2525]);
        assert_eq!(ports[&2000], services.mask(["managesieve"]).unwrap());
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest() {
        let error = Services::default().mask(["submision"]).unwrap_err();
        assert_eq!(error.to_string(), "unknown service `submision`; did you mean `submission`?");
    }

    #[test]
    fn the_mask_bounds_the_table() {
        let configured = (0..7).map(|i| (format!("s{i}"), vec![1000 + i])).collect();
        assert_eq!(Services::new(&configured), Err(ServiceError::TooMany));
    }
}
