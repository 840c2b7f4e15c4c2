//! The platform's spec, typed. The doc comments are what editors show: `seaworthy schema` prints them.
//!
//! Every key has a default that makes a sound production platform, but for `platform`, `aws.region` and `network.cidr`.

mod amount;
mod defaults;
pub mod node_pools;
pub mod services;

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::platform::Platform;
pub use amount::{CpuAmount, MemoryAmount};
use node_pools::{NodeClass, NodePool};
use services::Services;

/// The days that CloudWatch Logs can keep a log group's events.
/// Source: the API reference of `PutRetentionPolicy`.
pub const RETENTION_DAYS: &[u32] = &[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

const CIDR: &str = r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$";

/// A production Amazon EKS platform: `platform.yaml` with `environments/<env>.yaml` laid over it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = "Seaworthy platform")]
pub struct Spec {
    /// The version of this file's format.
    pub api_version: ApiVersion,
    /// The platform's name, first part of every name in AWS: `<platform>-<env>`.
    #[schemars(
        regex(pattern = r"^[a-z]([a-z0-9]|-[a-z0-9])*$"),
        length(min = 2, max = 32)
    )]
    #[schemars(extend("patternErrorMessage" = "lower-case letters, digits and single hyphens, a letter first"))]
    pub platform: String,
    /// Whether destroying the environment takes `--confirm <platform>-<env>`. Default: true for `prod` and `production`, false otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Where it runs.
    pub aws: Aws,
    /// Kubernetes itself.
    #[serde(default)]
    pub kubernetes: Kubernetes,
    /// The VPC.
    pub network: Network,
    /// The EKS cluster's control plane.
    #[serde(default)]
    pub cluster: Cluster,
    /// The managed node group that runs what must not run on nodes that Karpenter makes: Karpenter itself, CoreDNS, controllers.
    #[serde(default)]
    pub system_nodes: SystemNodes,
    /// EKS add-ons.
    #[serde(default)]
    pub addons: Addons,
    /// Karpenter: its release in the cluster, and its AWS side: roles, instance profile, interruption queue and its rules.
    #[serde(default)]
    pub karpenter: Karpenter,
    /// The pools that Karpenter makes nodes of, by name. Default: one pool, `general`, of Spot instances with On-Demand as the fallback.
    #[serde(default = "NodePool::usual")]
    pub node_pools: BTreeMap<String, NodePool>,
    /// What is particular to AWS in the nodes of all pools.
    #[serde(default)]
    pub node_class: NodeClass,
    /// What teams run, by name. Simulated (`seaworthy simulate`), not deployed yet: of them a deploy makes the namespaces and the priority classes.
    #[serde(default)]
    pub services: Services,
    /// The AWS side of the AWS Load Balancer Controller: its role and policy.
    #[serde(default)]
    pub load_balancer_controller: Toggle,
    /// The AWS side of the External Secrets Operator: its role, which may read the given secrets only.
    #[serde(default)]
    pub external_secrets: ExternalSecrets,
    /// ElastiCache for Redis or Valkey.
    #[serde(default)]
    pub redis: Redis,
    /// Amazon MQ for RabbitMQ.
    #[serde(default)]
    pub rabbitmq: RabbitMq,
    /// Further secrets whose values are generated in Secrets Manager.
    #[serde(default)]
    pub secrets: Vec<GeneratedSecret>,
    /// The domain and its DNS.
    #[serde(default)]
    pub dns: Dns,
    /// The TLS certificate of the load balancer.
    #[serde(default)]
    pub certificate: Certificate,
    /// AWS WAF in front of the load balancer.
    #[serde(default)]
    pub waf: Waf,
    /// CloudTrail: who did what in the account.
    #[serde(default)]
    pub audit: Audit,
    /// AWS Backup of EBS volumes, selected by tag.
    #[serde(default)]
    pub backup: Backup,
    /// A monthly budget with an alarm.
    #[serde(default)]
    pub budget: Budget,
    /// What environments share, in a scope of its own: `seaworthy bootstrap`.
    #[serde(default)]
    pub shared: Shared,
    /// Where the state is kept.
    #[serde(default)]
    pub state: StateBackend,
    /// Single resources that are somebody else's, or that outlive the environment, by address: `managed`, `retain`, or `existing: <id>`.
    #[serde(default)]
    pub lifecycle: BTreeMap<String, LifecycleRule>,
}

/// The version of the file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first one.
    #[serde(rename = "seaworthy.dev/v1")]
    V1,
}

