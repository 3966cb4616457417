use super::*;
use crate::enforce::scratch::Scratch;

/// A directory of maps that can be told from another, since bpffs has no plain files.
fn maps(path: &Path, mark: &str) {
    make(&path.join(mark)).unwrap();
}

fn marks(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn a_migration_that_is_cut_off_anywhere_leaves_one_directory_that_has_every_ban() {
    // What stands there when the daemon dies, in the order of its steps, and whose bans go on.
    let table: [(&str, &[&str], &str); 6] = [
        ("before the first", &["maps"], "maps"),
        ("while bans are copied", &["maps", "maps-next"], "maps"),
        ("between the two renames", &["maps-next", "maps-former"], "maps-next"),
        ("before the former are removed", &["maps", "maps-former"], "maps"),
        ("never, and there was nothing before", &[], ""),
        ("twice", &["maps", "maps-next", "maps-former"], "maps"),
    ];
    for (case, directories, survivor) in table {
        let Some(scratch) = Scratch::new() else { return };
        let pins = &scratch.pins;
        for directory in directories {
            maps(&pins.root().join(directory), directory);
        }
        let _lock = scratch.prepare();
        assert_eq!(marks(&pins.maps()).join(" "), survivor, "cut off {case}");
        let mut left = marks(pins.root());
        left.sort();
        assert_eq!(left, ["links", "maps"], "cut off {case}");
    }
}

#[test]
fn a_migration_puts_the_new_maps_in_the_place_of_the_old() {
    let Some(scratch) = Scratch::new() else { return };
    let pins = &scratch.pins;
    let _lock = scratch.prepare();
    maps(&pins.maps(), "old");
    maps(&pins.next_maps(), "cut-off");
    pins.begin_migration().unwrap();
    maps(&pins.next_maps(), "new");
    assert_eq!(marks(&pins.maps()), ["old"], "the old ones are in force until the new ones are full");
    pins.finish_migration().unwrap();
    assert_eq!(marks(&pins.maps()), ["new"]);
}

#[test]
fn one_at_a_time_has_the_pins_and_they_are_the_owners_alone() {
    let Some(scratch) = Scratch::new() else { return };
    let pins = &scratch.pins;
    let lock = scratch.prepare();
    assert!(matches!(pins.prepare().unwrap_err(), PinsError::InUse { .. }));
    for path in [pins.root(), &pins.maps(), &pins.links()] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700, "{}", path.display());
    }
    drop(lock);
    let _lock = scratch.prepare();
}

#[test]
fn removing_leaves_nothing_and_no_directory_that_others_use() {
    let Some(scratch) = Scratch::new() else { return };
    let pins = &scratch.pins;
    let lock = scratch.prepare();
    let others = pins.root().with_file_name("v0");
    make(&others).unwrap();
    pins.remove().unwrap();
    assert!(!pins.exist() && !pins.root().exists());
    assert!(others.exists(), "another version's");
    drop(lock);
    fs::remove_dir(&others).unwrap();
    let _lock = scratch.prepare();
    pins.remove().unwrap();
    assert!(!pins.root().parent().unwrap().exists(), "an empty directory is left");
    pins.remove().unwrap();
}

#[test]
fn links_are_listed_by_interface_and_nothing_else_is() {
    let Some(scratch) = Scratch::new() else { return };
    let pins = &scratch.pins;
    assert_eq!(pins.linked_interfaces().unwrap(), [0; 0], "before anything is pinned");
    let _lock = scratch.prepare();
    for name in ["2", "4294967295", "eth0", "-1"] {
        make(&pins.links().join(name)).unwrap();
    }
    let mut indices = pins.linked_interfaces().unwrap();
    indices.sort_unstable();
    assert_eq!(indices, [2, u32::MAX]);
}
