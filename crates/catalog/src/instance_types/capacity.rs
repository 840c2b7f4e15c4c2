//! What a node of an instance type has, and what is left of it for pods.
//!
//! The rules are Karpenter's for AWS (karpenter-provider-aws 1.14, `pkg/providers/instancetype/types.go`: `computeCapacity`,
//! `ENILimitedPods`, `pods`, `kubeReservedResources`, `evictionThreshold`), which follow the kubelet configuration that AWS's
//! machine images write (awslabs/amazon-eks-ami). A test checks them against what Karpenter itself publishes for all types.

use super::InstanceType;

const KIB: i64 = 1 << 10;
const MIB: i64 = KIB << 10;
const GIB: i64 = MIB << 10;

/// Pods that have no address of their own from the VPC CNI: the CNI itself and kube-proxy use the host's network.
const HOST_NETWORK_PODS: u64 = 2;
/// Addresses of a `/28` prefix.
const ADDRESSES_PER_PREFIX: u64 = 16;
/// AWS recommends no more pods with prefixes: this many up to 30 vCPUs…
const PREFIX_PODS_SMALL: u64 = 110;
/// …and this many above (awslabs/amazon-eks-ami, `templates/al2/runtime/max-pods-calculator.sh`).
const PREFIX_PODS_LARGE: u64 = 250;
/// The last number of vCPUs that counts as small.
const SMALL_VCPUS: u32 = 30;

/// Memory that Linux keeps for contiguous allocation on Gravitons, out of reach for pods.
const ARM_RESERVED_MIB: i64 = 64;

/// What decides how many pods a node takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodLimits {
    /// Interfaces that carry no pods: 1 with the VPC CNI's custom networking (Karpenter's `RESERVED_ENIS`).
    pub reserved_enis: u32,
    /// Whether the VPC CNI assigns `/28` prefixes (`ENABLE_PREFIX_DELEGATION`), on types that can. Karpenter does not know
    /// of it: it counts single addresses, unless the node class sets `maxPods`.
    pub prefix_delegation: bool,
    /// The kubelet's `maxPods`: takes the place of what the interfaces allow, also when that is less.
    pub max_pods: Option<u32>,
    /// The kubelet's `podsPerCore`: at most so many for each vCPU, whatever the other limits say. 0 is no limit.
    pub pods_per_core: Option<u32>,
}

/// The machine images that Karpenter treats differently here. Windows is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AmiFamily {
    /// Amazon Linux 2023 (and Amazon Linux 2 and custom images, which count the same).
    #[default]
    Al2023,
    /// Bottlerocket reserves memory for the pods that the node takes, not for those that its interfaces would, and
    /// does not know `podsPerCore`.
    Bottlerocket,
}

/// Amounts of a node. Signed: reservations can be larger than the node, and then nothing fits on it, not even a pod that
/// asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resources {
    /// Thousandths of a vCPU.
    pub cpu_milli: i64,
    /// Memory in bytes.
    pub memory_bytes: i64,
    /// Room for images, logs and `emptyDir`s in bytes.
    pub ephemeral_storage_bytes: i64,
    /// Pods.
    pub pods: i64,
}

impl Resources {
    fn combine(self, other: Self, with: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            cpu_milli: with(self.cpu_milli, other.cpu_milli),
            memory_bytes: with(self.memory_bytes, other.memory_bytes),
            ephemeral_storage_bytes: with(
                self.ephemeral_storage_bytes,
                other.ephemeral_storage_bytes,
            ),
            pods: with(self.pods, other.pods),
        }
    }
}

/// Amounts that the user reserves with the kubelet's `kubeReserved` or `systemReserved`. What is `None` stays as it is without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reservation {
    /// Thousandths of a vCPU.
    pub cpu_milli: Option<i64>,
    /// Bytes.
    pub memory_bytes: Option<i64>,
    /// Bytes.
    pub ephemeral_storage_bytes: Option<i64>,
}

impl Reservation {
    fn over(self, default: Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli.unwrap_or(default.cpu_milli),
            memory_bytes: self.memory_bytes.unwrap_or(default.memory_bytes),
            ephemeral_storage_bytes: self
                .ephemeral_storage_bytes
                .unwrap_or(default.ephemeral_storage_bytes),
            pods: default.pods,
        }
    }
}

/// How much has to stay free before the kubelet evicts pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// So many bytes.
    Bytes(i64),
    /// So many hundredths of the capacity. 100 turns the threshold off.
    Percent(f64),
}

