//! Everything between typed values and the terminal: arguments, rendered text and JSON, progress.
//!
//! Nothing here decides anything: it shows what the use cases return. Nothing prints by itself; whoever calls passes the
//! writer. The one exception is [`progress`], which owns standard error while work goes on.
#![forbid(unsafe_code)]

pub mod args;
pub mod progress;
pub mod render;
pub mod terminal;
