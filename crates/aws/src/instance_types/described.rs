//! What EC2 says that a type has, in the product's own terms.
//!
//! The rules are Karpenter's for AWS (karpenter-provider-aws 1.14, `pkg/providers/instancetype/types.go`,
//! `computeRequirements` and `computeCapacity`; `pkg/providers/instancetype/instancetype.go`, `UpdateInstanceTypes`), so that
//! a table that is fetched and the one in the binary say the same of the same type.

use catalog::instance_types::{
    Accelerator, Architecture, CpuManufacturer, Gpu, Hypervisor, InstanceType, by_name,
};
use roxmltree::Node;

use super::FetchError;
use super::calls::{Action, Caller};
use crate::signed::AnyNamespace;

/// A type that EC2 has and a table can't hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its name, as EC2 gives it.
    pub name: String,
    /// Why it is left out.
    pub reason: String,
}

/// A type, and how it is sold.
#[derive(Debug)]
pub(super) struct Described {
    /// The type, without a price.
    pub(super) of: InstanceType,
    /// Whether it is sold by the hour.
    pub(super) on_demand: bool,
    /// Whether it is sold on the spot market.
    pub(super) spot: bool,
    /// Whether the table in the binary does not have it.
    pub(super) is_newer: bool,
}

/// The region's types.
pub(super) struct Types {
    pub(super) described: Vec<Described>,
    pub(super) left_out: Vec<LeftOut>,
}

/// Asks EC2 for all types of the region.
pub(super) async fn all(caller: &Caller<'_>) -> Result<Types, FetchError> {
    let action = Action::DescribeInstanceTypes;
    let (mut described, mut left_out) = (Vec::new(), Vec::new());
    // 100 is the most that it takes (EC2 API reference).
    caller
        .ec2(
            action,
            &[("MaxResults", "100")],
            "instanceTypeSet",
            |item| {
                let name = text(item, &["instanceType"]).ok_or("an item has no instanceType")?;
                match read(item, name) {
                    Ok(one) => described.push(one),
                    Err(reason) => left_out.push(LeftOut {
                        name: name.to_owned(),
                        reason,
                    }),
                }
                Ok(())
            },
        )
        .await?;
    if described.is_empty() {
        return Err(FetchError::Nothing {
            action,
            region: caller.region().clone(),
        });
    }
    described.sort_by(|left, right| left.of.name.cmp(&right.of.name));
    left_out.sort();
    Ok(Types {
        described,
        left_out,
    })
}