impl Threshold {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn of(self, capacity: i64) -> i64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(100.0) => 0,
            Self::Percent(percent) => (capacity as f64 / 100.0 * percent).ceil() as i64,
        }
    }
}

/// The kubelet's `evictionHard`. What is `None` has the default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct EvictionHard {
    /// `memory.available`, 100 MiB by default.
    pub memory_available: Option<Threshold>,
    /// `nodefs.available`, 10 % by default.
    pub nodefs_available: Option<Threshold>,
}

/// How a node of the instance type is set up. The default is Karpenter's on AL2023 without any configuration of the kubelet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeSettings {
    /// The machine image.
    pub ami_family: AmiFamily,
    /// What limits its pods.
    pub pods: PodLimits,
    /// The kubelet's `kubeReserved`.
    pub kube_reserved: Reservation,
    /// The kubelet's `systemReserved`; nothing by default.
    pub system_reserved: Reservation,
    /// The kubelet's `evictionHard`.
    pub eviction_hard: EvictionHard,
    /// The share of memory that the hypervisor and the kernel are taken to need, before a node has shown what it has:
    /// Karpenter's `VM_MEMORY_OVERHEAD_PERCENT`, 0.075 by default.
    pub vm_memory_overhead: f64,
    /// Size of the volume for ephemeral storage; 20 GiB by default.
    pub root_volume_bytes: i64,
    /// Whether local NVMe disks are joined for ephemeral storage (`instanceStorePolicy: RAID0`), on types that have some.
    pub local_disks_as_raid0: bool,
}

impl Default for NodeSettings {
    fn default() -> Self {
        Self {
            ami_family: AmiFamily::default(),
            pods: PodLimits::default(),
            kube_reserved: Reservation::default(),
            system_reserved: Reservation::default(),
            eviction_hard: EvictionHard::default(),
            vm_memory_overhead: 0.075,
            root_volume_bytes: 20 * GIB,
            local_disks_as_raid0: false,
        }
    }
}

/// What a node has and what is taken off it.
///
/// Once a node of the type has registered, Karpenter puts the memory that it reports in the place of
/// `capacity.memory_bytes` and leaves the rest; whoever has seen a node does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeSize {
    /// What the kubelet reports as capacity.
    pub capacity: Resources,
    /// For the kubelet and the container runtime.
    pub kube_reserved: Resources,
    /// For the system's other daemons.
    pub system_reserved: Resources,
    /// What has to stay free lest pods are evicted.
    pub eviction_threshold: Resources,
}

impl NodeSize {
    /// All that is taken off the capacity.
    #[must_use]
    pub fn overhead(&self) -> Resources {
        let add = i64::saturating_add;
        self.kube_reserved
            .combine(self.system_reserved, add)
            .combine(self.eviction_threshold, add)
    }

    /// What is left for pods, daemon sets' included.
    #[must_use]
    pub fn allocatable(&self) -> Resources {
        self.capacity.combine(self.overhead(), i64::saturating_sub)
    }
}

impl InstanceType {
    /// How many pods a node of this type takes.
    ///
    /// Every address of the interfaces on the default network card serves a pod, except each interface's own; two more pods
    /// use the host's network. With prefixes an address is sixteen, but AWS recommends no more than 110 pods, or 250 on more
    /// than 30 vCPUs, and that is the answer then.
    #[must_use]
    pub fn max_pods(&self, limits: &PodLimits) -> u32 {
        let wanted = limits.max_pods.unwrap_or_else(|| self.pods_of_enis(limits));
        match limits.pods_per_core {
            None | Some(0) => wanted,
            Some(per_core) => wanted.min(per_core.saturating_mul(self.vcpu)),
        }
    }

    fn pods_of_enis(&self, limits: &PodLimits) -> u32 {
        let enis = u64::from(self.pod_enis.saturating_sub(limits.reserved_enis));
        if enis == 0 {
            return 0;
        }
        let addresses = enis * u64::from(self.ipv4_per_eni.saturating_sub(1));
        let pods = if limits.prefix_delegation && self.supports_prefix_delegation() {
            let most = if self.vcpu > SMALL_VCPUS {
                PREFIX_PODS_LARGE
            } else {
                PREFIX_PODS_SMALL
            };
            most.min(addresses.saturating_mul(ADDRESSES_PER_PREFIX) + HOST_NETWORK_PODS)
        } else {
            addresses + HOST_NETWORK_PODS
        };
        u32::try_from(pods).unwrap_or(u32::MAX)
    }

