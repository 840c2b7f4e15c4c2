//! Label keys and values as small numbers.
//!
//! Texts are interned once; everything after compares numbers. Values know whether they are whole numbers, for `Gt` and `Lt`.
//! Claims that exist in a simulation only have host names of their own, made without touching the table.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// A label's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(crate) u32);

/// A label's value, or any other interned text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub(crate) u32);

const CLAIM: u32 = 1 << 31;

macro_rules! keys {
    ($($name:ident = $text:literal;)*) => {
        const KEYS: &[&str] = &[$($text),*];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum KeyIndex { $($name),* }

        impl Key {
            $(
                #[doc = concat!("`", $text, "`.")]
                pub const $name: Self = Self(KeyIndex::$name as u32);
            )*
        }
    };
}

// The well-known ones of `pkg/apis/v1/labels.go:85` and of the AWS provider's `pkg/apis/v1/labels.go:30` come first, up to
// `LAST_WELL_KNOWN`.
keys! {
    NODE_POOL = "karpenter.sh/nodepool";
    ZONE = "topology.kubernetes.io/zone";
    REGION = "topology.kubernetes.io/region";
    INSTANCE_TYPE = "node.kubernetes.io/instance-type";
    ARCH = "kubernetes.io/arch";
    OS = "kubernetes.io/os";
    CAPACITY_TYPE = "karpenter.sh/capacity-type";
    WINDOWS_BUILD = "node.kubernetes.io/windows-build";
    INSTANCE_HYPERVISOR = "karpenter.k8s.aws/instance-hypervisor";
    INSTANCE_ENCRYPTION = "karpenter.k8s.aws/instance-encryption-in-transit-supported";
    INSTANCE_CATEGORY = "karpenter.k8s.aws/instance-category";
    INSTANCE_FLEX = "karpenter.k8s.aws/instance-capability-flex";
    INSTANCE_FAMILY = "karpenter.k8s.aws/instance-family";
    INSTANCE_GENERATION = "karpenter.k8s.aws/instance-generation";
    INSTANCE_SIZE = "karpenter.k8s.aws/instance-size";
    INSTANCE_LOCAL_NVME = "karpenter.k8s.aws/instance-local-nvme";
    INSTANCE_CPU = "karpenter.k8s.aws/instance-cpu";
    INSTANCE_CPU_MANUFACTURER = "karpenter.k8s.aws/instance-cpu-manufacturer";
    INSTANCE_CPU_CLOCK = "karpenter.k8s.aws/instance-cpu-sustained-clock-speed-mhz";
    INSTANCE_MEMORY = "karpenter.k8s.aws/instance-memory";
    INSTANCE_EBS_BANDWIDTH = "karpenter.k8s.aws/instance-ebs-bandwidth";
    INSTANCE_NETWORK_BANDWIDTH = "karpenter.k8s.aws/instance-network-bandwidth";
    INSTANCE_GPU_NAME = "karpenter.k8s.aws/instance-gpu-name";
    INSTANCE_GPU_MANUFACTURER = "karpenter.k8s.aws/instance-gpu-manufacturer";
    INSTANCE_GPU_COUNT = "karpenter.k8s.aws/instance-gpu-count";
    INSTANCE_GPU_MEMORY = "karpenter.k8s.aws/instance-gpu-memory";
    INSTANCE_ACCELERATOR_NAME = "karpenter.k8s.aws/instance-accelerator-name";
    INSTANCE_ACCELERATOR_MANUFACTURER = "karpenter.k8s.aws/instance-accelerator-manufacturer";
    INSTANCE_ACCELERATOR_COUNT = "karpenter.k8s.aws/instance-accelerator-count";
    INSTANCE_TENANCY = "karpenter.k8s.aws/instance-tenancy";
    ZONE_ID = "topology.k8s.aws/zone-id";
    RESERVATION_ID = "karpenter.k8s.aws/capacity-reservation-id";
    RESERVATION_TYPE = "karpenter.k8s.aws/capacity-reservation-type";
    LAST_WELL_KNOWN = "karpenter.k8s.aws/placement-group-id";
    HOSTNAME = "kubernetes.io/hostname";
    REGISTERED = "karpenter.sh/registered";
    INITIALIZED = "karpenter.sh/initialized";
    UNSCHEDULABLE = "node.kubernetes.io/unschedulable";
    NOT_READY = "node.kubernetes.io/not-ready";
    DISRUPTED = "karpenter.sh/disrupted";
}

macro_rules! values {
    ($($name:ident = $text:literal;)*) => {
        const VALUES: &[&str] = &[$($text),*];

        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum ValueIndex { $($name),* }

        impl Value {
            $(
                #[doc = concat!("`", $text, "`.")]
                pub const $name: Self = Self(ValueIndex::$name as u32);
            )*
        }
    };
}

values! {
    EMPTY = "";
    TRUE = "true";
    SPOT = "spot";
    ON_DEMAND = "on-demand";
    RESERVED = "reserved";
    LINUX = "linux";
}

