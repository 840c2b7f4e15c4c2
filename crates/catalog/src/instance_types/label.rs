//! The labels that nodes of an instance type have under Karpenter, which NodePools and pods select by.
//!
//! Names and values as Karpenter's provider for AWS sets them (karpenter-provider-aws 1.14, `pkg/apis/v1/labels.go` and
//! `pkg/providers/instancetype/types.go`, `computeRequirements`). Zone, region and capacity type are an offering's, not a
//! type's, and `karpenter.k8s.aws/instance-tenancy` is the node's: callers add them.

use std::borrow::Cow;

use super::InstanceType;

/// The name of the type.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// `amd64` or `arm64`.
pub const ARCHITECTURE: &str = "kubernetes.io/arch";
/// `linux`.
pub const OPERATING_SYSTEM: &str = "kubernetes.io/os";
/// The letters that the name starts with.
pub const CATEGORY: &str = "karpenter.k8s.aws/instance-category";
/// The part of the name before the dot.
pub const FAMILY: &str = "karpenter.k8s.aws/instance-family";
/// The number after the category.
pub const GENERATION: &str = "karpenter.k8s.aws/instance-generation";
/// The part of the name after the dot.
pub const SIZE: &str = "karpenter.k8s.aws/instance-size";
/// Whether it is a `-flex` type.
pub const FLEX: &str = "karpenter.k8s.aws/instance-capability-flex";
/// vCPUs.
pub const CPU: &str = "karpenter.k8s.aws/instance-cpu";
/// Who makes the processors.
pub const CPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-cpu-manufacturer";
/// Sustained clock speed in MHz.
pub const CPU_CLOCK: &str = "karpenter.k8s.aws/instance-cpu-sustained-clock-speed-mhz";
/// Memory in MiB, before anything is taken off.
pub const MEMORY: &str = "karpenter.k8s.aws/instance-memory";
/// `nitro`, `xen` or, for bare metal, empty.
pub const HYPERVISOR: &str = "karpenter.k8s.aws/instance-hypervisor";
/// Whether traffic between instances is encrypted.
pub const ENCRYPTION_IN_TRANSIT: &str =
    "karpenter.k8s.aws/instance-encryption-in-transit-supported";
/// Size of all local NVMe disks in GB.
pub const LOCAL_NVME: &str = "karpenter.k8s.aws/instance-local-nvme";
/// Network bandwidth in Mbit/s.
pub const NETWORK_BANDWIDTH: &str = "karpenter.k8s.aws/instance-network-bandwidth";
/// Bandwidth to EBS in Mbit/s.
pub const EBS_BANDWIDTH: &str = "karpenter.k8s.aws/instance-ebs-bandwidth";
/// The GPUs' name.
pub const GPU_NAME: &str = "karpenter.k8s.aws/instance-gpu-name";
/// Who makes the GPUs.
pub const GPU_MANUFACTURER: &str = "karpenter.k8s.aws/instance-gpu-manufacturer";
/// Whole GPUs.
pub const GPU_COUNT: &str = "karpenter.k8s.aws/instance-gpu-count";
/// Memory of a GPU in MiB.
pub const GPU_MEMORY: &str = "karpenter.k8s.aws/instance-gpu-memory";
/// The accelerators' name.
pub const ACCELERATOR_NAME: &str = "karpenter.k8s.aws/instance-accelerator-name";
/// Who makes the accelerators.
pub const ACCELERATOR_MANUFACTURER: &str = "karpenter.k8s.aws/instance-accelerator-manufacturer";
/// Accelerators.
pub const ACCELERATOR_COUNT: &str = "karpenter.k8s.aws/instance-accelerator-count";

/// Labels that Karpenter gives a type by a fact that the table does not have. Whoever selects by one can't be answered.
pub const UNKNOWN: [&str; 1] = ["karpenter.k8s.aws/nitro-sandbox"];