    /// What a node of this type has, and what is taken off it.
    #[must_use]
    pub fn node_size(&self, settings: &NodeSettings) -> NodeSize {
        let mut limits = settings.pods;
        if settings.ami_family == AmiFamily::Bottlerocket {
            limits.pods_per_core = None;
        }
        let pods = self.max_pods(&limits);
        let capacity = Resources {
            cpu_milli: i64::from(self.vcpu) * 1000,
            memory_bytes: self.memory_for_node(settings.vm_memory_overhead),
            ephemeral_storage_bytes: self
                .local_nvme_gb
                .filter(|_| settings.local_disks_as_raid0)
                .map_or(settings.root_volume_bytes, |gb| {
                    i64::from(gb) * 1_000_000_000
                }),
            pods: i64::from(pods),
        };
        let reserving_pods = match settings.ami_family {
            AmiFamily::Al2023 => self.pods_of_enis(&PodLimits::default()),
            AmiFamily::Bottlerocket => pods,
        };
        let kube_reserved = Resources {
            cpu_milli: kube_reserved_cpu(capacity.cpu_milli),
            memory_bytes: (11 * i64::from(reserving_pods) + 255) * MIB,
            ephemeral_storage_bytes: GIB,
            pods: 0,
        };
        let eviction = &settings.eviction_hard;
        let memory_available = eviction
            .memory_available
            .unwrap_or(Threshold::Bytes(100 * MIB));
        let nodefs_available = eviction
            .nodefs_available
            .unwrap_or(Threshold::Percent(10.0));
        NodeSize {
            capacity,
            kube_reserved: settings.kube_reserved.over(kube_reserved),
            system_reserved: settings.system_reserved.over(Resources::default()),
            eviction_threshold: Resources {
                cpu_milli: 0,
                memory_bytes: memory_available.of(capacity.memory_bytes),
                ephemeral_storage_bytes: nodefs_available.of(capacity.ephemeral_storage_bytes),
                pods: 0,
            },
        }
    }

    /// Memory less the estimate of what the hypervisor and the kernel take, which is rounded up to whole MiB.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn memory_for_node(&self, overhead: f64) -> i64 {
        let reserved = match self.architecture {
            super::Architecture::Arm64 => ARM_RESERVED_MIB,
            super::Architecture::Amd64 => 0,
        };
        let bytes = (i64::from(self.memory_mib) - reserved) * MIB;
        let overhead_mib = (bytes as f64 * overhead / 1024.0 / 1024.0).ceil() as i64;
        bytes.saturating_sub(overhead_mib.saturating_mul(MIB))
    }

    /// Resources besides [`Resources`] that a node of this type has, with the names that Kubernetes' device plugins and AWS's
    /// controllers give them. None is there with an amount of 0.
    #[must_use]
    pub fn extended_resources(&self) -> Vec<(&'static str, u32)> {
        let gpus = |manufacturer| {
            let gpu = self.gpu.as_ref();
            gpu.filter(|gpu| &*gpu.manufacturer == manufacturer)
                .map_or(0, |gpu| gpu.count)
        };
        let neuron_cores = self.accelerator.as_ref().map_or(0, |of| of.neuron_cores);
        let mut resources = vec![
            ("amd.com/gpu", gpus("amd")),
            ("aws.amazon.com/neuron", self.neuron_devices()),
            ("aws.amazon.com/neuroncore", neuron_cores),
            ("habana.ai/gaudi", gpus("habana")),
            ("nvidia.com/gpu", gpus("nvidia")),
            ("vpc.amazonaws.com/efa", self.efas),
            ("vpc.amazonaws.com/pod-eni", self.branch_enis),
        ];
        resources.retain(|(_, amount)| *amount > 0);
        resources
    }
}

/// 6 % of the first core, 1 % of the second, 0.5 % of the third and fourth, 0.25 % of all others; each rounded down to whole
/// thousandths.
fn kube_reserved_cpu(cpu_milli: i64) -> i64 {
    [
        (0, 1_000, 600),
        (1_000, 2_000, 100),
        (2_000, 4_000, 50),
        (4_000, i64::MAX, 25),
    ]
    .into_iter()
    .map(|(from, until, per_myriad)| (cpu_milli.min(until) - from).max(0) * per_myriad / 10_000)
    .sum()
}

#[cfg(test)]
mod tests {
    use super::super::{all, by_name};
    use super::*;