/// Where it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Aws {
    /// The region.
    #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    #[schemars(extend("patternErrorMessage" = "an AWS region, as eu-central-1"))]
    pub region: String,
    /// The account's twelve digits. When given, a deploy with credentials of another account is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    #[schemars(extend("patternErrorMessage" = "the account's twelve digits, in quotes"))]
    pub account: Option<String>,
    /// The availability zones (`eu-central-1a`), two or more. Default: the first three of the region that EKS supports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 6),
        inner(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$"))
    )]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "an availability zone, as eu-central-1a"))]
    pub availability_zones: Option<Vec<String>>,
    /// Tags for everything that takes tags, beside the owner tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Kubernetes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kubernetes {
    /// The minor version, in quotes: `"1.36"`.
    #[schemars(regex(pattern = r"^1\.[0-9]{2}$"))]
    #[schemars(extend("patternErrorMessage" = "a minor version in quotes, as \"1.36\""))]
    pub version: String,
    /// What EKS does when standard support of the version ends: `standard` upgrades the cluster, `extended` keeps it and bills six times the price.
    pub support: SupportType,
}

/// What EKS does when standard support of a version ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SupportType {
    /// EKS upgrades the cluster by itself.
    #[default]
    Standard,
    /// The version stays, at $0.60 an hour instead of $0.10.
    Extended,
}

/// The VPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// The VPC's range, /16 to /21.
    #[schemars(with = "String", regex(pattern = CIDR))]
    #[schemars(extend("patternErrorMessage" = "an IPv4 range, as 10.0.0.0/16"))]
    pub cidr: Ipv4Net,
    /// How private subnets reach the Internet.
    #[serde(default)]
    pub nat_gateways: NatGateways,
    /// Gateway endpoints, which are free and keep the traffic off the NAT gateways.
    #[serde(default = "both_gateway_endpoints")]
    #[schemars(extend("uniqueItems" = true))]
    pub gateway_endpoints: Vec<GatewayEndpoint>,
    /// VPC flow logs to CloudWatch Logs.
    #[serde(default)]
    pub flow_logs: FlowLogs,
    /// A VPC that exists already and stays somebody else's. `cidr` must be its range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ExistingNetwork>,
}

fn both_gateway_endpoints() -> Vec<GatewayEndpoint> {
    vec![GatewayEndpoint::S3, GatewayEndpoint::Dynamodb]
}

/// How private subnets reach the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NatGateways {
    /// One NAT gateway: cheap, and the loss of its zone cuts off all private subnets.
    Single,
    /// One NAT gateway in each availability zone.
    #[default]
    OnePerAz,
}

/// A service with a gateway endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayEndpoint {
    /// Amazon S3.
    S3,
    /// Amazon DynamoDB.
    Dynamodb,
}

/// VPC flow logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FlowLogs {
    /// Whether they are written.
    pub enabled: bool,
    /// How long they are kept, in days; a value that CloudWatch Logs takes.
    #[schemars(extend("enum" = RETENTION_DAYS))]
    pub retention_days: u32,
}

/// A VPC that exists already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExistingNetwork {
    /// Its id, `vpc-…`.
    #[schemars(regex(pattern = r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})$"))]
    #[schemars(extend("patternErrorMessage" = "a VPC's id, as vpc-0123456789abcdef0"))]
    pub vpc_id: String,
    /// Its private subnets, one or more for each availability zone of the spec. They need a way to the Internet.
    #[schemars(
        length(min = 2),
        inner(regex(pattern = r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$"))
    )]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "a subnet's id, as subnet-0123456789abcdef0"))]
    pub private_subnet_ids: Vec<String>,
    /// Its public subnets, where the load balancers go.
    #[serde(default)]
    #[schemars(inner(regex(pattern = r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$")))]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "a subnet's id, as subnet-0123456789abcdef0"))]
    pub public_subnet_ids: Vec<String>,
}

/// The control plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// Who reaches the Kubernetes API from where.
    pub endpoint: Endpoint,
    /// Control-plane logs.
    pub logs: ControlPlaneLogs,
    /// Whether Kubernetes secrets are encrypted with a KMS key of ours.
    pub secrets_encryption: bool,
    /// IAM principals (roles or users) that administer the cluster, beside the deployer.
    #[schemars(extend("uniqueItems" = true))]
    pub admins: Vec<String>,
    /// How pods get AWS credentials.
    pub workload_identity: WorkloadIdentity,
    /// Whether EKS refuses to delete the cluster until this is false again.
    pub deletion_protection: bool,
}