/// A type, or the reason why a table can't hold it.
fn read(item: Node<'_, '_>, name: &str) -> Result<Described, String> {
    let known = by_name(name);
    let missing = |what: &str| format!("EC2 does not say its {what}");
    // What runs on paravirtual machines only takes none of today's images.
    let virtualization: Vec<&str> = texts(item, "supportedVirtualizationTypes").collect();
    if !virtualization.is_empty() && !virtualization.contains(&"hvm") {
        return Err(format!("it is {} only", virtualization.join(", ")));
    }
    let processor = child(item, &["processorInfo"]).ok_or_else(|| missing("processors"))?;
    let architectures: Vec<&str> = texts(processor, "supportedArchitectures").collect();
    let architecture = architectures.iter().find_map(|name| match *name {
        "x86_64" => Some(Architecture::Amd64),
        "arm64" => Some(Architecture::Arm64),
        _ => None,
    });
    let manufacturer = text(processor, &["manufacturer"]);
    let cpu_manufacturer = match manufacturer.map(str::to_lowercase).as_deref() {
        Some("aws") => Ok(CpuManufacturer::Aws),
        Some("amd") => Ok(CpuManufacturer::Amd),
        Some("intel") => Ok(CpuManufacturer::Intel),
        Some(other) => Err(format!("its processors are made by {other}")),
        None => known
            .map(|known| known.cpu_manufacturer)
            .ok_or_else(|| missing("processors' maker")),
    };
    let hypervisor = match text(item, &["hypervisor"]) {
        Some("nitro") => Ok(Hypervisor::Nitro),
        Some("xen") => Ok(Hypervisor::Xen),
        Some(other) => Err(format!("its hypervisor is {other}")),
        None if text(item, &["bareMetal"]) == Some("true") => Ok(Hypervisor::BareMetal),
        None => known
            .map(|known| known.hypervisor)
            .ok_or_else(|| missing("hypervisor")),
    };
    let network = child(item, &["networkInfo"]).ok_or_else(|| missing("network"))?;
    let usage: Vec<&str> = texts(item, "supportedUsageClasses").collect();
    let sold = |class| usage.is_empty() || usage.contains(&class);
    let of = InstanceType {
        name: name.parse().map_err(|error| format!("{error}"))?,
        architecture: architecture
            .ok_or_else(|| format!("its architecture is {}", architectures.join(", ")))?,
        cpu_manufacturer: cpu_manufacturer?,
        hypervisor: hypervisor?,
        vcpu: number(item, &["vCpuInfo", "defaultVCpus"]).ok_or_else(|| missing("vCPUs"))?,
        memory_mib: number(item, &["memoryInfo", "sizeInMiB"]).ok_or_else(|| missing("memory"))?,
        clock_mhz: text(processor, &["sustainedClockSpeedInGhz"])
            .and_then(thousandths)
            .unwrap_or(0),
        network_mbps: match known {
            Some(known) => known.network_mbps,
            None => network_mbps(network),
        },
        ebs_mbps: number(
            item,
            &["ebsInfo", "ebsOptimizedInfo", "maximumBandwidthInMbps"],
        )
        .filter(|_| text(item, &["ebsInfo", "ebsOptimizedSupport"]) == Some("default")),
        local_nvme_gb: number(item, &["instanceStorageInfo", "totalSizeInGB"])
            .filter(|_| text(item, &["instanceStorageInfo", "nvmeSupport"]) != Some("unsupported")),
        max_enis: number(network, &["maximumNetworkInterfaces"]),
        pod_enis: pod_enis(network)
            .or(known.map(|known| known.pod_enis))
            .ok_or_else(|| missing("default network card's interfaces"))?,
        ipv4_per_eni: number(network, &["ipv4AddressesPerInterface"])
            .or(known.map(|known| known.ipv4_per_eni))
            .ok_or_else(|| missing("interfaces' addresses"))?,
        branch_enis: known.map_or(0, |known| known.branch_enis),
        efas: number(network, &["efaInfo", "maximumEfaInterfaces"]).unwrap_or(0),
        encryption_in_transit: text(network, &["encryptionInTransitSupported"]) == Some("true"),
        gpu: gpu(item)?,
        accelerator: accelerator(item)?,
        on_demand: None,
    };
    Ok(Described {
        of: of.checked().map_err(|problem| problem.to_string())?,
        on_demand: sold("on-demand"),
        spot: sold("spot"),
        is_newer: known.is_none(),
    })
}

/// The interfaces of the default network card: the ones that carry pods.
fn pod_enis(network: Node<'_, '_>) -> Option<u32> {
    let default = number(network, &["defaultNetworkCardIndex"]).unwrap_or(0);
    let mut cards = items(network, "networkCards").peekable();
    if cards.peek().is_none() && number(network, &["maximumNetworkCards"]).unwrap_or(1) == 1 {
        return number(network, &["maximumNetworkInterfaces"]);
    }
    let card = cards.find(|card| number(*card, &["networkCardIndex"]) == Some(default))?;
    number(card, &["maximumNetworkInterfaces"])
}

/// The bandwidth that a type always has, for one that Karpenter's table does not have yet.
///
/// `25 Gigabit` and `4x 100 Gigabit` are the bandwidth itself; for `Up to 10 Gigabit` it is the sum of the cards' baselines;
/// `Low`, `Moderate` and `High` are no numbers. Of the 1,358 types that both moto 5.2.5 and the table in the binary have, the
/// rule gives the table's number for 1,348 (a test counts them).
fn network_mbps(network: Node<'_, '_>) -> Option<u32> {
    let words = text(network, &["networkPerformance"])?;
    if words.starts_with("Up to ") {
        let baselines = items(network, "networkCards")
            .filter_map(|card| text(card, &["baselineBandwidthInGbps"]).and_then(thousandths));
        return Some(baselines.sum()).filter(|sum| *sum > 0);
    }
    let (times, each) = words.split_once("x ").unwrap_or(("1", words));
    let each = each.strip_suffix(" Gigabit").and_then(thousandths)?;
    each.checked_mul(times.parse().ok()?)
}

