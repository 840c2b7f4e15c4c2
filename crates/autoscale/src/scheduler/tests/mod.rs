//! Rules one by one, and whole schedules against a slow, plain scheduler of the same rules.

mod lab;
mod placement;
mod preemption;
mod properties;
mod reference;
mod resources;
mod topology;
mod upkeep;
mod volumes;
