//! Volumes, claims and their classes.

use serde_json::Value as Json;

use super::found::{Found, entries, list, replace, same, text};
use crate::quantity::Quantity;

const MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

fn access_modes(spec: &Json, why: &str, found: &mut Found) {
    let modes = list(&spec["accessModes"]);
    if modes.is_empty() {
        found.required("spec.accessModes", why);
    }
    for mode in modes {
        if !MODES.contains(&text(mode)) {
            found.unsupported("spec.accessModes", mode, &MODES);
        }
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        found.forbidden("spec.accessModes", why);
    }
}

pub(super) fn claim(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    access_modes(spec, "at least 1 access mode is required", found);
    let storage = &spec["resources"]["requests"]["storage"];
    match Quantity::of(storage) {
        None => found.required("spec.resources[storage]", ""),
        Some(size) if size <= Quantity::ZERO => {
            let why = "must be greater than zero";
            found.invalid("spec.resources[storage]", storage, why);
        }
        Some(_) => {}
    }
    found.one_of(
        "spec.volumeMode",
        &spec["volumeMode"],
        &["Block", "Filesystem"],
    );

    let Some(old) = old else { return };
    let before = &old["spec"];
    let bound = old["status"]["phase"] == "Bound";
    let mut fixed = spec.clone();
    // The volume binder says which volume; the default class may be put in later.
    if text(&before["volumeName"]).is_empty() {
        replace(&mut fixed, &["volumeName"], &before["volumeName"]);
    }
    if before["storageClassName"].is_null() {
        replace(&mut fixed, &["storageClassName"], &Json::Null);
    }
    if bound {
        replace(
            &mut fixed,
            &["resources", "requests"],
            &before["resources"]["requests"],
        );
        let class = "volumeAttributesClassName";
        replace(&mut fixed, &[class], &before[class]);
    }
    if !same(&fixed, before) {
        found.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        );
    }
    let was = Quantity::of(&before["resources"]["requests"]["storage"]);
    let has = Quantity::of(&old["status"]["capacity"]["storage"]);
    if let (Some(size), Some(was)) = (Quantity::of(storage), was)
        && size < was
        && has.is_none_or(|has| size < has)
    {
        let why = "field can not be less than status.capacity";
        found.forbidden("spec.resources.requests.storage", why);
    }
}

/// What a volume's spec has beside its source.
const NO_SOURCE: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeMode",
    "volumeAttributesClassName",
];

pub(super) fn volume(new: &Json, old: Option<&Json>, found: &mut Found) {
    let spec = &new["spec"];
    access_modes(spec, "", found);
    if entries(&spec["capacity"]).next().is_none() {
        found.required("spec.capacity", "");
    } else if spec["capacity"]["storage"].is_null() {
        found.unsupported("spec.capacity", &spec["capacity"], &["storage"]);
    }
    let sources: Vec<&String> = entries(spec)
        .filter(|(field, value)| !NO_SOURCE.contains(&field.as_str()) && !value.is_null())
        .map(|(field, _)| field)
        .collect();
    match sources.as_slice() {
        [] => found.required("spec", "must specify a volume type"),
        [_] => {}
        [_, more @ ..] => {
            for source in more {
                let why = "may not specify more than 1 volume type";
                found.forbidden(format!("spec.{source}"), why);
            }
        }
    }
    found.one_of(
        "spec.persistentVolumeReclaimPolicy",
        &spec["persistentVolumeReclaimPolicy"],
        &["Delete", "Recycle", "Retain"],
    );
    if let Some(old) = old {
        for source in sources {
            if !same(&spec[source], &old["spec"][source]) {
                let why = "spec.persistentvolumesource is immutable after creation";
                found.forbidden("spec.persistentvolumesource", why);
            }
        }
        found.fixed(
            "spec.volumeMode",
            &spec["volumeMode"],
            &old["spec"]["volumeMode"],
        );
    }
}

pub(super) fn class(new: &Json, old: Option<&Json>, found: &mut Found) {
    found.has_text("provisioner", &new["provisioner"]);
    found.one_of(
        "reclaimPolicy",
        &new["reclaimPolicy"],
        &["Delete", "Retain"],
    );
    found.one_of(
        "volumeBindingMode",
        &new["volumeBindingMode"],
        &["Immediate", "WaitForFirstConsumer"],
    );
    let Some(old) = old else { return };
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if !same(&new[field], &old[field]) {
            let why = format!("updates to {field} are forbidden.");
            found.forbidden(field, &why);
        }
    }
    found.fixed(
        "volumeBindingMode",
        &new["volumeBindingMode"],
        &old["volumeBindingMode"],
    );
}
