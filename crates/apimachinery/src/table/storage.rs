//! Volumes, claims and where they come from.

use serde_json::Value as Json;

use super::fields::Fields;
use super::{AGE, Column, NAME, Printer};

pub(super) fn printer(group: &str, kind: &str) -> Option<&'static Printer> {
    Some(match (group, kind) {
        ("", "PersistentVolume") => &VOLUMES,
        ("", "PersistentVolumeClaim") => &CLAIMS,
        ("storage.k8s.io", "StorageClass") => &CLASSES,
        ("storage.k8s.io", "VolumeAttachment") => &ATTACHMENTS,
        ("storage.k8s.io", "VolumeAttributesClass") => &ATTRIBUTES_CLASSES,
        ("storage.k8s.io", "CSINode") => &NODES,
        ("storage.k8s.io", "CSIDriver") => &DRIVERS,
        ("storage.k8s.io", "CSIStorageCapacity") => &CAPACITIES,
        _ => return None,
    })
}

/// Short names of access modes, each once, in the real server's order.
fn access_modes(object: Fields<'_>, path: &str) -> String {
    let has = object.texts(path);
    let told: Vec<&str> = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ]
    .into_iter()
    .filter(|(mode, _)| has.contains(mode))
    .map(|(_, short)| short)
    .collect();
    told.join(",")
}

/// The class in the annotation that came before the field, or in the field.
fn storage_class(object: Fields<'_>) -> Json {
    let annotated = object
        .at("metadata.annotations")
        .key("volume.beta.kubernetes.io/storage-class");
    match annotated.as_text() {
        Some(class) => class.into(),
        None => object.text("spec.storageClassName").into(),
    }
}

fn phase(object: Fields<'_>) -> Json {
    if object.deleting() {
        "Terminating".into()
    } else {
        object.text("status.phase").into()
    }
}

static VOLUMES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Capacity", "string", "spec.capacity"),
        Column::of("Access Modes", "string", "spec.accessModes"),
        Column::of(
            "Reclaim Policy",
            "string",
            "spec.persistentVolumeReclaimPolicy",
        ),
        Column::of("Status", "string", "status.phase"),
        Column::of("Claim", "string", "spec.claimRef"),
        Column::told("StorageClass", "string", "The volume's StorageClass."),
        Column::told(
            "VolumeAttributesClass",
            "string",
            "The volume's VolumeAttributesClass.",
        ),
        Column::of("Reason", "string", "status.reason"),
        AGE,
        Column::of("VolumeMode", "string", "spec.volumeMode").wide(),
    ],
    cells: |object, now| {
        let claim = if object.present("spec.claimRef") {
            let claim = object.at("spec.claimRef");
            format!("{}/{}", claim.text("namespace"), claim.text("name"))
        } else {
            String::new()
        };
        vec![
            object.name(),
            object.quantity("spec.capacity.storage").into(),
            access_modes(object, "spec.accessModes").into(),
            object.text("spec.persistentVolumeReclaimPolicy").into(),
            phase(object),
            claim.into(),
            storage_class(object),
            object
                .text_or("spec.volumeAttributesClassName", "<unset>")
                .into(),
            object.text("status.reason").into(),
            object.age(now),
            object.text_or("spec.volumeMode", "<unset>").into(),
        ]
    },
};

static CLAIMS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Status", "string", "status.phase"),
        Column::of("Volume", "string", "spec.volumeName"),
        Column::of("Capacity", "string", "status.capacity"),
        Column::of("Access Modes", "string", "status.accessModes"),
        Column::told("StorageClass", "string", "The claim's StorageClass."),
        Column::told(
            "VolumeAttributesClass",
            "string",
            "The claim's VolumeAttributesClass.",
        ),
        AGE,
        Column::of("VolumeMode", "string", "spec.volumeMode").wide(),
    ],
    cells: |object, now| {
        let volume = object.text("spec.volumeName");
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            (
                object.quantity("status.capacity.storage"),
                access_modes(object, "status.accessModes"),
            )
        };
        vec![
            object.name(),
            phase(object),
            volume.into(),
            capacity.into(),
            modes.into(),
            storage_class(object),
            object
                .text_or("spec.volumeAttributesClassName", "<unset>")
                .into(),
            object.age(now),
            object.text_or("spec.volumeMode", "<unset>").into(),
        ]
    },
};

