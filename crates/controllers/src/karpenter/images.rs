//! Machine images. The embedded AWS has none, so they are made up as EKS names them: an ID is drawn from the name, and a name from
//! the family, the variant, the architecture, the cluster's version and the release. `latest` is one release and stays it.

use k8s_openapi::api::core::v1::NodeSelectorRequirement;
use objects::ec2nodeclass::{Ami, Ec2NodeClass};

use crate::draw::digest;

/// The release that `@latest` stands for.
const LATEST_AL2023: &str = "v20251120";
/// The same of Bottlerocket.
const LATEST_BOTTLEROCKET: &str = "1.51.0";
/// The version of Kubernetes that is served.
const KUBERNETES: &str = "1.33";

const GPUS: &str = "karpenter.k8s.aws/instance-gpu-count";
const ACCELERATORS: &str = "karpenter.k8s.aws/instance-accelerator-count";

/// A family of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Al2023,
    Bottlerocket,
    /// Whatever the user's own images are.
    Other,
}

impl Family {
    /// That of a class: by its alias, else by `amiFamily`.
    pub(super) fn of(class: &Ec2NodeClass) -> Option<Self> {
        let alias = class.spec.ami_selector_terms.iter();
        let alias = alias
            .filter_map(|term| term.alias.as_deref())
            .next()
            .map(|alias| alias.split('@').next().unwrap_or(alias));
        let text = alias.or(class.spec.ami_family.as_deref())?;
        Some(match text.to_ascii_lowercase().as_str() {
            "al2023" => Self::Al2023,
            "bottlerocket" => Self::Bottlerocket,
            _ => Self::Other,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Al2023 => "AL2023",
            Self::Bottlerocket => "Bottlerocket",
            Self::Other => "Custom",
        }
    }
}

fn id(name: &str) -> String {
    format!("ami-{}", &digest(&["image", name])[..17])
}

fn needs(key: &str, operator: &str, values: &[&str]) -> NodeSelectorRequirement {
    NodeSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: (!values.is_empty())
            .then(|| values.iter().map(|value| (*value).to_owned()).collect()),
    }
}

/// What a variant runs on (`pkg/providers/amifamily/types.go` `Variant.Requirements`), the shorter keys first.
fn requirements(arch: &str, gpu: bool, accelerator: bool) -> Vec<NodeSelectorRequirement> {
    let there = |yes: bool| if yes { "Exists" } else { "DoesNotExist" };
    let mut all = vec![needs("kubernetes.io/arch", "In", &[arch])];
    if !accelerator {
        all.push(needs(GPUS, there(gpu), &[]));
    }
    if !gpu {
        all.push(needs(ACCELERATORS, there(accelerator), &[]));
    }
    all
}

fn image(name: String, requirements: Vec<NodeSelectorRequirement>) -> Ami {
    Ami {
        id: id(&name),
        name: Some(name),
        deprecated: false,
        requirements,
    }
}

fn of_alias(alias: &str) -> Vec<Ami> {
    let (family, version) = alias.split_once('@').unwrap_or((alias, "latest"));
    let mut all = Vec::new();
    match family {
        "al2023" => {
            let release = if version == "latest" {
                LATEST_AL2023
            } else {
                version
            };
            for (text, arch) in [("x86_64", "amd64"), ("arm64", "arm64")] {
                for (variant, gpu, accelerator) in [
                    ("standard", false, false),
                    ("nvidia", true, false),
                    ("neuron", false, true),
                ] {
                    if variant == "neuron" && arch == "arm64" {
                        continue;
                    }
                    all.push(image(
                        format!("amazon-eks-node-al2023-{text}-{variant}-{KUBERNETES}-{release}"),
                        requirements(arch, gpu, accelerator),
                    ));
                }
            }
        }
        "bottlerocket" => {
            let release = if version == "latest" {
                LATEST_BOTTLEROCKET
            } else {
                version.trim_start_matches('v')
            };
            for (text, arch) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
                for (variant, gpu) in [("", false), ("-nvidia", true)] {
                    all.push(image(
                        format!("bottlerocket-aws-k8s-{KUBERNETES}{variant}-{text}-v{release}"),
                        requirements(arch, gpu, false),
                    ));
                }
            }
        }
        _ => {}
    }
    all
}

/// The images that a class selects. Those given by ID, by name or by a parameter are taken to exist and to run on everything;
/// nothing has tags.
pub(super) fn selected(class: &Ec2NodeClass) -> Vec<Ami> {
    let mut all: Vec<Ami> = Vec::new();
    for term in &class.spec.ami_selector_terms {
        let found = if let Some(alias) = &term.alias {
            of_alias(alias)
        } else if let Some(id) = &term.id {
            vec![Ami {
                id: id.clone(),
                name: Some(id.clone()),
                ..Ami::default()
            }]
        } else if let Some(name) = term.name.as_ref().or(term.ssm_parameter.as_ref()) {
            vec![image(name.clone(), Vec::new())]
        } else {
            Vec::new()
        };
        for image in found {
            if all.iter().all(|other| other.id != image.id) {
                all.push(image);
            }
        }
    }
    all
}

/// Whether an image runs on a type, by the type's labels.
pub(super) fn suits<'a>(image: &Ami, label: impl Fn(&str) -> Option<&'a str>) -> bool {
    image.requirements.iter().all(|requirement| {
        let value = label(&requirement.key);
        match requirement.operator.as_str() {
            "In" => value.is_some_and(|value| {
                requirement
                    .values
                    .iter()
                    .flatten()
                    .any(|other| other == value)
            }),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => true,
        }
    })
}
