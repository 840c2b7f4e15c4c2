//! EC2's instance types: what each has, what it costs, how many pods it takes and what a kubelet leaves of it for them.
//!
//! The table in the binary is [`table`]; one that was fetched later is read by [`Table::parse`] and has the same form.
//! It says of every type what EC2 says (vCPUs, memory, network cards), and its on-demand price in one region, `us-east-1`.
//! What follows from these is computed: [`InstanceType::max_pods`], [`InstanceType::node_size`],
//! [`InstanceType::labels`]. The zones that have a type, and its spot prices, are not public facts: callers bring them, or
//! [`Offerings`] that were fetched.
//!
//! Not in the table: GPUs of more than one kind in one machine, Windows nodes, and the labels in [`label::UNKNOWN`].

mod capacity;
pub mod label;
mod name;
mod offerings;
mod price;
mod sheet;
mod table;

pub use capacity::{
    AmiFamily, EvictionHard, NodeSettings, NodeSize, PodLimits, Reservation, Resources, Threshold,
};
pub use name::{InstanceTypeName, InvalidInstanceTypeName};
pub use offerings::{CapacityType, Offering, Offerings};
pub use price::{HourlyPrice, InvalidPrice, InvalidSpotRatio, Price, SPOT_RATIO, SpotRatio};
pub use sheet::{Problem, TableError};
pub use table::{Table, all, by_name, table};

/// An EC2 instance type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Its name (`m5.large`).
    pub name: InstanceTypeName,
    /// The architecture of its processors.
    pub architecture: Architecture,
    /// Who makes them.
    pub cpu_manufacturer: CpuManufacturer,
    /// What stands between the machine and the instance.
    pub hypervisor: Hypervisor,
    /// Virtual processors that it has by default.
    pub vcpu: u32,
    /// Memory in MiB, before anything is taken off.
    pub memory_mib: u32,
    /// Sustained clock speed in MHz; 0 where EC2 gives none, and Karpenter's label says 0 then too.
    pub clock_mhz: u32,
    /// Network bandwidth that it always has, in Mbit/s. `None`: AWS gives none in numbers ("Low", "Moderate").
    pub network_mbps: Option<u32>,
    /// Greatest bandwidth to EBS in Mbit/s. `None`: it is not EBS-optimised by default.
    pub ebs_mbps: Option<u32>,
    /// Size of all local NVMe disks in GB (10⁹ bytes). `None`: it has none, or older disks that are not NVMe.
    pub local_nvme_gb: Option<u32>,
    /// Network interfaces that it takes, over all its network cards. `None`: AWS's lists do not have the type.
    pub max_enis: Option<u32>,
    /// Network interfaces of its default network card: the ones that carry pods.
    pub pod_enis: u32,
    /// IPv4 addresses of an interface; the first one is its own.
    pub ipv4_per_eni: u32,
    /// Branch interfaces, for pods with security groups of their own.
    pub branch_enis: u32,
    /// Elastic Fabric Adapters that it takes.
    pub efas: u32,
    /// Whether it encrypts traffic between instances by itself.
    pub encryption_in_transit: bool,
    /// Its GPUs.
    pub gpu: Option<Gpu>,
    /// Its accelerators that are no GPUs.
    pub accelerator: Option<Accelerator>,
    /// US dollars an hour on demand with Linux, in the table's region. `None`: it is not sold there, or has no listed price.
    pub on_demand: Option<HourlyPrice>,
}

/// Architecture of processors, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// `x86_64` in EC2's words.
    Amd64,
    /// `arm64` in EC2's words too.
    Arm64,
}

impl Architecture {
    /// The value of `kubernetes.io/arch`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// Makers of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CpuManufacturer {
    /// AWS: the Gravitons.
    Aws,
    /// AMD.
    Amd,
    /// Intel.
    Intel,
}

impl CpuManufacturer {
    /// The value of [`label::CPU_MANUFACTURER`].
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Amd => "amd",
            Self::Intel => "intel",
        }
    }
}

