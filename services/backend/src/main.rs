//! The backend as a process.

use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_backend::{Backend, ROLE};
use hookstream_bus::NatsSettings;
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{Limits, bind};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings, Supervisor, exit, process};
use hookstream_store::PgSettings;

fn main() -> ExitCode {
    let info = ProcessInfo {
        name: "hookstream-backend",
        about: "Serves the read models over HTTP, and takes commands",
        version: env!("CARGO_PKG_VERSION"),
    };
    let settings = match Settings::load(&info) {
        Ok(settings) => settings,
        Err(error) => return exit::bad_config(&error),
    };
    let lookup = &|name: &str| settings.get(name);
    let nats = match NatsSettings::read(lookup, ROLE) {
        Ok(nats) => nats,
        Err(error) => return exit::bad_config(&error),
    };
    let postgres = match PgSettings::read(lookup) {
        Ok(postgres) => postgres,
        Err(error) => return exit::bad_config(&error),
    };
    let admin = Admin { health: Health::new(), metrics: Metrics::new(&info) };
    process::run(&info, &settings, async |supervisor| {
        let token = settings.secret("HOOKSTREAM_API_TOKEN");
        let backend = Backend::connect(&nats, postgres, admin).await?.with_token(token.as_ref());
        start(supervisor, &settings, backend).await
    })
}

async fn start(supervisor: &mut Supervisor, settings: &Settings, backend: Backend) -> anyhow::Result<()> {
    let limits = Limits::read(settings)?;
    let listener = bind(settings, "HOOKSTREAM_BACKEND_ADDR").await?;
    let address = listener.local_addr().context("read the address of the listener")?;
    let (serving, watching) = (supervisor.shutdown(), supervisor.shutdown());
    let watcher = backend.clone();
    supervisor.spawn("http", async move { Ok(backend.serve(listener, limits, serving).await?) });
    supervisor.spawn("readiness", async move {
        watcher.watch(watching).await;
        Ok(())
    });
    tracing::info!(%address, "listening on {address}");
    Ok(())
}
