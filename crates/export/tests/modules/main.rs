//! How a platform is cut into modules.

#![allow(clippy::unwrap_used, reason = "tests")]

extern crate seaworthy_export as export;

#[path = "../../../blueprint/tests/blueprint/fixtures.rs"]
#[allow(dead_code, reason = "not every test needs every platform")]
mod fixtures;

use export::{Module, modules, needs};

#[test]
fn no_two_modules_of_any_platform_need_each_other() {
    for (name, platform) in fixtures::all() {
        let graph = blueprint::environment(&platform).unwrap();
        let modules = modules(&graph);
        assert_eq!(modules.len(), graph.len());
        let needs = needs(&graph, &modules).unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        assert!(needs[&Module::Eks].contains(&Module::Network), "{name}");
        assert!(needs[&Module::Addons].contains(&Module::Eks), "{name}");
        assert!(!modules.values().any(|module| *module == Module::Shared));
    }
}

#[test]
fn what_is_shared_is_a_module_of_its_own() {
    let graph = blueprint::shared(&fixtures::platform("shared", fixtures::everything())).unwrap();
    let modules = modules(&graph);
    assert!(!modules.is_empty());
    assert!(modules.values().all(|module| *module == Module::Shared));
}