    fn of(name: &str) -> &'static InstanceType {
        by_name(name).unwrap()
    }

    fn allocatable(name: &str, settings: &NodeSettings) -> Resources {
        of(name).node_size(settings).allocatable()
    }

    /// What Karpenter publishes as allocatable on AL2023, with nothing configured: `type,milli-CPU,MiB,pods`. No type is an
    /// exception; the interfaces of the eight without `max_enis` were reckoned from these very pods, so for their pods this proves nothing.
    #[test]
    fn every_type_is_as_karpenter_publishes_it() {
        let published = include_str!("../../data/allocatable.csv");
        let rows = published.lines().filter(|line| !line.starts_with('#'));
        let mut checked = 0;
        for row in rows.skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            let number = |at: usize| cells[at].parse::<i64>().unwrap();
            let size = of(cells[0]).node_size(&NodeSettings::default());
            let expected = Resources {
                cpu_milli: number(1),
                memory_bytes: number(2) * MIB,
                ephemeral_storage_bytes: 17 * GIB,
                pods: number(3),
            };
            assert_eq!(size.allocatable(), expected, "{row}");
            assert_eq!(size.capacity.cpu_milli, i64::from(of(cells[0]).vcpu) * 1000);
            checked += 1;
        }
        assert_eq!((checked, all().len()), (1363, 1363));
    }

    #[test]
    fn well_known_nodes() {
        let default = NodeSettings::default();
        let figures = |name| {
            let left = allocatable(name, &default);
            (left.cpu_milli, left.memory_bytes / MIB, left.pods)
        };
        assert_eq!(figures("m5.large"), (1930, 6903, 29));
        assert_eq!(figures("m5.xlarge"), (3920, 14162, 58));
        assert_eq!(
            figures("m7g.large"),
            (1930, 6844, 29),
            "64 MiB less on arm64"
        );
        assert_eq!(figures("m5.metal"), (95690, 355_262, 737));
        assert_eq!(figures("t2.nano"), (940, 74, 4));
        assert_eq!(
            figures("p5.48xlarge").2,
            100,
            "only the default network card carries pods"
        );
        let large = of("m5.large").node_size(&default);
        assert_eq!(large.capacity.memory_bytes, 7577 * MIB);
        assert_eq!(large.overhead().memory_bytes, (11 * 29 + 255 + 100) * MIB);
    }

    /// awslabs/amazon-eks-ami and amazon-vpc-cni-k8s, `eni-max-pods.txt`: pods without and with custom networking.
    #[test]
    fn pods_by_interfaces() {
        for (name, pods, with_custom_networking) in [
            ("a1.medium", 8, 5),
            ("c5.18xlarge", 737, 688),
            ("c6in.32xlarge", 394, 345),
            ("g5.48xlarge", 345, 296),
            ("hpc7g.4xlarge", 198, 149),
            ("inf1.24xlarge", 321, 292),
            ("m4.large", 20, 11),
            ("m5.large", 29, 20),
            ("p5.48xlarge", 100, 51),
        ] {
            let limits = PodLimits {
                reserved_enis: 1,
                ..PodLimits::default()
            };
            assert_eq!(of(name).max_pods(&PodLimits::default()), pods, "{name}");
            assert_eq!(of(name).max_pods(&limits), with_custom_networking, "{name}");
        }
        let none_left = PodLimits {
            reserved_enis: 3,
            ..PodLimits::default()
        };
        assert_eq!(of("m5.large").max_pods(&none_left), 0);
    }

    /// awslabs/amazon-eks-ami, `max-pods-calculator.sh`; EKS user guide, "Assign more IP addresses to Amazon EKS nodes with prefixes".
    #[test]
    fn pods_with_prefixes() {
        let prefixes = PodLimits {
            prefix_delegation: true,
            ..PodLimits::default()
        };
        for (name, pods) in [
            ("m5.large", 110),
            ("t3.nano", 34),
            ("t3.micro", 34),
            ("m5.4xlarge", 110),
            ("m5.8xlarge", 250),
            ("m5.metal", 250),
            ("c5.18xlarge", 250),
            ("t2.large", 35),
            ("m4.10xlarge", 234),
        ] {
            assert_eq!(of(name).max_pods(&prefixes), pods, "{name}");
        }
        let custom_networking = PodLimits {
            reserved_enis: 1,
            ..prefixes
        };
        assert_eq!(of("t3.nano").max_pods(&custom_networking), 18);
    }

    #[test]
    fn the_kubelets_own_limits_of_pods() {
        let limits = |max_pods, pods_per_core| PodLimits {
            max_pods,
            pods_per_core,
            ..PodLimits::default()
        };
        let pods =
            |max_pods, pods_per_core| of("m5.large").max_pods(&limits(max_pods, pods_per_core));
        assert_eq!(
            pods(Some(110), None),
            110,
            "it may be more than the interfaces allow"
        );
        assert_eq!(pods(Some(5), None), 5);
        assert_eq!(pods(None, Some(10)), 20);
        assert_eq!(pods(Some(8), Some(10)), 8, "the smaller one");
        assert_eq!(pods(None, Some(0)), 29, "0 is no limit");
    }

    #[test]
    fn reservations_take_the_place_of_the_defaults() {
        let settings = NodeSettings {
            kube_reserved: Reservation {
                memory_bytes: Some(GIB),
                ..Reservation::default()
            },
            system_reserved: Reservation {
                cpu_milli: Some(100),
                ephemeral_storage_bytes: Some(2 * GIB),
                ..Reservation::default()
            },
            eviction_hard: EvictionHard {
                memory_available: Some(Threshold::Percent(5.0)),
                nodefs_available: Some(Threshold::Bytes(GIB)),
            },
            ..NodeSettings::default()
        };
        let size = of("m5.large").node_size(&settings);
        assert_eq!(
            size.kube_reserved.cpu_milli, 70,
            "only what is set is replaced"
        );
        assert_eq!(size.kube_reserved.memory_bytes, GIB);
        assert_eq!(size.system_reserved.memory_bytes, 0);
        // 5 % of 7577 MiB, rounded up to a byte.
        assert_eq!(size.eviction_threshold.memory_bytes, 397_253_018);
        let left = size.allocatable();
        assert_eq!(left.cpu_milli, 1830);
        assert_eq!(left.memory_bytes, 7577 * MIB - GIB - 397_253_018);
        assert_eq!(left.ephemeral_storage_bytes, (20 - 1 - 2 - 1) * GIB);

        let off = NodeSettings {
            eviction_hard: EvictionHard {
                memory_available: Some(Threshold::Percent(100.0)),
                nodefs_available: None,
            },
            ..NodeSettings::default()
        };
        assert_eq!(
            of("m5.large")
                .node_size(&off)
                .eviction_threshold
                .memory_bytes,
            0
        );
    }

    #[test]
    fn more_reserved_than_there_is() {
        let settings = NodeSettings {
            kube_reserved: Reservation {
                memory_bytes: Some(16 * GIB),
                ..Reservation::default()
            },
            ..NodeSettings::default()
        };
        assert!(allocatable("m5.large", &settings).memory_bytes < 0);
    }

    #[test]
    fn bottlerocket_reserves_for_the_pods_that_it_takes() {
        let with = |ami_family, pods| NodeSettings {
            ami_family,
            pods,
            ..NodeSettings::default()
        };
        let dense = PodLimits {
            max_pods: Some(110),
            pods_per_core: Some(10),
            ..PodLimits::default()
        };
        let reserved = |ami_family| {
            let size = of("m5.large").node_size(&with(ami_family, dense));
            (size.capacity.pods, size.kube_reserved.memory_bytes / MIB)
        };
        assert_eq!(reserved(AmiFamily::Al2023), (20, 11 * 29 + 255));
        assert_eq!(reserved(AmiFamily::Bottlerocket), (110, 11 * 110 + 255));
    }

    #[test]
    fn room_for_images() {
        let storage = |name, settings: &NodeSettings| {
            of(name)
                .node_size(settings)
                .capacity
                .ephemeral_storage_bytes
        };
        let disks = NodeSettings {
            local_disks_as_raid0: true,
            root_volume_bytes: 100 * GIB,
            ..NodeSettings::default()
        };
        assert_eq!(storage("m5d.large", &disks), 75_000_000_000);
        assert_eq!(
            storage("m5.large", &disks),
            100 * GIB,
            "it has no local disks"
        );
        let left = allocatable("m5.large", &disks).ephemeral_storage_bytes;
        assert_eq!(left, (100 - 10 - 1) * GIB);
    }

    #[test]
    fn devices_and_interfaces() {
        assert_eq!(
            of("p5.48xlarge").extended_resources(),
            [
                ("nvidia.com/gpu", 8),
                ("vpc.amazonaws.com/efa", 32),
                ("vpc.amazonaws.com/pod-eni", 120)
            ]
        );
        assert_eq!(
            of("inf1.xlarge").extended_resources(),
            [
                ("aws.amazon.com/neuron", 1),
                ("aws.amazon.com/neuroncore", 4),
                ("vpc.amazonaws.com/pod-eni", 38)
            ]
        );
        assert_eq!(of("t2.micro").extended_resources(), []);
    }
}
