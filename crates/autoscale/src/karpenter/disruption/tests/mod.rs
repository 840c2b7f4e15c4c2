mod fixture;
mod pods;
mod properties;
mod rules;
mod scenarios;
mod validation;
