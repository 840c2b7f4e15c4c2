//! The control of the sandbox itself, under `/_seaworthy/` of the same port: for who can read the token in the world's folder.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::aws::account::Overview;
use crate::aws::faults::Faults;
use crate::aws::services::events::{self, InstanceEvent};
use crate::aws::wire::{Reply, Request};
use crate::clock::TimeScale;
use crate::server::Shared;

/// What the paths of the control begin with.
pub(crate) const PREFIX: &str = "/_seaworthy/";

/// What a running sandbox says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The version of the program that it runs.
    pub version: String,
    /// The faults that are on order.
    pub faults: Faults,
    /// Its world.
    #[serde(flatten)]
    pub overview: Overview,
}

/// A change of the time scale.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TimeScaleChange {
    pub(crate) time_scale: TimeScale,
}

/// Something that is to happen to an instance.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Interruption {
    /// Its id, or its node's name.
    pub(crate) instance: String,
    pub(crate) event: InstanceEvent,
}

/// Answers one control request.
pub(crate) fn answer(shared: &Shared, request: &Request) -> Reply {
    let given = request
        .header("authorization")
        .strip_prefix("Bearer ")
        .unwrap_or_default();
    // Digests are compared, so that the time that it takes tells nothing of the token.
    if Sha256::digest(given) != Sha256::digest(&shared.control_token) {
        return reply(
            401,
            &json!({ "error": "the control needs the token in the world's folder" }),
        );
    }
    let done = match (
        &request.method,
        request.path.strip_prefix(PREFIX).unwrap_or_default(),
    ) {
        (&Method::GET, "status") => status(shared),
        (&Method::GET, "world") => shared.account.resources().map_err(|error| error.message),
        (&Method::GET, "faults") => Ok(json!(shared.account.faults())),
        (&Method::PUT, "faults") => read::<Faults>(request).and_then(|faults| {
            faults.check()?;
            shared
                .account
                .set_faults(faults)
                .map_err(|error| error.to_string())?;
            Ok(json!({}))
        }),
        (&Method::PUT, "time-scale") => read::<TimeScaleChange>(request).map(|change| {
            shared.account.set_time_scale(change.time_scale);
            json!({})
        }),
        (&Method::POST, "reset") => shared
            .account
            .reset()
            .map(|()| json!({}))
            .map_err(|error| error.to_string()),
        (&Method::POST, "interrupt") => read::<Interruption>(request).and_then(|wanted| {
            events::happen(&shared.account, &wanted.instance, wanted.event)
                .map(|happened| json!(happened))
                .map_err(|error| error.message)
        }),
        (&Method::POST, "shutdown") => {
            shared.shutdown.send_replace(true);
            Ok(json!({}))
        }
        (method, path) => {
            return reply(
                404,
                &json!({ "error": format!("there is no {method} {PREFIX}{path}") }),
            );
        }
    };
    match done {
        Ok(value) => reply(200, &value),
        Err(error) => reply(400, &json!({ "error": error })),
    }
}

fn status(shared: &Shared) -> Result<Value, String> {
    let overview = shared.account.overview().map_err(|error| error.message)?;
    let status = Status {
        pid: std::process::id(),
        port: shared.port,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        faults: shared.account.faults(),
        overview,
    };
    serde_json::to_value(status).map_err(|error| error.to_string())
}

fn read<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| error.to_string())
}

fn reply(status: u16, value: &Value) -> Reply {
    Reply {
        status,
        content_type: "application/json",
        body: value.to_string().into_bytes(),
    }
}
