//! Logs on stderr: JSON lines for machines, coloured lines for a terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::settings::Origin;
use crate::{Settings, SettingsError};

/// Starts logging as `HOOKSTREAM_LOG` and `HOOKSTREAM_LOG_FORMAT` say. A second call changes nothing.
pub fn init(settings: &Settings) -> Result<(), SettingsError> {
    let name = "HOOKSTREAM_LOG";
    let filter = settings.get(name).unwrap_or_default();
    let filter = EnvFilter::try_new(&filter).map_err(|error| SettingsError::Invalid {
        name: name.to_owned(),
        origin: settings.origin(name).cloned().unwrap_or(Origin::Default),
        problem: format!("is no filter: {error}"),
    })?;
    let json = match settings.get("HOOKSTREAM_LOG_FORMAT").as_deref() {
        Some("json") => true,
        Some("pretty") => false,
        _ => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let subscriber: Arc<dyn tracing::Subscriber + Send + Sync> = if json {
        Arc::new(builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish())
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Arc::new(builder.with_ansi(colours).finish())
    };
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            // Formatted messages may quote what was being worked on, such as a body; literal ones cannot.
            let message = info.payload().downcast_ref::<&str>().unwrap_or(&"(message withheld)");
            tracing::error!(place, "panic at {place}: {message}");
        }));
    }
    Ok(())
}
