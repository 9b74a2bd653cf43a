//! docs/security.md names the attacks that only a cage can stop, and tests that there are.

use crate::attack::Expected;
use crate::table::CLASSES;

const DOCUMENT: &str = include_str!("../../docs/security.md");

#[test]
fn what_only_a_cage_stops_is_documented() {
    let attacks = CLASSES.iter().flat_map(|class| class.attacks);
    for attack in attacks.filter(|attack| attack.expected == Expected::NeedsCage) {
        assert!(DOCUMENT.contains(attack.name), "docs/security.md does not name {:?}", attack.name);
    }
}

#[test]
fn every_class_is_documented_with_its_test() {
    let cases = include_str!("cases.rs");
    for class in &CLASSES {
        let mut rows =
            DOCUMENT.lines().filter(|line| line.starts_with(&format!("| {} ", class.id)));
        let test = rows.find_map(|row| row.split_once("hostile::"));
        let (_, test) = test.unwrap_or_else(|| panic!("no row with a test of {}", class.id));
        let name: String = test.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        assert!(cases.contains(&format!("fn {name}()")), "no test {name}");
    }
}
