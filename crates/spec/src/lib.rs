//! The platform's spec: `platform.yaml` with an environment's overlay becomes a validated [`Platform`].
//!
//! ```text
//! texts ─ tree (places) ─ overlay ─ variables ─ validate (form, then meaning) ─ Platform + warnings + overrides
//! ```
//!
//! [`load()`] does it all and reports everything that is wrong at once, each with its place. Pure: texts, variables and the
//! date are arguments.
#![forbid(unsafe_code)]

pub mod diagnostic;
mod load;
pub mod model;
pub mod overlay;
mod platform;
pub mod presets;
pub mod schema;
pub mod source;
pub mod tree;
mod validate;
mod variables;

pub use diagnostic::{Diagnostic, Severity, render};
pub use load::{Loaded, Sources, load};
pub use platform::Platform;
pub use presets::{Preset, preset};
pub use schema::{json_schema, overlay_schema};
pub use source::{Place, Source, decode};
pub use variables::Override;