impl InstanceType {
    /// The labels of a Linux node of this type that follow from the type, in the order of their names. A label that is not
    /// there does not exist on the node either.
    #[must_use]
    pub fn labels(&self) -> Vec<(&'static str, Cow<'_, str>)> {
        let number = |value: u32| Cow::Owned(value.to_string());
        let yes_no = |value| Cow::Borrowed(if value { "true" } else { "false" });
        let mut labels: Vec<(&'static str, Cow<'_, str>)> = vec![
            (INSTANCE_TYPE, self.name().into()),
            (ARCHITECTURE, self.architecture.as_str().into()),
            (OPERATING_SYSTEM, "linux".into()),
            (FAMILY, self.family().into()),
            (SIZE, self.size().into()),
            (FLEX, yes_no(self.is_flex())),
            (CPU, number(self.vcpu)),
            (CPU_MANUFACTURER, self.cpu_manufacturer.as_str().into()),
            (CPU_CLOCK, number(self.clock_mhz)),
            (MEMORY, number(self.memory_mib)),
            (HYPERVISOR, self.hypervisor.as_str().into()),
            (ENCRYPTION_IN_TRANSIT, yes_no(self.encryption_in_transit)),
        ];
        let texts = [(CATEGORY, self.category()), (GENERATION, self.generation())];
        labels.extend(
            texts
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?.into()))),
        );
        let numbers = [
            (LOCAL_NVME, self.local_nvme_gb),
            (NETWORK_BANDWIDTH, self.network_mbps),
            (EBS_BANDWIDTH, self.ebs_mbps),
        ];
        labels.extend(
            numbers
                .into_iter()
                .filter_map(|(key, value)| Some((key, number(value?)))),
        );
        if let Some(gpu) = &self.gpu {
            labels.extend([
                (GPU_NAME, Cow::Borrowed(&*gpu.name)),
                (GPU_MANUFACTURER, (*gpu.manufacturer).into()),
                (GPU_COUNT, number(gpu.count)),
                (GPU_MEMORY, number(gpu.memory_mib)),
            ]);
        }
        if let Some(accelerator) = &self.accelerator {
            labels.extend([
                (ACCELERATOR_NAME, Cow::Borrowed(&*accelerator.name)),
                (ACCELERATOR_MANUFACTURER, (*accelerator.manufacturer).into()),
                (ACCELERATOR_COUNT, number(accelerator.count)),
            ]);
        }
        labels.sort_unstable_by_key(|(key, _)| *key);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::super::{all, by_name};

    fn labels(name: &str) -> Vec<String> {
        let of = by_name(name).unwrap();
        of.labels()
            .into_iter()
            .map(|(key, value)| {
                let key = key.replace("karpenter.k8s.aws/instance-", "~");
                format!("{key}={value}")
            })
            .collect()
    }

    // Expected: karpenter.sh/docs/reference/instance-types, v1.14.

    #[test]
    fn a_gpu_type_with_local_disk() {
        assert_eq!(
            labels("g5.12xlarge"),
            [
                "~capability-flex=false",
                "~category=g",
                "~cpu=48",
                "~cpu-manufacturer=amd",
                "~cpu-sustained-clock-speed-mhz=3300",
                "~ebs-bandwidth=16000",
                "~encryption-in-transit-supported=true",
                "~family=g5",
                "~generation=5",
                "~gpu-count=4",
                "~gpu-manufacturer=nvidia",
                "~gpu-memory=22888",
                "~gpu-name=a10g",
                "~hypervisor=nitro",
                "~local-nvme=3800",
                "~memory=196608",
                "~network-bandwidth=40000",
                "~size=12xlarge",
                "kubernetes.io/arch=amd64",
                "kubernetes.io/os=linux",
                "node.kubernetes.io/instance-type=g5.12xlarge",
            ]
        );
    }

    #[test]
    fn bare_metal_on_arm() {
        assert_eq!(
            labels("a1.metal"),
            [
                "~capability-flex=false",
                "~category=a",
                "~cpu=16",
                "~cpu-manufacturer=aws",
                "~cpu-sustained-clock-speed-mhz=2300",
                "~ebs-bandwidth=3500",
                "~encryption-in-transit-supported=false",
                "~family=a1",
                "~generation=1",
                "~hypervisor=",
                "~memory=32768",
                "~network-bandwidth=5000",
                "~size=metal",
                "kubernetes.io/arch=arm64",
                "kubernetes.io/os=linux",
                "node.kubernetes.io/instance-type=a1.metal",
            ]
        );
    }

    #[test]
    fn an_accelerator_that_is_no_gpu() {
        assert_eq!(
            labels("inf1.xlarge"),
            [
                "~accelerator-count=1",
                "~accelerator-manufacturer=aws",
                "~accelerator-name=inferentia",
                "~capability-flex=false",
                "~category=inf",
                "~cpu=4",
                "~cpu-manufacturer=intel",
                "~cpu-sustained-clock-speed-mhz=2500",
                "~ebs-bandwidth=4750",
                "~encryption-in-transit-supported=true",
                "~family=inf1",
                "~generation=1",
                "~hypervisor=nitro",
                "~memory=8192",
                "~network-bandwidth=5000",
                "~size=xlarge",
                "kubernetes.io/arch=amd64",
                "kubernetes.io/os=linux",
                "node.kubernetes.io/instance-type=inf1.xlarge",
            ]
        );
    }

    #[test]
    fn every_type_has_each_label_once() {
        for of in all() {
            let labels = of.labels();
            assert!(
                labels.is_sorted_by(|left, right| left.0 < right.0),
                "{}",
                of.name()
            );
            assert!((14..=25).contains(&labels.len()), "{}", of.name());
        }
    }
}
