//! The use cases: one function each, for the CLI and whoever else wants them. No output, no arguments, no questions.
#![forbid(unsafe_code)]

mod account;
mod cluster;
mod contents;
mod error;
mod exports;
mod init;
pub mod instance_types;
pub mod kubeconfig;
mod platform_folder;
mod run;
mod scope;
pub mod simulate;
pub mod state;
mod target;

pub use account::{check_account, policies, verify_account};
pub use aws::preflight::{Check, Finding, Level};
pub use aws::verify::{Unexpected, VerifyReport, VerifyStep};
pub use cluster::{EksClusters, access, token};
pub use contents::{Inside, is_address_of_others, is_made_by_others};
pub use error::Error;
pub use exports::{Export, Exported, Scopes};
pub use init::{init, write_schemas};
pub use kubernetes::{HelmSettings, Registry};
pub use platform_folder::{PlatformFolder, SHARED};
pub use run::{
    Aim, Planned, Session, check_confirmation, drifted, gone, plan_only, read_plan, staying,
    write_plan,
};
pub use scope::Wanted;
pub use target::{Connection, DRAIN_TIMEOUT, StateLocation, Target, TargetKind};
