//! Selectors: which objects a request, a Service or a controller means.
//!
//! [`LabelSelector`] is the language of `labelSelector=` in a query and of the `LabelSelector` documents in objects;
//! [`FieldSelector`] that of `fieldSelector=`. Grammar: `k8s.io/apimachinery/pkg/labels` and `…/pkg/fields`.

mod fields;
mod labels;

pub use fields::{FieldSelector, FieldTerm, field_value, selectable_fields};
pub use labels::{LabelSelector, Operator, Requirement};
