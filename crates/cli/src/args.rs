//! The command line: what can be typed. The doc comments are the help.
//!
//! Promises: wrong usage ends with 1 (2 means "there are changes"), `--help` and `--version` with 0; nothing touches a
//! real account unless `--target aws` is given or set.

mod catalog;
mod cluster;
mod export;
mod simulate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ::catalog::ids::{Address, EnvironmentName, PlatformName, Region, Serial};
use clap::{ArgGroup, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::catalog::{CatalogCommand, CatalogRefreshArgs};
pub use cluster::{KubeconfigArgs, TokenArgs};
pub use export::{ExportArgs, ExportFormat, Exported};
use simulate::span;
pub use simulate::{FeatureGate, NodeName, ReplicasArg, SimulateArgs, SimulateOutput};

/// Plan, prove and launch a production EKS platform from one spec.
///
/// Everything goes to the sandbox, an AWS on this machine, unless `--target aws` is given.
#[derive(Debug, Clone, PartialEq, Parser)]
#[command(
    name = "seaworthy",
    bin_name = "seaworthy",
    version,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Begin with:\n  seaworthy init shop --preset ekb && cd shop\n  seaworthy plan -e dev\n  seaworthy sandbox start\n  seaworthy deploy -e dev\n\n\
                  Exit codes: 0 done; 1 error or wrong usage; 2 changes or drift, with --detailed-exitcode only;\n3 refused; 130 interrupted."
)]
pub struct Args {
    /// What applies to every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Work in DIR: the platform is the `platform.yaml` in it or in a folder above it
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Where the platform goes: the sandbox on this machine, or a real AWS account
    #[arg(
        long,
        value_enum,
        value_name = "sandbox|aws",
        hide_possible_values = true,
        hide_env_values = true,
        env = "SEAWORTHY_TARGET",
        default_value_t = TargetName::Sandbox,
        global = true
    )]
    pub target: TargetName,
    /// The profile of the AWS configuration, for `--target aws`
    #[arg(long, value_name = "NAME", global = true)]
    pub profile: Option<String>,
    /// Whether to colour; `auto` does so on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, value_name = "auto|always|never", hide_possible_values = true, default_value_t = ColorChoice::Auto, global = true)]
    pub color: ColorChoice,
    /// Log what happens to standard error; twice logs every call
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// Where a platform goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TargetName {
    /// The embedded AWS on this machine
    Sandbox,
    /// A real AWS account, with the credentials of the AWS SDK's own chain
    Aws,
}

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Write a new platform's folder from a preset
    #[command(
        after_help = "Examples:\n  seaworthy init shop --preset ekb\n  seaworthy init --preset accelerator --cluster-name training"
    )]
    Init(InitArgs),
    /// Check an environment's spec: all mistakes at once, each with its place
    Validate(ValidateArgs),
    /// Show what a deploy would do, and change nothing
    #[command(
        after_help = "Examples:\n  seaworthy plan -e prod\n  seaworthy plan -e prod --out plan.json && seaworthy deploy -e prod --plan plan.json\n  \
                      seaworthy plan -e prod -o json | jq .summary\n  seaworthy plan -e prod -o dot | dot -Tsvg > plan.svg"
    )]
    Plan(PlanArgs),
    /// Make an environment what its spec says; shows the plan first, and asks
    ///
    /// An interrupted deploy is carried on by the same command. Ctrl-C once starts nothing new and waits for what is
    /// under way; twice stops at once. Nothing is lost or made twice either way.
    #[command(
        after_help = "Examples:\n  seaworthy deploy -e dev\n  seaworthy deploy -e prod --yes --target aws --profile prod\n  seaworthy deploy -e prod --plan plan.json"
    )]
    Deploy(DeployArgs),
    /// Show what an environment consists of and how it stands
    Status(StatusArgs),
    /// Show what was changed behind the spec's back
    Drift(DriftArgs),
    /// Delete an environment, and prove that nothing is left
    ///
    /// A protected environment (prod by default) is destroyed only with `--confirm` and its name. What environments
    /// share stays.
    #[command(
        after_help = "Examples:\n  seaworthy destroy -e dev\n  seaworthy destroy -e prod --confirm shop-prod --yes"
    )]
    Destroy(DestroyArgs),
    /// Print a kubeconfig for an environment's cluster, or merge it into yours
    ///
    /// No token is in it: kubectl and its kind call `seaworthy token` for one. The context is called `<platform>-<env>@<target>`.
    #[command(
        after_help = "Examples:\n  seaworthy kubeconfig -e dev --merge && kubectl get nodes\n  seaworthy kubeconfig -e prod --target aws > prod.kubeconfig"
    )]
    Kubeconfig(KubeconfigArgs),
    /// Print a token for an environment's cluster, as kubectl asks for it
    ///
    /// It is made on this machine, from the credentials of the target, and good for 14 minutes. The AWS CLI is not needed.
    #[command(
        after_help = "Example:\n  curl -H \"Authorization: Bearer $(seaworthy token -e dev | jq -r .status.token)\" …"
    )]
    Token(TokenArgs),
    /// Make what environments share: image repositories, the state's bucket and lock
    Bootstrap(BootstrapArgs),
    /// Ask AWS whether a deploy can work: account, region, types, quotas
    Preflight(PreflightArgs),
    /// Look at the state of an environment, and repair it
    #[command(subcommand, arg_required_else_help = true)]
    State(StateCommand),
    /// The embedded AWS on this machine
    ///
    /// A process of its own on the loopback interface. Its world is on disk; its clock stops when it stops.
    #[command(subcommand, arg_required_else_help = true)]
    Sandbox(SandboxCommand),
    /// Write an environment as files of CloudFormation, Terraform or eksctl
    ///
    /// All of them are made from the same resources that a deploy makes. Files that no export has written are never
    /// touched; what an earlier export wrote and is no longer needed is removed.
    #[command(
        after_help = "Examples:\n  seaworthy export terraform -e all -o infrastructure\n  seaworthy export cloudformation -e prod -o stacks\n  seaworthy export eksctl -e dev -o cluster"
    )]
    Export(ExportArgs),
    /// Say what Karpenter will do with a cluster, why, and what it costs
    ///
    /// Offline, from any cluster's snapshot or from an environment that is not built: nothing is asked of a cluster or of AWS. Pods are placed, nodes launched, consolidated, drained and interrupted in
    /// virtual time, by the rules of the Karpenter version that is named. The same input and seed give the same answer.
    #[command(after_help = simulate::EXAMPLES)]
    Simulate(Box<SimulateArgs>),
    /// The facts that plans and simulations go by
    #[command(subcommand, arg_required_else_help = true)]
    Catalog(CatalogCommand),
    /// Print the least IAM policy that a deployer of this environment needs
    #[command(after_help = "Example:\n  seaworthy iam-policy -e prod > deployer-policy.json")]
    IamPolicy(IamPolicyArgs),
    /// Try a small throwaway set in a real account
    ///
    /// Makes, changes and deletes a VPC, a subnet, a role, a queue with its policy and a secret, and reports every
    /// difference from what the sandbox does. It costs next to nothing.
    VerifyAws(VerifyAwsArgs),
    /// Print the JSON Schema of platform.yaml, for editors
    Schema(SchemaArgs),
    /// Check this machine: sandbox, credentials, tools, the platform's folder
    Doctor(DoctorArgs),
    /// Print a script that completes commands and options
    #[command(
        after_help = "Examples:\n  seaworthy completions bash > ~/.local/share/bash-completion/completions/seaworthy\n  seaworthy completions fish > ~/.config/fish/completions/seaworthy.fish"
    )]
    Completions(CompletionsArgs),
}