/// What stands between machine and instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hypervisor {
    /// AWS's own.
    Nitro,
    /// That of the older types.
    Xen,
    /// Nothing: bare metal, on a machine of the Nitro system.
    BareMetal,
}

impl Hypervisor {
    /// The value of [`label::HYPERVISOR`]: empty for bare metal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nitro => "nitro",
            Self::Xen => "xen",
            Self::BareMetal => "",
        }
    }
}

/// The GPUs of an instance type, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// `nvidia` or `amd`.
    pub manufacturer: Box<str>,
    /// As Karpenter spells it (`a10g`, `rtx-pro-4500`).
    pub name: Box<str>,
    /// How many whole ones; 0 where the type has a part of one.
    pub count: u32,
    /// Memory of one, or of the part, in MiB.
    pub memory_mib: u32,
}

/// The accelerators of an instance type that are no GPUs, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator {
    /// `aws` or `qualcomm`.
    pub manufacturer: Box<str>,
    /// As Karpenter spells it (`inferentia2`, `trainium`).
    pub name: Box<str>,
    /// How many.
    pub count: u32,
    /// Neuron cores of all together; 0 for other makers than AWS.
    pub neuron_cores: u32,
}

impl InstanceType {
    /// Its name (`m5.large`).
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// The part before the dot (`c6gd`, `u-6tb1`).
    #[must_use]
    pub fn family(&self) -> &str {
        self.name.family()
    }

    /// The part after the dot (`2xlarge`, `metal-48xl`).
    #[must_use]
    pub fn size(&self) -> &str {
        self.name.size()
    }

    /// The letters that the name starts with (`c` of `c6gd.large`, `u` of `u-6tb1.56xlarge`). `None`: the name has no generation.
    #[must_use]
    pub fn category(&self) -> Option<&str> {
        self.scheme().map(|(category, _)| category)
    }

    /// The number after the category (`6` of `c6gd.large`, `1` of `u-6tb1.56xlarge`).
    #[must_use]
    pub fn generation(&self) -> Option<&str> {
        self.scheme().map(|(_, generation)| generation)
    }

    /// Category and generation by Karpenter's rule: letters, then perhaps a size of memory as in `-6tb`, then digits
    /// (karpenter-provider-aws, `pkg/providers/instancetype/types.go`, `instanceTypeScheme`).
    fn scheme(&self) -> Option<(&str, &str)> {
        let (category, rest) = leading(self.family(), |byte| byte.is_ascii_lowercase())?;
        let rest = match rest.strip_prefix('-') {
            Some(memory) => leading(memory, |byte| byte.is_ascii_digit())?
                .1
                .strip_prefix("tb")?,
            None => rest,
        };
        let (generation, _) = leading(rest, |byte| byte.is_ascii_digit())?;
        Some((category, generation))
    }

    /// Whether it is a `-flex` type: full speed of its processors most of the time, not always.
    #[must_use]
    pub fn is_flex(&self) -> bool {
        self.family().contains("-flex")
    }

    /// Whether it is a whole machine without hypervisor.
    #[must_use]
    pub fn is_bare_metal(&self) -> bool {
        self.hypervisor == Hypervisor::BareMetal
    }

    /// Whether the VPC CNI can give its interfaces `/28` prefixes: those of the Nitro system, bare metal included
    /// (amazon-vpc-cni-k8s, `pkg/awsutils/awsutils.go`, `IsPrefixDelegationSupported`).
    #[must_use]
    pub fn supports_prefix_delegation(&self) -> bool {
        self.hypervisor != Hypervisor::Xen
    }

    /// Whether Karpenter launches it only when nothing else would do: bare metal, GPUs, Neuron devices
    /// (karpenter-provider-aws, `pkg/providers/instance/filter/filter.go`, `exoticInstanceFilter`). A part of a GPU, and an
    /// accelerator of a maker without a Kubernetes resource in Karpenter, do not count.
    #[must_use]
    pub fn is_exotic(&self) -> bool {
        self.size().contains("metal")
            || self.gpu.as_ref().is_some_and(|gpu| gpu.count > 0)
            || self.neuron_devices() > 0
    }

