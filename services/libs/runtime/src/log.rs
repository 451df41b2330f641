//! Logs on stderr: JSON lines for machines, coloured lines for a terminal.

use std::io::IsTerminal as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

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
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        lines.with_ansi(colours).boxed()
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(is_discreet))
        .with(WithoutRefusedLogins)
        .with(lines);
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

/// What these libraries say in more detail than this holds messages, headers and the parameters of statements: with
/// them signatures, parts of bodies and passwords. No filter brings it into the log. The NATS client also has a line for
/// each attempt to connect; `bus` says once what is the matter.
const TALKATIVE: [(&str, Level); 2] = [("async_nats", Level::WARN), ("tokio_postgres", Level::INFO)];

fn is_discreet(metadata: &Metadata<'_>) -> bool {
    TALKATIVE
        .iter()
        .all(|(target, level)| !metadata.target().starts_with(target) || metadata.level() <= level)
}

/// Leaves out what the NATS client says at each attempt to log in that the server refuses, every few seconds for as long
/// as it does: `bus` says it once. What else that server says against a connection is nowhere but in these lines.
struct WithoutRefusedLogins;

impl<S: Subscriber> Layer<S> for WithoutRefusedLogins {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != "async_nats::connector" {
            return true;
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        message.0 != "authorization violation"
    }
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
