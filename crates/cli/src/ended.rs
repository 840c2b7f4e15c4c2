//! How a command ends: its exit code, and what went wrong in words.

use std::error::Error as _;
use std::process::ExitCode;

use operations::Error;

/// How a command ends when it did not go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Everything was done.
    Done,
    /// There are changes, or drift, and that was asked for as an exit code.
    Changes,
    /// Something failed; it was told already.
    Failed,
    /// It was refused; it was told already.
    Refused,
    /// It was stopped.
    Interrupted,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Done => 0,
            Ending::Failed => 1,
            Ending::Changes => 2,
            Ending::Refused => 3,
            Ending::Interrupted => 130,
        })
    }
}

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A use case could not be carried out.
    #[error(transparent)]
    Operation(#[from] Error),
    /// The sandbox could not be started, stopped or asked.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The output could not be written.
    #[error("could not write the output")]
    Output(#[from] std::io::Error),
    /// The output could not be encoded.
    #[error("could not encode the output")]
    Encode(#[from] serde_json::Error),
    /// It was not allowed, and nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Wrong(String),
}

impl Failure {
    /// Whether nobody reads the output any more (`seaworthy plan | head`): no error.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn ending(&self) -> Ending {
        match self {
            Self::Operation(error) if error.is_refusal() => Ending::Refused,
            Self::Refused(_) => Ending::Refused,
            _ => Ending::Failed,
        }
    }

    /// The error for people: what, why, and what to do.
    pub(crate) fn text(&self, colour: bool) -> String {
        if let Self::Operation(Error::Spec(wrong)) = self {
            return spec::render(wrong, colour);
        }
        let mut text = String::new();
        if let Self::Operation(Error::Blueprint(errors)) = self {
            for error in errors {
                text.push_str(&format!("error: {error}\n"));
            }
            return text;
        }
        if let Self::Operation(Error::Export(errors)) = self {
            for error in errors {
                text.push_str(&format!("error: {error}\n"));
            }
            return text;
        }
        text.push_str(&format!("error: {self}\n"));
        let mut cause = self.source();
        let mut last = self.to_string();
        while let Some(error) = cause {
            let words = error.to_string();
            // Transparent layers say the same again.
            if words != last {
                text.push_str(&format!("  because {words}\n"));
            }
            last = words;
            cause = error.source();
        }
        let help = match self {
            Self::Operation(error) => error.help(),
            _ => None,
        };
        if let Some(help) = help {
            text.push_str(&format!("  help: {help}\n"));
        }
        text
    }
}
