mod dumps;
mod kernel;

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::*;

fn prefixes(texts: &[&str]) -> BTreeSet<IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn more_prefixes_than_a_filter_takes_are_everyone() {
    let mut banned = Banned::default();
    assert!(banned.is_empty());
    for number in 0..32_u32 {
        banned.add(IpNet::from(std::net::IpAddr::from((0xc612_0000 + number).to_be_bytes())));
        banned.add("198.18.0.0/32".parse().unwrap());
    }
    assert!(matches!(&banned, Banned::In(prefixes) if prefixes.len() == 32));
    let mut more = Banned::default();
    more.add("192.0.2.1/32".parse().unwrap());
    more.add_all(banned.clone());
    assert_eq!(more, Banned::Everyone);
    banned.add("192.0.2.1/32".parse().unwrap());
    assert_eq!(banned, Banned::Everyone);
    assert!(!banned.is_empty());
}

#[test]
fn a_dump_is_taken_again_until_it_is_complete_and_not_for_ever() {
    for (complete_at, expected, dumps) in [(1, true, 1), (3, true, 3), (8, true, 8), (9, false, 8)] {
        let mut taken = 0;
        let complete = until_complete(|| {
            taken += 1;
            Ok(if taken >= complete_at { Dumped::All } else { Dumped::InPart })
        });
        assert_eq!((complete.unwrap(), taken), (expected, dumps), "complete at dump {complete_at}");
    }
}
