//! Karpenter in a cluster in memory: with the scheduler, kubelets and node controllers that every cluster has, and a small EC2.

mod disruption;
mod ends;
mod interruption;
mod lab;
mod launch;
mod pace;
mod storms;
