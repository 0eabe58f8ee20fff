//! Measurements and what is said about them.

use std::time::Instant;

use serde::Serialize;

/// Measurements of one thing, in one unit, sorted.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "Summary")]
pub(crate) struct Samples {
    sorted: Vec<f64>,
    unit: &'static str,
}

#[derive(Serialize)]
struct Summary {
    median: f64,
    min: f64,
    max: f64,
    runs: usize,
    unit: &'static str,
}

impl From<Samples> for Summary {
    fn from(samples: Samples) -> Self {
        let (min, max) = samples.range();
        Self { median: samples.median(), min, max, runs: samples.sorted.len(), unit: samples.unit }
    }
}

impl Samples {
    /// Samples of at least one run.
    pub(crate) fn new(mut values: Vec<f64>, unit: &'static str) -> Self {
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self { sorted: values, unit }
    }

    pub(crate) fn median(&self) -> f64 {
        let n = self.sorted.len();
        f64::midpoint(self.sorted[(n - 1) / 2], self.sorted[n / 2])
    }

    /// The sample below which this share of all lies.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let at = (self.sorted.len() as f64 * share).ceil() as usize;
        self.sorted[at.clamp(1, self.sorted.len()) - 1]
    }

    fn range(&self) -> (f64, f64) {
        (self.sorted[0], self.sorted[self.sorted.len() - 1])
    }

    /// `12.3 ms (11.9–14.0)`
    pub(crate) fn said(&self) -> String {
        let (min, max) = self.range();
        format!("{} {} ({}–{})", short(self.median()), self.unit, short(min), short(max))
    }
}

/// Three digits are more than a noisy machine has to say.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Milliseconds that something takes.
pub(crate) fn milliseconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed().as_secs_f64() * 1000.0, done)
}

/// The exponent `k` of `cost ≈ c · size^k`, by least squares over the logarithms: 1 is linear.
pub(crate) fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let n = f64::from(u32::try_from(logs.len()).unwrap_or(u32::MAX));
    let (mx, my) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let (over, under) =
        logs.iter().fold((0.0, 0.0), |(o, u), (x, y)| (o + (x - mx) * (y - my), u + (x - mx) * (x - mx)));
    over / under
}
