//! `tender serve`: the log of the scheduler itself, and the scheduler.

use std::io::{self, IsTerminal};

use anyhow::Context as _;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::context::Context;
use crate::config::{LogFormat, Settings};
use crate::daemon;

/// `tender serve`.
pub(super) fn serve(context: &Context) -> anyhow::Result<u8> {
    let log = Log::install(context)?;
    daemon::serve(context.options(Box::new(move |settings| log.follow(settings)))?)
}

type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Form = Box<dyn Layer<Filtered> + Send + Sync>;

/// The scheduler's own log on standard output: form and level follow the settings.
struct Log {
    filter: Handle<EnvFilter, Registry>,
    form: Handle<Form, Filtered>,
}

impl Log {
    /// Begins as the process environment says: until the configuration is read nothing else is known.
    fn install(context: &Context) -> anyhow::Result<Self> {
        let level = context.variable("SCHEDULER_LOG_LEVEL").unwrap_or("info");
        let first = match context.variable("SCHEDULER_LOG_FORMAT") {
            Some("json") => LogFormat::Json,
            _ => LogFormat::Text,
        };
        let (filter_layer, filter) = reload::Layer::new(filter(level).unwrap_or_else(|| EnvFilter::new("info")));
        let (form_layer, form) = reload::Layer::new(form(first));
        tracing_subscriber::registry()
            .with(filter_layer)
            .with(form_layer)
            .try_init()
            .context("failed to set up the log")?;
        Ok(Self { filter, form })
    }

    fn follow(&self, settings: &Settings) {
        match filter(&settings.log_level) {
            Some(filter) => {
                let _ = self.filter.reload(filter); // fails only after the log itself is gone
            }
            None => tracing::warn!(level = settings.log_level, "the log level is not understood; the old one stays"),
        }
        let _ = self.form.reload(form(settings.log_format));
    }
}

fn filter(level: &str) -> Option<EnvFilter> {
    // The crate behind the alarm talks about its own affairs.
    EnvFilter::try_new(format!("{},tokio_cron_scheduler=off", level.trim().to_lowercase())).ok()
}

fn form(format: LogFormat) -> Form {
    let layer = tracing_subscriber::fmt::layer().with_target(false);
    match format {
        LogFormat::Text => layer.with_ansi(io::stdout().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read_in_any_case() {
        assert_eq!(filter("WARN").unwrap().to_string(), "tokio_cron_scheduler=off,warn");
        assert_eq!(
            filter("info,tender::git=debug").unwrap().to_string(),
            "tokio_cron_scheduler=off,tender::git=debug,info"
        );
        assert!(filter("tender=loudly").is_none());
    }
}
