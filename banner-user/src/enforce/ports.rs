//! What the bits of a service mask mean, which is what the port table says: a configuration with other services gives them
//! other bits, while the bans in the maps still have the former ones.

use std::collections::BTreeMap;

use crate::service::{SERVICES_MAX, ServiceMask};

/// The guarded ports, with the services behind each.
pub(super) type Ports = BTreeMap<u16, ServiceMask>;

/// For each former bit, the bits that now stand for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Translation([ServiceMask; SERVICES_MAX]);

impl Translation {
    /// A bit that still stands for one of its ports is kept. Another becomes all that stand for one of them now, and nothing
    /// where nothing does: the service is gone.
    pub(super) fn between(former: &Ports, current: &Ports) -> Self {
        Self(std::array::from_fn(|bit| {
            let bit = ServiceMask(1 << bit);
            let mut ports = former.iter().filter(|(_, mask)| mask.contains(bit)).map(|(port, _)| port).peekable();
            if ports.peek().is_none() {
                return bit;
            }
            let now = ports.filter_map(|port| current.get(port)).fold(ServiceMask::NONE, |all, mask| all.union(*mask));
            if now.contains(bit) { bit } else { now }
        }))
    }

    /// What a mask with the former bits is with the current ones.
    pub(super) fn translate(&self, mask: ServiceMask) -> ServiceMask {
        let bits = self.0.iter().enumerate().filter(|(bit, _)| mask.contains(ServiceMask(1 << bit)));
        bits.fold(ServiceMask::NONE, |all, (_, current)| all.union(*current))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::Now,
        enforce::{kernel::MapSizes, scratch::Scratch},
        judge::effect::{Entry, Slot, Until},
        service::Services,
    };

    fn services(configured: &[(&str, &[u16])]) -> Services {
        let configured = configured.iter().map(|(name, ports)| ((*name).to_owned(), ports.to_vec())).collect();
        Services::new(&configured).unwrap()
    }

    #[test]
    fn a_mask_goes_on_meaning_the_same_ports() {
        let webmail = services(&[("webmail", &[8443])]);
        let table: [(&str, Services, Services, &str, &str); 6] = [
            ("nothing has changed", webmail.clone(), webmail.clone(), "smtp webmail", "smtp webmail"),
            (
                "another came before it",
                webmail.clone(),
                services(&[("admin", &[9000]), ("webmail", &[8443])]),
                "smtp webmail",
                "smtp webmail",
            ),
            ("it has another name", webmail.clone(), services(&[("mail-ui", &[8443])]), "webmail", "mail-ui"),
            ("it has a port more", Services::default(), services(&[("smtp", &[25, 2525])]), "smtp imap", "smtp imap"),
            ("it is gone", webmail, Services::default(), "smtp webmail", "smtp"),
            (
                "two have become one of three",
                services(&[("b", &[1001]), ("c", &[1002])]),
                services(&[("a", &[1000]), ("z", &[1001, 1002])]),
                "b c",
                "z",
            ),
        ];
        for (case, former, current, banned, expected) in table {
            let translation = Translation::between(&former.ports(), &current.ports());
            let mask = former.mask(banned.split(' ')).unwrap();
            let names: Vec<&str> = current.names(translation.translate(mask)).collect();
            assert_eq!(names.join(" "), expected, "{case}");
        }
        let first = Translation::between(&Ports::new(), &Services::default().ports());
        assert_eq!(first.translate(ServiceMask(0x81)), ServiceMask(0x81), "no port was guarded before");
    }

    #[test]
    fn bans_in_the_maps_go_on_meaning_the_same_ports() {
        let Some(scratch) = Scratch::new() else { return };
        let (mut kernel, _) = scratch.load(MapSizes { bans_v4: 4, bans_v6: 4, prefixes: 4 }).unwrap();
        let (former, current) =
            (services(&[("webmail", &[8443])]), services(&[("admin", &[9000]), ("webmail", &[8443])]));
        let until = Until::Boot(Now::read().boot + Duration::from_secs(600));
        let entry = |slot, services| Entry {
            slot,
            services,
            until,
            observe: false,
            manual: false,
            listed: false,
            protected: false,
        };
        let (both, alone) = (Slot::V4([192, 0, 2, 1]), Slot::V4([192, 0, 2, 2]));
        kernel.guard(&former).unwrap();
        let ticks = kernel.ticks;
        kernel.bans.write(&entry(both, former.mask(["smtp", "webmail"]).unwrap()), &ticks).unwrap();
        kernel.bans.write(&entry(alone, former.mask(["webmail"]).unwrap()), &ticks).unwrap();

        let found = |kernel: &crate::enforce::kernel::Kernel| {
            let mut entries = kernel.bans.entries(&kernel.ticks).unwrap();
            entries.sort_by_key(|(entry, _)| entry.slot);
            entries.into_iter().map(|(entry, _)| entry.services).collect::<Vec<_>>()
        };
        kernel.guard(&current).unwrap();
        let expected = [current.mask(["smtp", "webmail"]).unwrap(), current.mask(["webmail"]).unwrap()];
        assert_eq!(found(&kernel), expected);
        kernel.guard(&Services::default()).unwrap();
        assert_eq!(found(&kernel), [Services::default().mask(["smtp"]).unwrap()], "a ban from nothing is none");
    }
}