/// Its GPUs. Karpenter labels those of one kind only, and a table has no place for more.
fn gpu(item: Node<'_, '_>) -> Result<Option<Gpu>, String> {
    let mut gpus = child(item, &["gpuInfo"])
        .into_iter()
        .flat_map(|info| items(info, "gpus"));
    let (Some(gpu), more) = (gpus.next(), gpus.next()) else {
        return Ok(None);
    };
    if more.is_some() {
        return Err("it has GPUs of more than one kind".to_owned());
    }
    let read = || {
        Some(Gpu {
            manufacturer: kebab(text(gpu, &["manufacturer"])?),
            name: kebab(text(gpu, &["name"])?),
            count: number(gpu, &["count"])?,
            memory_mib: number(gpu, &["memoryInfo", "sizeInMiB"])?,
        })
    };
    read()
        .map(Some)
        .ok_or_else(|| "EC2 does not say what its GPUs are".to_owned())
}

/// Its accelerators: AWS's own by `neuronInfo`, others' by `inferenceAcceleratorInfo`, which has AWS's too.
fn accelerator(item: Node<'_, '_>) -> Result<Option<Accelerator>, String> {
    let neuron = child(item, &["neuronInfo"]);
    let info = neuron.or_else(|| child(item, &["inferenceAcceleratorInfo"]));
    let set = if neuron.is_some() {
        "neuronDevices"
    } else {
        "accelerators"
    };
    let mut devices = info.into_iter().flat_map(|info| items(info, set));
    let (Some(device), more) = (devices.next(), devices.next()) else {
        return Ok(None);
    };
    if more.is_some() {
        return Err("it has accelerators of more than one kind".to_owned());
    }
    let read = || {
        let count = number(device, &["count"])?;
        let (manufacturer, neuron_cores) = if neuron.is_some() {
            let each = number(device, &["coreInfo", "count"])?;
            ("aws", count.checked_mul(each)?)
        } else {
            (text(device, &["manufacturer"])?, 0)
        };
        Some(Accelerator {
            manufacturer: kebab(manufacturer),
            name: kebab(text(device, &["name"])?),
            count,
            neuron_cores,
        })
    };
    read()
        .map(Some)
        .ok_or_else(|| "EC2 does not say what its accelerators are".to_owned())
}

/// A name as Karpenter puts it into a label: `RTX PRO 4500` is `rtx-pro-4500`.
fn kebab(name: &str) -> Box<str> {
    name.to_lowercase().replace(' ', "-").into()
}

/// A decimal number, times 1,000 and rounded.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn thousandths(text: &str) -> Option<u32> {
    let number = (text.parse::<f64>().ok()? * 1_000.0).round();
    (0.0..=f64::from(u32::MAX))
        .contains(&number)
        .then_some(number as u32)
}

fn child<'a, 'i>(node: Node<'a, 'i>, path: &[&str]) -> Option<Node<'a, 'i>> {
    path.iter().try_fold(node, |node, name| {
        node.children()
            .find(|child| child.has_tag_name_in_any_namespace(name))
    })
}

/// The text at a path; none if it is empty.
pub(super) fn text<'a>(node: Node<'a, '_>, path: &[&str]) -> Option<&'a str> {
    let found = child(node, path)?.text()?.trim();
    (!found.is_empty()).then_some(found)
}

fn number(node: Node<'_, '_>, path: &[&str]) -> Option<u32> {
    text(node, path)?.parse().ok()
}

/// The elements of a list, whatever they are called.
fn items<'a, 'i>(node: Node<'a, 'i>, list: &str) -> impl Iterator<Item = Node<'a, 'i>> {
    child(node, &[list])
        .into_iter()
        .flat_map(|list| list.children())
        .filter(Node::is_element)
}

fn texts<'a>(node: Node<'a, '_>, list: &str) -> impl Iterator<Item = &'a str> {
    items(node, list).filter_map(|item| Some(item.text()?.trim()))
}