/// The environment of a command.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct EnvironmentArg {
    /// The environment: a file's name in `environments/`
    #[arg(
        short,
        long = "environment",
        value_name = "ENV",
        env = "SEAWORTHY_ENVIRONMENT", hide_env_values = true,
        value_parser = own_environment
    )]
    pub environment: EnvironmentName,
}

/// The environment of a command that can look at the shared scope too.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct ScopeArg {
    /// The environment: a file's name in `environments/`, or `shared` for what environments share
    #[arg(
        short,
        long = "environment",
        value_name = "ENV",
        env = "SEAWORTHY_ENVIRONMENT",
        hide_env_values = true
    )]
    pub environment: EnvironmentName,
}

/// How a command reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Args)]
pub struct OutputArg {
    /// How to report: text for people, JSON for programs
    #[arg(short, long, value_enum, value_name = "text|json", hide_possible_values = true, default_value_t = Output::Text)]
    pub output: Output,
}

/// How a command reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Text,
    /// For programs: stable and documented
    Json,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PlanOutput {
    /// For people
    #[default]
    Text,
    /// For programs: stable and documented
    Json,
    /// A graph, for Graphviz
    Dot,
}

/// `init`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct InitArgs {
    /// The folder to write; made if it is not there
    // Not called `directory`: clap takes that for the global option of the name.
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// What to begin with
    #[arg(long, value_enum, value_name = "PRESET")]
    pub preset: PresetName,
    /// The platform's name, first part of every name in AWS; the folder's name if it is left out
    #[arg(long, value_name = "NAME", conflicts_with = "cluster_name")]
    pub name: Option<PlatformName>,
    /// The same, as the accelerator's users know it: clusters are called NAME-dev and NAME-prod
    #[arg(long, value_name = "NAME")]
    pub cluster_name: Option<PlatformName>,
}

