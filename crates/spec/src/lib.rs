//! The platform's spec: types, defaults, presets, overlays, validation with source spans, JSON Schema.
#![forbid(unsafe_code)]

pub mod model;

pub use model::Platform;
