//! jitter-coefficient: population standard deviation over mean of a stream's frame rate, in windows of 60 s.

use rustc_hash::FxHashMap;

const WINDOW_MS: i64 = 60_000;

/// Running figures by stream and window.
#[derive(Default)]
pub(crate) struct Jitter {
    /// The windows of a stream, in the order of their first event: the newest are last, where most events belong.
    streams: FxHashMap<String, Vec<(i64, Welford)>>,
}

/// One window of one stream.
#[derive(Debug)]
pub(crate) struct JitterRow {
    pub(crate) stream_id: String,
    pub(crate) window_start: i64,
    pub(crate) samples: u64,
    pub(crate) mean: Option<f64>,
    /// `None` where the mean is zero or there are fewer than two samples.
    pub(crate) jitter: Option<f64>,
}

impl Jitter {
    /// Takes a status; one without a frame rate is no sample, but its window has a row.
    pub(crate) fn add(&mut self, stream_id: &str, time: i64, fps: Option<f64>) {
        if stream_id.is_empty() {
            return;
        }
        let window_start = time - time.rem_euclid(WINDOW_MS);
        let windows = match self.streams.get_mut(stream_id) {
            Some(windows) => windows,
            None => self.streams.entry(stream_id.to_owned()).or_default(),
        };
        let at = windows.iter().rposition(|(start, _)| *start == window_start).unwrap_or_else(|| {
            windows.push((window_start, Welford::default()));
            windows.len() - 1
        });
        if let Some(fps) = fps {
            windows[at].1.add(fps);
        }
    }

    pub(crate) fn rows(&self) -> Vec<JitterRow> {
        let windows = self.streams.iter().flat_map(|(stream, windows)| windows.iter().map(move |w| (stream, w)));
        let row = |(stream_id, (window_start, welford)): (&String, &(i64, Welford))| JitterRow {
            stream_id: stream_id.clone(),
            window_start: *window_start,
            samples: welford.samples,
            mean: (welford.samples > 0).then_some(welford.mean),
            jitter: welford.coefficient_of_variation(),
        };
        windows.map(row).collect()
    }
}

/// Mean and sum of squared deviations in one pass (Welford 1962).
#[derive(Default)]
struct Welford {
    samples: u64,
    mean: f64,
    squares: f64,
}

impl Welford {
    fn add(&mut self, value: f64) {
        self.samples += 1;
        let before = value - self.mean;
        self.mean += before / self.samples as f64;
        self.squares += before * (value - self.mean);
    }

    fn coefficient_of_variation(&self) -> Option<f64> {
        let defined = self.samples >= 2 && self.mean != 0.0;
        defined.then(|| (self.squares / self.samples as f64).sqrt() / self.mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_half_open_and_keep_late_comers() {
        let mut jitter = Jitter::default();
        for (time, fps) in [(0, 10.0), (59_999, 20.0), (60_000, 7.0), (30_000, 30.0), (-1, 5.0)] {
            jitter.add("s", time, Some(fps));
        }
        jitter.add("", 0, Some(1.0));
        jitter.add("s", 120_000, None);
        let mut rows = jitter.rows();
        rows.sort_by_key(|row| row.window_start);
        let found: Vec<_> = rows.iter().map(|row| (row.window_start, row.samples, row.mean)).collect();
        assert_eq!(found, [(-60_000, 1, Some(5.0)), (0, 3, Some(20.0)), (60_000, 1, Some(7.0)), (120_000, 0, None)]);
        let of_three = (200.0_f64 / 3.0).sqrt() / 20.0;
        assert!((rows[1].jitter.expect("three samples") - of_three).abs() < 1e-15);
        assert!(rows[0].jitter.is_none(), "one sample has no jitter");
    }

    #[test]
    fn a_mean_of_zero_has_no_jitter() {
        let mut jitter = Jitter::default();
        jitter.add("s", 0, Some(0.0));
        jitter.add("s", 1, Some(0.0));
        assert_eq!(jitter.rows()[0].jitter, None);
    }
}