impl InitArgs {
    /// The name that was given, by either option.
    pub fn given_name(&self) -> Option<&PlatformName> {
        self.name.as_ref().or(self.cluster_name.as_ref())
    }
}

/// What a new platform begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetName {
    /// EKS with Redis, RabbitMQ, a wildcard certificate and backups
    Ekb,
    /// A dev and a prod cluster fed from Git, small and cheap
    Gitops,
    /// A bare cluster with Karpenter and CloudWatch observability
    Accelerator,
}

impl From<PresetName> for spec::Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::Ekb => Self::Ekb,
            PresetName::Gitops => Self::Gitops,
            PresetName::Accelerator => Self::Accelerator,
        }
    }
}

/// `validate`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct ValidateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `plan`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    /// Ask AWS what is really there, instead of believing the state
    #[arg(long)]
    pub refresh: bool,
    /// Plan the deletion of everything; with --refresh the cluster is asked what others have made in it
    #[arg(long)]
    pub destroy: bool,
    /// Write the plan to FILE, for `deploy --plan FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// End with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show unchanged resources too
    #[arg(long)]
    pub all: bool,
    /// How to report: text for people, JSON for programs, dot for Graphviz
    #[arg(short, long, value_enum, value_name = "text|json|dot", hide_possible_values = true, default_value_t = PlanOutput::Text)]
    pub output: PlanOutput,
}

/// How hard AWS is worked.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct PaceArgs {
    /// Operations under way at once
    #[arg(long, value_name = "N", value_parser = positive)]
    pub concurrency: Option<usize>,
    /// Calls a second, for each AWS API
    #[arg(long, value_name = "N", value_parser = above_zero)]
    pub rate: Option<f64>,
}

/// `deploy`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct DeployArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: EnvironmentArg,
    /// Apply this plan, as `plan --out` has written it; refused if the spec or the state has changed since
    #[arg(long, value_name = "FILE", conflicts_with = "refresh")]
    pub plan: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Ask AWS what is really there, instead of believing the state
    #[arg(long)]
    pub refresh: bool,
    /// Take back fields of Kubernetes objects that others have set since (kubectl, a controller)
    #[arg(long)]
    pub force_conflicts: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pace: PaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `status`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    /// Ask AWS whether each resource is there, instead of believing the state
    #[arg(long)]
    pub live: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `drift`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct DriftArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    /// End with 2 when there is drift
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `destroy`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct DestroyArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: EnvironmentArg,
    /// The environment's name in AWS (`shop-prod`), to destroy a protected one
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// How long pods may hold the cluster's nodes by a disruption budget or `karpenter.sh/do-not-disrupt` (`90s`, `10m`);
    /// then they are deleted. In the sandbox it is modelled time
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "10m")]
    pub drain_timeout: Duration,
    /// Do not ask the cluster: for one that nobody can get into any more. What is in it goes with it; nodes and load balancers
    /// are deleted by their tags, and volumes of claims stay in the account
    #[arg(long)]
    pub without_cluster: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pace: PaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `bootstrap`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct BootstrapArgs {
    /// Delete what environments share, instead of making it
    #[arg(long)]
    pub destroy: bool,
    /// The shared scope's name (`shop-shared`), to destroy it
    #[arg(long, value_name = "NAME", requires = "destroy")]
    pub confirm: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Ask AWS what is really there, instead of believing the state
    #[arg(long, conflicts_with = "destroy")]
    pub refresh: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pace: PaceArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `preflight`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct PreflightArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// The commands of `state`.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum StateCommand {
    /// List the resources of the state
    List(StateArgs),
    /// Show one resource: its properties, what it needs, what AWS says of it
    #[command(after_help = "Example:\n  seaworthy state show -e prod network/vpc")]
    Show(StateShowArgs),
    /// List the states that can be returned to
    History(StateArgs),
    /// Return to an earlier state; nothing in AWS is changed
    ///
    /// What is there now is put aside, not deleted. The next deploy looks for every resource that the state does not
    /// know of before it makes one.
    Rollback(StateRollbackArgs),
    /// Take the lock away from whoever holds it
    ///
    /// Whoever held it can't write any more. Wait until a lock has expired if its owner may still be at work.
    Unlock(StateUnlockArgs),
}