impl Key {
    /// Whether a node class may define the label even where no requirement names it.
    #[must_use]
    pub fn is_well_known(self) -> bool {
        self <= Self::LAST_WELL_KNOWN
    }

    /// The key that Karpenter reads for an older name (`pkg/apis/v1/labels.go:140` `NormalizedLabels`).
    #[must_use]
    pub fn normalized(text: &str) -> &str {
        match text {
            "failure-domain.beta.kubernetes.io/zone" => "topology.kubernetes.io/zone",
            "failure-domain.beta.kubernetes.io/region" => "topology.kubernetes.io/region",
            "beta.kubernetes.io/arch" => "kubernetes.io/arch",
            "beta.kubernetes.io/os" => "kubernetes.io/os",
            "beta.kubernetes.io/instance-type" => "node.kubernetes.io/instance-type",
            other => other,
        }
    }
}

impl Value {
    /// The host name of the n-th claim of a simulation.
    #[must_use]
    pub(crate) fn claim(index: usize) -> Self {
        Self(CLAIM | u32::try_from(index).unwrap_or(CLAIM - 1))
    }
}

/// The table of texts.
#[derive(Debug, Clone)]
pub struct Names {
    keys: Table,
    values: Table,
    /// The whole number that a value is, if it is one.
    numbers: Vec<Option<i64>>,
    /// Keys that a table of instance types brings, besides those that are always well-known.
    well_known: Vec<Key>,
}

#[derive(Debug, Clone, Default)]
struct Table {
    texts: Vec<Arc<str>>,
    index: FxHashMap<Arc<str>, u32>,
}

impl Table {
    fn intern(&mut self, text: &str) -> u32 {
        if let Some(index) = self.index.get(text) {
            return *index;
        }
        let index = u32::try_from(self.texts.len()).unwrap_or(CLAIM - 1);
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.index.insert(text, index);
        index
    }
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self {
            keys: Table::default(),
            values: Table::default(),
            numbers: Vec::new(),
            well_known: Vec::new(),
        };
        for text in KEYS {
            names.keys.intern(text);
        }
        for text in VALUES {
            names.value(text);
        }
        names
    }
}

impl Names {
    /// The key of a text, after normalising it as Karpenter does.
    pub fn key(&mut self, text: &str) -> Key {
        Key(self.keys.intern(Key::normalized(text)))
    }

    /// The key of a text as it stands, for pods' labels and selectors over them.
    pub fn exact_key(&mut self, text: &str) -> Key {
        Key(self.keys.intern(text))
    }

    /// The value of a text.
    pub fn value(&mut self, text: &str) -> Value {
        let index = self.values.intern(text);
        if index as usize == self.numbers.len() {
            self.numbers.push(text.parse().ok());
        }
        Value(index)
    }

    /// Makes a key well-known: instance types define it, as a cloud provider registers its labels.
    pub fn make_well_known(&mut self, key: Key) {
        if !self.is_well_known(key) {
            self.well_known.push(key);
        }
    }

    /// Whether an instance type may define a label that nothing else does.
    #[must_use]
    pub fn is_well_known(&self, key: Key) -> bool {
        key.is_well_known() || self.well_known.contains(&key)
    }

    /// The key of a text, if it is known.
    #[must_use]
    pub fn find_key(&self, text: &str) -> Option<Key> {
        self.keys.index.get(Key::normalized(text)).copied().map(Key)
    }

    /// The value of a text, if it is known.
    #[must_use]
    pub fn find_value(&self, text: &str) -> Option<Value> {
        self.values.index.get(text).copied().map(Value)
    }

    /// A key's text.
    #[must_use]
    pub fn key_text(&self, key: Key) -> &str {
        self.keys.texts.get(key.0 as usize).map_or("", |text| text)
    }

    /// A value's text.
    #[must_use]
    pub fn value_text(&self, value: Value) -> Cow<'_, str> {
        if value.0 & CLAIM != 0 {
            return format!("hostname-placeholder-{:04}", value.0 & !CLAIM).into();
        }
        self.values
            .texts
            .get(value.0 as usize)
            .map_or(Cow::Borrowed(""), |text| Cow::Borrowed(text))
    }

    /// The whole number that a value is.
    #[must_use]
    pub fn number(&self, value: Value) -> Option<i64> {
        self.numbers.get(value.0 as usize).copied().flatten()
    }
}

/// Labels, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels(Vec<(Key, Value)>);

impl Labels {
    /// Labels of pairs; of a key that comes twice the last one holds.
    pub fn new(pairs: impl IntoIterator<Item = (Key, Value)>) -> Self {
        let mut labels = Self::default();
        for (key, value) in pairs {
            labels.set(key, value);
        }
        labels
    }

    /// Sets a label.
    pub fn set(&mut self, key: Key, value: Value) {
        match self.0.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => self.0.insert(index, (key, value)),
        }
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Value> {
        self.0
            .binary_search_by_key(&key, |(key, _)| *key)
            .ok()
            .map(|index| self.0[index].1)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Value)> + '_ {
        self.0.iter().copied()
    }
}