/// The name, marked if an annotation makes it the default one.
fn default_marked(object: Fields<'_>, annotations: &[&str]) -> Json {
    let name = object.text("metadata.name");
    let all = object.at("metadata.annotations");
    if annotations
        .iter()
        .any(|key| all.key(key).as_text() == Some("true"))
    {
        format!("{name} (default)").into()
    } else {
        name.into()
    }
}

static CLASSES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Provisioner", "string", "provisioner"),
        Column::of("ReclaimPolicy", "string", "reclaimPolicy"),
        Column::of("VolumeBindingMode", "string", "volumeBindingMode"),
        Column::of("AllowVolumeExpansion", "string", "allowVolumeExpansion"),
        AGE,
    ],
    cells: |object, now| {
        vec![
            default_marked(
                object,
                &[
                    "storageclass.kubernetes.io/is-default-class",
                    "storageclass.beta.kubernetes.io/is-default-class",
                ],
            ),
            object.text("provisioner").into(),
            object.text_or("reclaimPolicy", "Delete").into(),
            object.text_or("volumeBindingMode", "Immediate").into(),
            object
                .flag("allowVolumeExpansion")
                .unwrap_or_default()
                .into(),
            object.age(now),
        ]
    },
};

static ATTRIBUTES_CLASSES: Printer = Printer {
    columns: &[NAME, Column::of("DriverName", "string", "driverName"), AGE],
    cells: |object, now| {
        let key = "storage.alpha.kubernetes.io/is-default-class";
        vec![
            default_marked(object, &[key]),
            object.text("driverName").into(),
            object.age(now),
        ]
    },
};

static ATTACHMENTS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("Attacher", "string", "spec.attacher").named(),
        Column::of("PV", "string", "spec.source.persistentVolumeName"),
        Column::of("Node", "string", "spec.nodeName"),
        Column::of("Attached", "boolean", "status.attached"),
        AGE,
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.text("spec.attacher").into(),
            object.text("spec.source.persistentVolumeName").into(),
            object.text("spec.nodeName").into(),
            object.flag("status.attached").unwrap_or_default().into(),
            object.age(now),
        ]
    },
};

static NODES: Printer = Printer {
    columns: &[
        NAME,
        Column::told("Drivers", "integer", "How many CSI drivers the node has."),
        AGE,
    ],
    cells: |object, now| {
        vec![
            object.name(),
            object.count("spec.drivers").into(),
            object.age(now),
        ]
    },
};

static DRIVERS: Printer = Printer {
    columns: &[
        NAME,
        Column::of("AttachRequired", "boolean", "spec.attachRequired"),
        Column::of("PodInfoOnMount", "boolean", "spec.podInfoOnMount"),
        Column::of("StorageCapacity", "boolean", "spec.storageCapacity"),
        Column::of("TokenRequests", "string", "spec.tokenRequests"),
        Column::of("RequiresRepublish", "boolean", "spec.requiresRepublish"),
        Column::of("Modes", "string", "spec.volumeLifecycleModes"),
        AGE,
    ],
    cells: |object, now| {
        let flag = |path, otherwise| Json::from(object.flag(path).unwrap_or(otherwise));
        let requests = if object.present("spec.tokenRequests") {
            let audiences: Vec<&str> = object
                .items("spec.tokenRequests")
                .map(|request| request.text("audience"))
                .collect();
            audiences.join(",")
        } else {
            "<unset>".to_owned()
        };
        let modes = match object.texts("spec.volumeLifecycleModes") {
            modes if modes.is_empty() => "<none>".to_owned(),
            modes => modes.join(","),
        };
        vec![
            object.name(),
            flag("spec.attachRequired", true),
            flag("spec.podInfoOnMount", false),
            flag("spec.storageCapacity", false),
            requests.into(),
            flag("spec.requiresRepublish", false),
            modes.into(),
            object.age(now),
        ]
    },
};

static CAPACITIES: Printer = Printer {
    columns: &[
        NAME,
        Column::of("StorageClassName", "string", "storageClassName"),
        Column::of("Capacity", "string", "capacity"),
    ],
    cells: |object, _| {
        let capacity = object
            .scalar("capacity")
            .unwrap_or_else(|| "<unset>".to_owned());
        vec![
            object.name(),
            object.text("storageClassName").into(),
            capacity.into(),
        ]
    },
};
