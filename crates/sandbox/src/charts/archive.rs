//! A chart's folder as the `.tgz` that `helm package` makes; the same bytes every time.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use include_dir::{Dir, DirEntry};

/// Packs a folder under a chart's name.
pub(super) fn pack(folder: &Dir<'_>, name: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    add(&mut archive, folder, folder, name);
    // Into memory: nothing can fail.
    let tar = archive.into_inner().unwrap_or_default();
    let mut packed = GzBuilder::new()
        .mtime(0)
        .write(Vec::new(), Compression::best());
    let written = packed.write_all(&tar);
    debug_assert!(written.is_ok());
    packed.finish().unwrap_or_default()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, root: &Dir<'_>, folder: &Dir<'_>, name: &str) {
    for entry in folder.entries() {
        match entry {
            DirEntry::Dir(inner) => add(archive, root, inner, name),
            DirEntry::File(file) => {
                let path = file.path().strip_prefix(root.path()).unwrap_or(file.path());
                let mut header = tar::Header::new_gnu();
                header.set_size(file.contents().len() as u64);
                header.set_mode(0o644);
                header.set_mtime(0);
                header.set_cksum();
                let path = std::path::Path::new(name).join(path);
                let added = archive.append_data(&mut header, path, file.contents());
                debug_assert!(added.is_ok());
            }
        }
    }
}