/// `state list`, `state history`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `state show`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StateShowArgs {
    /// The resource (`network/vpc`)
    #[arg(value_name = "ADDRESS")]
    pub address: Address,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `state rollback`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StateRollbackArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    /// The serial of the state to return to, from `state history`; the newest whole one if it is left out
    #[arg(long, value_name = "SERIAL", value_parser = serial)]
    pub to: Option<Serial>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `state unlock`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct StateUnlockArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// The commands of `sandbox`.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum SandboxCommand {
    /// Start it, detached, if it does not run
    #[command(
        after_help = "Examples:\n  seaworthy sandbox start --time-scale max\n  seaworthy sandbox start --faults faults.json\n  seaworthy sandbox start --fault ThrottlingException=20% --fault NotStabilized@1/CreateResource/AWS::EKS::Cluster"
    )]
    Start(SandboxStartArgs),
    /// Stop it; its world stays on disk
    Stop,
    /// Show whether it runs, where, how fast its time goes and what is in it
    Status(SandboxStatusArgs),
    /// Print the variables that point the AWS CLI and SDKs at it
    #[command(
        after_help = "Examples:\n  eval \"$(seaworthy sandbox env)\"\n  seaworthy sandbox env --shell fish | source"
    )]
    Env(SandboxEnvArgs),
    /// Empty its world
    Reset(SandboxResetArgs),
    /// Make its calls fail as a file says, from now on
    Faults(SandboxFaultsArgs),
    /// Let something happen to an instance: a spot interruption, a scheduled change, its end
    ///
    /// EC2 or AWS Health tell EventBridge of it, whose rules hand it to Karpenter's queue, if there is one; what Karpenter and the
    /// cluster make of it shows in `kubectl get nodes,nodeclaims` and in the events. A spot instance is taken back two minutes of the
    /// sandbox's time after the notice. A node group launches another instance in the place of one that ends.
    #[command(
        after_help = "Examples:\n  seaworthy sandbox interrupt ip-10-0-12-34.ec2.internal\n  seaworthy sandbox interrupt i-0123456789abcdef0 --event scheduled-change\n  seaworthy sandbox interrupt ip-10-0-12-34 --event terminated -o json"
    )]
    Interrupt(SandboxInterruptArgs),
    /// Print every resource of its world, as a read returns it
    #[command(hide = true)]
    World,
    /// Be the sandbox, in the foreground
    #[command(hide = true)]
    Serve(SandboxStartArgs),
}

/// `sandbox start`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SandboxStartArgs {
    /// The port on 127.0.0.1, 0 for any free one; 4577 if it is left out, or a free one if that is taken
    #[arg(long, value_name = "N")]
    pub port: Option<u16>,
    /// Modelled seconds a second: 60 lets an EKS cluster take 9 seconds; `max` waits for nothing [default: 60]
    #[arg(long, value_name = "N|max", value_parser = time_scale)]
    pub time_scale: Option<f64>,
    /// Which calls fail, and how
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
    /// One fault, `CODE=20%` or `CODE@3`, with `/OPERATION` and `/TYPE` after it to narrow it; may be repeated
    #[arg(long = "fault", value_name = "FAULT", conflicts_with = "faults")]
    pub fault: Vec<sandbox::FaultRule>,
    /// Leave the validation records of certificates to the user, as outside AWS
    #[arg(long)]
    pub no_external_dns: bool,
    /// A quota of the account by its Service Quotas code, as `L-0263D0A3=20` (Elastic IPs); may be repeated
    #[arg(long = "quota", value_name = "CODE=N", value_parser = quota)]
    pub quotas: Vec<(String, f64)>,
    /// The region that it plays; the spec's if it is left out
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
}

/// `sandbox status`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SandboxStatusArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `sandbox env`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SandboxEnvArgs {
    /// The shell to write for
    #[arg(long, value_enum, value_name = "SHELL", default_value_t = EnvShell::Sh)]
    pub shell: EnvShell,
}

