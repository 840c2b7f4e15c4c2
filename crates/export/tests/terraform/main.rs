#![allow(clippy::unwrap_used, reason = "tests")]
extern crate seaworthy_export as export;
#[path = "../../../blueprint/tests/blueprint/fixtures.rs"]
#[allow(dead_code, reason = "not every test needs every platform")]
mod fixtures;
use export::{Scoped, Source};
#[test]
fn dump() {
    let presets = fixtures::presets();
    for pair in presets.chunks(2) {
        let graphs: Vec<_> = pair
            .iter()
            .map(|(_, p)| blueprint::environment(p).unwrap())
            .collect();
        let shared = blueprint::shared(&pair[0].1).unwrap();
        let scopes: Vec<_> = pair
            .iter()
            .zip(&graphs)
            .map(|((_, platform), graph)| Scoped { platform, graph })
            .collect();
        let wanted: Vec<_> = scopes
            .iter()
            .map(|s| s.name().clone())
            .chain([shared.scope().environment.clone()])
            .collect();
        let source = Source {
            environments: &scopes,
            shared: Scoped {
                platform: &pair[0].1,
                graph: &shared,
            },
            wanted: &wanted,
        };
        let files = export::terraform::export(&source).unwrap_or_else(|e| panic!("{e:#?}"));
        for (path, file) in files.iter() {
            let path = std::path::PathBuf::from(format!(
                "/tmp/tf/{}/{path}",
                pair[0].0.split(',').next().unwrap()
            ));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.text).unwrap();
        }
    }
}
