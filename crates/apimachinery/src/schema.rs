//! The type of a field, as patches, field ownership, validation and defaulting need it. Built-in types and structural schemas
//! of CustomResourceDefinitions become the same thing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use serde_json::Value as Json;

/// A handle on a type; cheap to clone. Types may refer to themselves (`JSONSchemaProps`).
#[derive(Clone)]
pub struct Type(Handle);

#[derive(Clone)]
enum Handle {
    Own(Arc<Node>),
    /// With what it is, once it was looked up: types are asked for it at every step of every walk.
    Named(Arc<str>, Weak<Definitions>, OnceLock<Weak<Node>>),
    /// As `Named`, holding its definitions alive: for those who hold nothing else of them.
    Root(Arc<str>, Arc<Definitions>),
}

/// What a type is.
#[derive(Debug, Clone)]
pub struct Node {
    pub shape: Shape,
    /// Whether `null` is a value of its own rather than the absence of one (`nullable: true` of custom resources).
    pub nullable: bool,
    /// `date-time`, `int32`, `int64`, `byte`, `int-or-string`, `quantity`, …
    pub format: Option<Arc<str>>,
    pub default: Option<Json>,
    pub description: Option<Arc<str>>,
    /// The rest of its JSON Schema, for validation (`enum`, `pattern`, `minimum`, `x-kubernetes-validations`, …).
    pub rules: Option<Arc<Json>>,
}

/// The shape of a type's values.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Named fields.
    Struct {
        fields: BTreeMap<Arc<str>, Field>,
        required: Vec<Arc<str>>,
        /// Unknown fields are kept and are not an error (`x-kubernetes-preserve-unknown-fields`).
        open: bool,
        /// Owned as a whole (`x-kubernetes-map-type: atomic`).
        atomic: bool,
        /// `apiVersion`, `kind` and `metadata` are in it (`x-kubernetes-embedded-resource`).
        embedded: bool,
    },
    /// Any keys, values of one type.
    Map {
        values: Type,
        atomic: bool,
    },
    List {
        items: Type,
        kind: ListKind,
    },
    Boolean,
    Integer,
    Number,
    String,
    /// `x-kubernetes-int-or-string`, and quantities that may be written as numbers.
    IntOrString,
    /// Anything at all.
    Any,
}

/// A field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    pub value: Type,
    /// How a strategic merge patch treats it.
    pub patch: PatchStrategy,
}

/// `x-kubernetes-patch-strategy` with its merge key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged by [`PatchStrategy::merge_key`] (or as sets), instead of being replaced.
    pub merge: bool,
    /// Of a map: keys that the patch does not name in `$retainKeys` are cleared.
    pub retain_keys: bool,
    pub merge_key: Option<Arc<str>>,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Owned as a whole. Also what has no list type.
    Atomic,
    /// Scalars, each owned by itself.
    Set,
    /// Elements are told apart by these fields.
    Map(Vec<Arc<str>>),
}

/// Named types that may refer to each other.
pub struct Definitions {
    nodes: BTreeMap<Arc<str>, OnceLock<Arc<Node>>>,
}

impl Definitions {
    /// Builds named types. `make` is given each name and a way to refer to another name; what it makes for a name that
    /// nobody defines is [`Shape::Any`].
    pub fn build(
        names: impl IntoIterator<Item = Arc<str>>,
        mut make: impl FnMut(&str, &dyn Fn(&str) -> Type) -> Node,
    ) -> Arc<Self> {
        let definitions = Arc::new(Self {
            nodes: names
                .into_iter()
                .map(|name| (name, OnceLock::new()))
                .collect(),
        });
        let weak = Arc::downgrade(&definitions);
        let refer = |name: &str| Type(Handle::Named(name.into(), weak.clone(), OnceLock::new()));
        for (name, place) in &definitions.nodes {
            let _ = place.set(Arc::new(make(name, &refer)));
        }
        definitions
    }

    /// A named type, which keeps all of these alive.
    #[must_use]
    pub fn get(self: &Arc<Self>, name: &str) -> Option<Type> {
        let (name, _) = self.nodes.get_key_value(name)?;
        Some(Type(Handle::Root(name.clone(), self.clone())))
    }

    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.keys()
    }

    fn node(&self, name: &str) -> Arc<Node> {
        self.nodes
            .get(name)
            .and_then(OnceLock::get)
            .cloned()
            .unwrap_or_else(|| Node::of(Shape::Any).into())
    }
}

impl Type {
    /// A type of its own.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self(Handle::Own(Arc::new(node)))
    }

    /// Anything at all.
    #[must_use]
    pub fn any() -> Self {
        Self::new(Node::of(Shape::Any))
    }

    /// What it is.
    #[must_use]
    pub fn node(&self) -> Arc<Node> {
        match &self.0 {
            Handle::Own(node) => node.clone(),
            Handle::Named(name, definitions, known) => {
                if let Some(node) = known.get().and_then(Weak::upgrade) {
                    return node;
                }
                let Some(definitions) = definitions.upgrade() else {
                    return Node::of(Shape::Any).into();
                };
                let node = definitions.node(name);
                // What nobody defines belongs to no definitions, and is made anew each time.
                let _ = known.set(Arc::downgrade(&node));
                node
            }
            Handle::Root(name, definitions) => definitions.node(name),
        }
    }

    /// The name that it has among definitions (`io.k8s.api.core.v1.PodSpec`).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.0 {
            Handle::Own(_) => None,
            Handle::Named(name, ..) | Handle::Root(name, _) => Some(name),
        }
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "Type({name})"),
            None => write!(f, "Type({:?})", self.node().shape),
        }
    }
}

impl Node {
    /// A type of a shape, and nothing else said of it.
    #[must_use]
    pub fn of(shape: Shape) -> Self {
        Self {
            shape,
            nullable: false,
            format: None,
            default: None,
            description: None,
            rules: None,
        }
    }

    /// The type of a field or of a map's value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Type> {
        match &self.shape {
            Shape::Struct { fields, .. } => fields.get(name).map(|field| field.value.clone()),
            Shape::Map { values, .. } => Some(values.clone()),
            _ => None,
        }
    }

    /// How a strategic merge patch treats a field.
    #[must_use]
    pub fn patch_strategy(&self, name: &str) -> PatchStrategy {
        match &self.shape {
            Shape::Struct { fields, .. } => fields
                .get(name)
                .map(|field| field.patch.clone())
                .unwrap_or_default(),
            _ => PatchStrategy::default(),
        }
    }
}