/// The shells that variables are printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EnvShell {
    /// sh, bash, zsh
    #[default]
    Sh,
    /// fish
    Fish,
}

/// `sandbox reset`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SandboxResetArgs {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// `sandbox faults`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct SandboxFaultsArgs {
    /// Which calls fail, and how
    #[arg(value_name = "FILE", group = "what")]
    pub file: Option<PathBuf>,
    /// No faults any more
    #[arg(long, group = "what")]
    pub clear: bool,
}

/// `sandbox interrupt`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SandboxInterruptArgs {
    /// The instance: its node's name, whole or up to the first dot, or its id
    #[arg(value_name = "NODE|INSTANCE")]
    pub instance: String,
    /// What happens to it
    #[arg(long, value_enum, value_name = "EVENT", default_value_t = InterruptEvent::Spot)]
    pub event: InterruptEvent,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// What can happen to an instance; the names are those of `simulate --interrupt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum InterruptEvent {
    /// EC2 takes the spot instance back in two minutes
    #[default]
    #[value(alias = "spot-interruption")]
    Spot,
    /// EC2 says that it may soon take the instance back; Karpenter only notes it
    #[value(alias = "rebalance-recommendation")]
    Rebalance,
    /// AWS Health announces that the machine is retired; it runs on until it is drained
    ScheduledChange,
    /// Somebody stops it
    Stopping,
    /// Somebody terminates it
    Terminated,
}

/// `iam-policy`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct IamPolicyArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: ScopeArg,
}

/// `verify-aws`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct VerifyAwsArgs {
    /// The region to do it in; that of the profile if it is left out
    #[arg(long, value_name = "REGION")]
    pub region: Option<Region>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `schema`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct SchemaArgs {
    /// That of `environments/<env>.yaml` instead, where no key is required
    #[arg(long)]
    pub environment: bool,
}

/// `doctor`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub output: OutputArg,
}

/// `completions`.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct CompletionsArgs {
    /// The shell to write for
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// An environment that is not what environments share: that has commands of its own.
fn own_environment(text: &str) -> Result<EnvironmentName, String> {
    if text == "shared" {
        return Err(
            "what environments share is made by `seaworthy bootstrap` and deleted by `seaworthy bootstrap --destroy`"
                .to_owned(),
        );
    }
    text.parse::<EnvironmentName>()
        .map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a whole number above 0 is wanted".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is wanted".to_owned()),
    }
}

fn time_scale(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    above_zero(text).map_err(|_| "a number above 0 is wanted, or `max`".to_owned())
}

fn quota(text: &str) -> Result<(String, f64), String> {
    let wrong = || "a code and a number are wanted, such as L-0263D0A3=20".to_owned();
    let (code, number) = text.split_once('=').ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let valid = code.starts_with("L-") && number.is_finite() && number >= 0.0;
    valid.then(|| (code.to_owned(), number)).ok_or_else(wrong)
}

fn serial(text: &str) -> Result<Serial, String> {
    text.parse()
        .map(Serial)
        .map_err(|_| "a serial is a whole number; `seaworthy state history` lists them".to_owned())
}

/// The process's arguments. Ends the process when they are wrong (1), or ask for help or the version (0).
pub fn parse() -> Args {
    match parse_from(std::env::args_os()) {
        Ok(args) => args,
        Err(ended) => {
            // Nobody is left to be told that the message could not be written.
            let _ = ended.message.print();
            std::process::exit(i32::from(ended.code));
        }
    }
}

/// Why there is nothing to do but to print a message and end.
#[derive(Debug)]
pub struct Ended {
    /// What to print; it knows to which stream.
    pub message: clap::Error,
    /// What to end with.
    pub code: u8,
}

/// These arguments, the program's name first.
///
/// # Errors
///
/// Help, the version, or what is wrong, with the code to end with.
pub fn parse_from<I, T>(arguments: I) -> Result<Args, Box<Ended>>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Args::try_parse_from(arguments).map_err(|message| {
        // clap's own code for wrong usage is 2, which here means that there are changes.
        let code = u8::from(message.use_stderr());
        Box::new(Ended { message, code })
    })
}