/// Who reaches the Kubernetes API from where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Endpoint {
    /// From the Internet, out of `publicCidrs`.
    pub public: bool,
    /// From inside the VPC.
    pub private: bool,
    /// Who may reach the public endpoint. `0.0.0.0/0` is a warning.
    #[schemars(with = "Vec<String>", inner(regex(pattern = CIDR)), length(max = 40))]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "an IPv4 range, as 203.0.113.0/24"))]
    pub public_cidrs: Vec<Ipv4Net>,
}

/// Control-plane logs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ControlPlaneLogs {
    /// Which ones.
    #[schemars(extend("uniqueItems" = true))]
    pub types: Vec<ControlPlaneLog>,
    /// How long they are kept, in days; a value that CloudWatch Logs takes.
    #[schemars(extend("enum" = RETENTION_DAYS))]
    pub retention_days: u32,
}

/// A kind of control-plane log.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ControlPlaneLog {
    /// The API server's.
    Api,
    /// Who called the API server.
    Audit,
    /// Who was let in.
    Authenticator,
    /// The controller manager's.
    ControllerManager,
    /// The scheduler's.
    Scheduler,
}

/// How pods get AWS credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkloadIdentity {
    /// EKS Pod Identity: associations in EKS, no OIDC trust in the roles.
    #[default]
    PodIdentity,
    /// IAM Roles for Service Accounts: the roles trust the cluster's OIDC provider.
    Irsa,
}

/// The system node group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SystemNodes {
    /// Instance types, all of one architecture.
    #[schemars(
        length(min = 1, max = 20),
        inner(regex(pattern = r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$"))
    )]
    #[schemars(extend("uniqueItems" = true))]
    #[schemars(extend("patternErrorMessage" = "an EC2 instance type, as t3.medium"))]
    pub instance_types: Vec<String>,
    /// Least number of nodes.
    #[schemars(range(min = 1, max = 100))]
    pub min: u32,
    /// Number of nodes at the start.
    #[schemars(range(min = 1, max = 100))]
    pub desired: u32,
    /// Greatest number of nodes.
    #[schemars(range(min = 1, max = 100))]
    pub max: u32,
    /// The root volume, in GiB; gp3, encrypted.
    #[schemars(range(min = 20, max = 16384))]
    pub disk_gib: u32,
}

/// EKS add-ons. vpc-cni (with prefix delegation), kube-proxy, the Pod Identity agent, CoreDNS, the EBS CSI driver and metrics-server are always there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Addons {
    /// The CloudWatch agent and Fluent Bit: node and container metrics and logs in CloudWatch.
    pub cloudwatch_observability: bool,
    /// Versions by add-on name (`coredns: v1.13.1-eksbuild.1`). Default: EKS's default for the Kubernetes version.
    pub versions: BTreeMap<String, String>,
}

/// The AWS side of Karpenter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Karpenter {
    /// Whether it is there.
    pub enabled: bool,
    /// Whether Spot interruptions, rebalance recommendations, state changes and scheduled maintenance reach Karpenter through a queue.
    pub interruption_queue: bool,
}

/// Something that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Toggle {
    /// Whether it is there.
    pub enabled: bool,
}

/// The AWS side of the External Secrets Operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExternalSecrets {
    /// Whether it is there.
    pub enabled: bool,
    /// The secrets that it may read, by the first part of their names (`dev/`). Default: `<env>/`, and the platform's own secrets of the environment.
    #[schemars(extend("uniqueItems" = true))]
    pub prefixes: Vec<String>,
}

/// ElastiCache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Redis {
    /// Whether it is there. `ENABLE_AWS_SERVICES` overrides it.
    pub enabled: bool,
    /// Redis or Valkey.
    pub engine: RedisEngine,
    /// The engine's version, in quotes. Default: the newest that the catalog knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
    /// The node type, `cache.…`.
    #[schemars(regex(pattern = r"^cache\.[a-z0-9]+\.[a-z0-9]+$"))]
    #[schemars(extend("patternErrorMessage" = "an ElastiCache node type, as cache.t4g.small"))]
    pub node_type: String,
    /// Read replicas, in other availability zones. With one or more there is automatic failover.
    #[schemars(range(min = 0, max = 5))]
    pub replicas: u32,
    /// Days that automatic snapshots are kept; 0 makes none.
    #[schemars(range(min = 0, max = 35))]
    pub snapshot_retention_days: u32,
}

/// Redis or Valkey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RedisEngine {
    /// Redis OSS.
    #[default]
    Redis,
    /// Valkey, its open-source successor; cheaper on ElastiCache.
    Valkey,
}

