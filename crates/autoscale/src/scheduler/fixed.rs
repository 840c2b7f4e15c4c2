//! What a pod's spec says of nodes whatever runs there: cordons, taints, node selectors and affinity.
//!
//! Pods that say the same share a column with one verdict a node. A column follows the log of changed nodes; when all
//! columns together get too big they are dropped and made again as needed.

use rustc_hash::FxHashMap;

use crate::names::{Key, Value};
use crate::shape::{Effect, NodeTerm, PodShape, Taint, Toleration};
use crate::world::{NodeId, World};

/// How many verdicts are kept: 8 bytes each.
const MOST_VERDICTS: usize = 8 << 20;

/// Which column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FixedId(pub u32);

/// What a pod says of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Fixed {
    node_selector: Vec<(Key, Value)>,
    required: Option<Vec<NodeTerm>>,
    preferred: Vec<(i32, NodeTerm)>,
    tolerations: Vec<Toleration>,
}

/// What a pod says of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Cordoned, and the pod doesn't tolerate that.
    pub cordoned: bool,
    /// There is a taint that the pod doesn't tolerate.
    pub tainted: bool,
    /// The selector or the required affinity doesn't match.
    pub mismatched: bool,
    /// How many `PreferNoSchedule` taints the pod doesn't tolerate.
    pub unwelcome: u8,
    /// The weights of the preferred terms that match.
    pub preferred: i32,
}

impl Verdict {
    pub(super) fn passes(self) -> bool {
        !(self.cordoned || self.tainted || self.mismatched)
    }
}

/// What of a node verdicts depend on besides its labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Gate {
    pub cordoned: bool,
    pub taints: Vec<Taint>,
}

impl Fixed {
    pub(super) fn of(shape: &PodShape) -> Self {
        Self {
            node_selector: shape.node_selector.clone(),
            required: shape
                .has_required_affinity
                .then(|| shape.required_terms.clone()),
            preferred: shape.preferred_terms.clone(),
            tolerations: shape.tolerations.clone(),
        }
    }

    pub(super) fn verdict(&self, world: &World, node: NodeId, gate: &Gate) -> Verdict {
        let node = world.node(node);
        let selected = self
            .node_selector
            .iter()
            .all(|(key, value)| node.label(*key) == Some(*value));
        let matches = |term: &NodeTerm| term.matches(&node.labels, node.name, &world.names);
        let required = self
            .required
            .as_ref()
            .is_none_or(|terms| terms.iter().any(matches));
        let preferred = self.preferred.iter().filter(|(_, term)| matches(term));
        let cordon = Taint {
            key: Key::UNSCHEDULABLE,
            value: Value::EMPTY,
            effect: Effect::NoSchedule,
        };
        let unwelcome = gate
            .taints
            .iter()
            .filter(|taint| taint.effect == Effect::PreferNoSchedule && !self.tolerates(taint));
        Verdict {
            cordoned: gate.cordoned && !self.tolerates(&cordon),
            tainted: self.taint(gate).is_some(),
            mismatched: !(selected && required),
            unwelcome: u8::try_from(unwelcome.count()).unwrap_or(u8::MAX),
            preferred: preferred.fold(0_i32, |sum, (weight, _)| {
                sum.saturating_add((*weight).max(0))
            }),
        }
    }

    /// The first taint that keeps the pod off (`helper.DoNotScheduleTaintsFilterFunc`).
    pub(super) fn taint<'a>(&self, gate: &'a Gate) -> Option<&'a Taint> {
        gate.taints
            .iter()
            .find(|taint| taint.effect != Effect::PreferNoSchedule && !self.tolerates(taint))
    }

    fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations
            .iter()
            .any(|toleration| toleration.tolerates(taint))
    }
}

#[derive(Debug)]
struct Column {
    fixed: Fixed,
    verdicts: Vec<Verdict>,
    /// How far it has followed the log of changed nodes.
    seen: usize,
}

/// All columns.
#[derive(Debug, Default)]
pub(super) struct Columns {
    ids: FxHashMap<Fixed, FixedId>,
    columns: Vec<Column>,
    kept: usize,
}

impl Columns {
    pub(super) fn intern(&mut self, fixed: Fixed) -> FixedId {
        if let Some(id) = self.ids.get(&fixed) {
            return *id;
        }
        let id = FixedId(u32::try_from(self.columns.len()).unwrap_or(u32::MAX));
        self.ids.insert(fixed.clone(), id);
        self.columns.push(Column {
            fixed,
            verdicts: Vec::new(),
            seen: 0,
        });
        id
    }

    pub(super) fn fixed(&self, id: FixedId) -> &Fixed {
        &self.columns[id.0 as usize].fixed
    }

    /// The verdicts, as they were last brought up to date.
    pub(super) fn verdicts(&self, id: FixedId) -> &[Verdict] {
        &self.columns[id.0 as usize].verdicts
    }

    /// Brings a column up to date. `log` lists nodes in the order in which they changed; `order` those that exist.
    pub(super) fn refresh(
        &mut self,
        world: &World,
        id: FixedId,
        gates: &[Gate],
        exists: &[bool],
        log: &[NodeId],
    ) {
        let index = id.0 as usize;
        let first = self.columns[index].verdicts.is_empty();
        if !first && self.columns[index].seen == log.len() {
            return;
        }
        if first && self.kept + gates.len() > MOST_VERDICTS {
            for column in &mut self.columns {
                column.verdicts = Vec::new();
            }
            self.kept = 0;
        }
        let column = &mut self.columns[index];
        self.kept += gates.len() - column.verdicts.len();
        column.verdicts.resize(gates.len(), Verdict::default());
        let mut look = |node: NodeId| {
            let at = node.0 as usize;
            if exists[at] {
                column.verdicts[at] = column.fixed.verdict(world, node, &gates[at]);
            }
        };
        if first {
            (0_u32..).map(NodeId).take(gates.len()).for_each(&mut look);
        } else {
            log[column.seen..].iter().copied().for_each(&mut look);
        }
        column.seen = log.len();
    }
}
