//! The platform's spec: types, defaults, presets, overlays, validation with source spans, JSON Schema.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod model;
pub mod overlay;
mod platform;
pub mod schema;
pub mod source;
pub mod tree;

pub use diagnostic::{Diagnostic, Severity, render};
pub use platform::Platform;
pub use schema::{json_schema, overlay_schema};
pub use source::{Place, Source, decode};