/// Amazon MQ for RabbitMQ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RabbitMq {
    /// Whether it is there. `ENABLE_AWS_SERVICES` overrides it.
    pub enabled: bool,
    /// One broker, or three in three availability zones. (Active/standby is ActiveMQ's; RabbitMQ has none.)
    pub deployment_mode: RabbitMqDeploymentMode,
    /// The instance type, `mq.…`.
    #[schemars(regex(pattern = r"^mq\.[a-z0-9]+\.[a-z0-9]+$"))]
    #[schemars(extend("patternErrorMessage" = "an Amazon MQ instance type, as mq.m7g.medium"))]
    pub instance_type: String,
    /// The engine's version, in quotes. Default: the newest that the catalog knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
}

/// How many brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RabbitMqDeploymentMode {
    /// One broker in one availability zone.
    #[default]
    SingleInstance,
    /// Three brokers in three availability zones.
    ClusterMultiAz,
}

/// A secret whose value is generated in Secrets Manager and never seen here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GeneratedSecret {
    /// Its name in Secrets Manager (`dev/myapp/database`).
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[A-Za-z0-9/_+=.@-]+$"))]
    #[schemars(extend("patternErrorMessage" = "letters, digits and /_+=.@-"))]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its length in characters.
    #[serde(default = "default_secret_length")]
    #[schemars(range(min = 8, max = 4096))]
    pub length: u32,
}

fn default_secret_length() -> u32 {
    32
}

/// The domain and its DNS.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dns {
    /// The domain (`example.com`). `DOMAIN` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Who answers for it.
    pub provider: DnsProvider,
    /// The hosted zone, when `provider` is `route53` and the zone exists already; it is made otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^Z[A-Z0-9]{1,31}$"))]
    #[schemars(extend("patternErrorMessage" = "a hosted zone's id, as Z0123456789ABCDEFGHIJ"))]
    pub hosted_zone_id: Option<String>,
    /// Host names under the domain, by service: `web: app` is `app.<domain>`.
    pub hostnames: BTreeMap<String, String>,
}

/// Who answers for the domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DnsProvider {
    /// Somebody else (Cloudflare, …): the records to make are printed.
    #[default]
    External,
    /// Amazon Route 53.
    Route53,
}

/// The TLS certificate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Certificate {
    /// Where it comes from.
    pub mode: CertificateMode,
    /// The ARN of a certificate that exists already; then none is made. `CERTIFICATE_ARN` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateMode {
    /// No certificate.
    #[default]
    None,
    /// One for the domain and all names directly under it.
    Wildcard,
    /// One for each host name.
    PerService,
}

/// AWS WAF.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Waf {
    /// Whether it is there.
    pub enabled: bool,
    /// Requests in five minutes from one address before it is blocked.
    #[schemars(range(min = 10, max = 2_000_000_000))]
    pub rate_limit: u32,
}

/// CloudTrail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Audit {
    /// Whether a trail is made.
    pub cloud_trail: bool,
    /// How long its files are kept, in days.
    #[schemars(range(min = 1, max = 3653))]
    pub retention_days: u32,
}

/// AWS Backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Backup {
    /// Whether it is there.
    pub enabled: bool,
    /// When, as an AWS Backup cron expression in UTC.
    pub schedule: String,
    /// How long recovery points are kept, in days.
    #[schemars(range(min = 1, max = 36500))]
    pub retention_days: u32,
}

/// A monthly budget.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Budget {
    /// The limit a month in US dollars; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub monthly_usd: Option<u32>,
    /// Who is told at 80 % of actual and 100 % of forecasted cost.
    #[schemars(extend("uniqueItems" = true))]
    pub emails: Vec<String>,
}

/// What environments share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shared {
    /// ECR repositories, by the last part of their names: `<platform>/<name>`.
    #[schemars(extend("uniqueItems" = true))]
    pub repositories: Vec<String>,
}

/// Where the state is kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StateBackend {
    /// In a folder beside `platform.yaml`, or in the shared scope's S3 bucket with its DynamoDB lock.
    pub backend: StateBackendKind,
    /// The bucket's name. Default: `<platform>-seaworthy-state-<account>`, made by `seaworthy bootstrap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The lock table's name. Default: `<platform>-seaworthy-locks`, made by `seaworthy bootstrap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_table: Option<String>,
}

/// What the state is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateBackendKind {
    /// A folder on this machine.
    #[default]
    Folder,
    /// Amazon S3 with a DynamoDB lock.
    S3,
}

/// What becomes of a single resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LifecycleRule {
    /// Made, changed and deleted with the platform.
    Managed,
    /// Made and changed, but left alone when the environment is destroyed.
    Retain,
    /// Somebody else's, by its identifier: read, never changed.
    Existing(String),
}
