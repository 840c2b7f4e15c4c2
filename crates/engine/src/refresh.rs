//! Reads what is really there.

use std::sync::Arc;

use graph::{Live, State};
use tokio::task::JoinSet;

use crate::executor::Settings;
use crate::limit::{Api, Limits};
use crate::provider::{ErrorClass, Provider, ProviderError};
use crate::retry::Retries;

/// The models of all resources of a state, read within the budgets; none for what is gone.
///
/// # Errors
///
/// The first error that does not go away by trying again.
pub async fn read_live(
    provider: Arc<dyn Provider>,
    state: &State,
    settings: Settings,
) -> Result<Live, ProviderError> {
    let limits = Arc::new(Limits::new(settings.calls, settings.rate, settings.pace));
    let mut tasks = JoinSet::new();
    for (address, resource) in &state.resources {
        let (provider, limits) = (provider.clone(), limits.clone());
        let (address, resource) = (address.clone(), resource.clone());
        let api = Api::of(&resource.type_name, Api::Read);
        tasks.spawn(async move {
            let mut retries = Retries::new(settings.pace);
            loop {
                let permit = limits.permit(api).await;
                let result = provider
                    .observe(
                        &resource.type_name,
                        &resource.identifier,
                        &resource.properties,
                    )
                    .await;
                drop(permit);
                let error = match result {
                    Ok(model) => return Ok((address, model)),
                    Err(error) => error,
                };
                if error.class == ErrorClass::Throttled {
                    limits.throttled(api);
                }
                match retries.after(&error) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                }
            }
        });
    }
    let mut live = Live::new();
    while let Some(joined) = tasks.join_next().await {
        let (address, model) = joined.map_err(|error| ProviderError {
            class: ErrorClass::Terminal,
            code: "Internal".to_owned(),
            message: error.to_string(),
        })??;
        live.insert(address, model);
    }
    Ok(live)
}