    /// AWS's own accelerators: `aws.amazon.com/neuron`.
    fn neuron_devices(&self) -> u32 {
        self.accelerator
            .as_ref()
            .filter(|accelerator| &*accelerator.manufacturer == "aws")
            .map_or(0, |accelerator| accelerator.count)
    }
}

/// The longest start of `text` whose bytes are `wanted`, and the rest; `None` if it is empty.
fn leading(text: &str, wanted: impl Fn(u8) -> bool) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .position(|byte| !wanted(byte))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_parts() {
        let parts = |name| {
            let of = by_name(name).unwrap();
            (
                of.category().unwrap(),
                of.family(),
                of.generation().unwrap(),
                of.size(),
            )
        };
        assert_eq!(parts("m5.large"), ("m", "m5", "5", "large"));
        assert_eq!(
            parts("u-6tb1.56xlarge"),
            ("u", "u-6tb1", "1", "56xlarge"),
            "the size of its memory is not its generation"
        );
        assert_eq!(
            parts("u7i-12tb.224xlarge"),
            ("u", "u7i-12tb", "7", "224xlarge")
        );
        assert_eq!(parts("p6-b200.48xlarge"), ("p", "p6-b200", "6", "48xlarge"));
        assert_eq!(
            parts("x2idn.metal"),
            ("x", "x2idn", "2", "metal"),
            "letters after the generation are no category"
        );
        assert!(by_name("m7i-flex.large").unwrap().is_flex());
        assert!(
            all()
                .iter()
                .all(|of| of.category().is_some() && of.generation().is_some())
        );
    }

    #[test]
    fn metal_is_what_has_no_hypervisor() {
        for of in all() {
            assert_eq!(
                of.is_bare_metal(),
                of.size().contains("metal"),
                "{}",
                of.name
            );
        }
        let metal = by_name("m5.metal").unwrap();
        assert!(metal.is_bare_metal() && metal.supports_prefix_delegation());
        assert!(!by_name("t2.micro").unwrap().supports_prefix_delegation());
        assert!(by_name("t3.micro").unwrap().supports_prefix_delegation());
    }

    #[test]
    fn a_family_has_one_answer_to_prefixes() {
        let mut families = std::collections::BTreeMap::new();
        for of in all() {
            let known = families
                .entry(of.family())
                .or_insert(of.supports_prefix_delegation());
            assert_eq!(*known, of.supports_prefix_delegation(), "{}", of.name);
        }
        assert_eq!(families.len(), 177);
        let xen: Vec<&str> = families
            .iter()
            .filter(|(_, supports)| !**supports)
            .map(|(family, _)| *family)
            .collect();
        assert!(
            ["c3", "c4", "m4", "r4", "t2"]
                .iter()
                .all(|family| xen.contains(family)),
            "{xen:?}"
        );
    }

    #[test]
    fn gpus_and_accelerators() {
        let gpu = by_name("g5.12xlarge").unwrap().gpu.clone().unwrap();
        assert_eq!((&*gpu.name, gpu.count, gpu.memory_mib), ("a10g", 4, 22888));
        let neuron = by_name("trn2.48xlarge")
            .unwrap()
            .accelerator
            .clone()
            .unwrap();
        assert_eq!(
            (&*neuron.name, neuron.count, neuron.neuron_cores),
            ("trainium2", 16, 128)
        );
        let exotic = |name| by_name(name).unwrap().is_exotic();
        assert!(exotic("g5.xlarge") && exotic("inf2.xlarge") && exotic("c7g.metal"));
        assert!(!exotic("m5.large"));
        assert!(
            !exotic("g6f.large"),
            "an eighth of a GPU is no nvidia.com/gpu"
        );
        assert!(
            !exotic("dl2q.24xlarge"),
            "Karpenter knows no resource of Qualcomm's"
        );
    }
}