/// Writes the script that completes commands and options in a shell.
pub fn completions(shell: Shell, out: &mut dyn std::io::Write) {
    clap_complete::generate(shell, &mut Args::command(), "seaworthy", &mut { out });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Args {
        parse_from(line.split_whitespace()).unwrap_or_else(|ended| panic!("{}", ended.message))
    }

    fn code(line: &str) -> u8 {
        parse_from(line.split_whitespace()).unwrap_err().code
    }

    #[test]
    fn the_commands_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_and_option_has_help() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                assert!(
                    help.is_some_and(|help| !help.is_empty()),
                    "{} of {}",
                    argument.get_id(),
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Args::command();
        command.build();
        check(&command);
    }

    #[test]
    fn the_list_of_commands_has_a_line_for_each() {
        let help = parse_from(["seaworthy", "--help"])
            .unwrap_err()
            .message
            .to_string();
        let listed = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        assert_eq!(
            listed.count(),
            Args::command().get_subcommands().count(),
            "{help}"
        );
    }

    #[test]
    fn wrong_usage_ends_with_1_and_help_with_0() {
        for wrong in [
            "seaworthy",
            "seaworthy dance",
            "seaworthy state",
            "seaworthy init --preset none",
            "seaworthy sandbox faults",
            "seaworthy sandbox faults a.yaml --clear",
            "seaworthy sandbox start --time-scale 0",
            "seaworthy sandbox interrupt",
            "seaworthy sandbox interrupt i-1 --event spott",
            "seaworthy deploy -e dev --rate NaN",
            "seaworthy deploy -e dev --concurrency 0",
            "seaworthy deploy -e dev --plan p --refresh",
            "seaworthy deploy -e Dev",
            "seaworthy deploy -e shared",
            "seaworthy init --preset ekb --name a1 --cluster-name b1",
            "seaworthy status -e dev -o dot",
            "seaworthy kubeconfig -e dev --file x",
            "seaworthy token -e shared",
        ] {
            assert_eq!(code(wrong), 1, "{wrong}");
        }
        for asked in [
            "seaworthy --help",
            "seaworthy --version",
            "seaworthy plan -h",
            "seaworthy state show --help",
        ] {
            assert_eq!(code(asked), 0, "{asked}");
        }
    }

    #[test]
    fn the_target_is_the_sandbox_unless_told_otherwise() {
        if std::env::var_os("SEAWORTHY_TARGET").is_none() {
            assert_eq!(
                parsed("seaworthy sandbox stop").global.target,
                TargetName::Sandbox
            );
        }
        let args = parsed("seaworthy preflight -e prod --target aws --profile ops");
        assert_eq!(args.global.target, TargetName::Aws);
        assert_eq!(args.global.profile.as_deref(), Some("ops"));
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        let before = parsed("seaworthy -C shop --color never -vv plan -e prod --all -o dot");
        let after = parsed("seaworthy plan -e prod --all -o dot -C shop --color never -vv");
        assert_eq!(before, after);
        assert_eq!(before.global.verbose, 2);
        let Command::Plan(plan) = before.command else {
            panic!("a plan")
        };
        assert_eq!(plan.output, PlanOutput::Dot);
        assert!(plan.all && !plan.refresh);
    }

    #[test]
    fn max_is_the_time_scale_that_waits_for_nothing() {
        let Command::Sandbox(SandboxCommand::Start(start)) =
            parsed("seaworthy sandbox start --time-scale max --port 4566").command
        else {
            panic!("a start")
        };
        assert_eq!(start.time_scale, Some(f64::INFINITY));
        assert_eq!(start.port, Some(4566));
    }

    #[test]
    fn an_interruption_is_of_spot_unless_told_otherwise() {
        let event = |line: &str| {
            let Command::Sandbox(SandboxCommand::Interrupt(args)) = parsed(line).command else {
                panic!("an interruption")
            };
            args.event
        };
        assert_eq!(
            event("seaworthy sandbox interrupt i-1"),
            InterruptEvent::Spot
        );
        assert_eq!(
            event("seaworthy sandbox interrupt ip-10-0-0-1 --event rebalance-recommendation"),
            InterruptEvent::Rebalance
        );
        let wrong = parse_from([
            "seaworthy",
            "sandbox",
            "interrupt",
            "i-1",
            "--event",
            "terminate",
        ]);
        let said = wrong.unwrap_err().message.to_string();
        assert!(said.contains("'terminated'"), "{said}");
    }

    #[test]
    fn completions_know_the_commands() {
        let mut script = Vec::new();
        completions(Shell::Bash, &mut script);
        let script = String::from_utf8(script).unwrap();
        assert!(script.contains("verify-aws") && script.contains("--detailed-exitcode"));
    }
}
