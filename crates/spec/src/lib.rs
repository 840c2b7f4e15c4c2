//! The platform's spec: types, defaults, presets, overlays, validation with source spans, JSON Schema.
#![forbid(unsafe_code)]

pub mod diagnostic;
pub mod model;
pub mod overlay;
pub mod source;
pub mod tree;

pub use diagnostic::{Diagnostic, Severity, render};
pub use model::Platform;
pub use source::{Place, Source, decode};
