//! Figures of repeated runs: medians, ranges, and how they are written.

/// Figures of one thing, measured several times.
#[derive(Clone, Debug)]
pub(super) struct Figures(Vec<f64>);

impl Figures {
    /// At least one figure, in the order in which they were measured.
    pub(super) fn new(values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a benchmark measures at least once");
        Self(values)
    }

    /// Each figure over the one measured next to it.
    pub(super) fn over(&self, other: &Self) -> Self {
        Self::new(self.0.iter().zip(&other.0).map(|(own, other)| own / other).collect())
    }

    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) { (sorted[middle - 1] + sorted[middle]) / 2.0 } else { sorted[middle] }
    }

    pub(super) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn greatest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(super) fn values(&self) -> &[f64] {
        &self.0
    }
}

/// Whether a target was reached, in a word for a table.
pub(super) fn verdict(is_reached: bool) -> &'static str {
    if is_reached { "reached" } else { "**missed**" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_ranges_and_ratios() {
        let figures = Figures::new(vec![3.0, 1.0, 2.0]);
        assert_eq!((figures.median(), figures.least(), figures.greatest()), (2.0, 1.0, 3.0));
        assert_eq!(Figures::new(vec![1.0, 2.0]).median(), 1.5);
        assert_eq!(figures.over(&Figures::new(vec![6.0, 4.0, 2.0])).values(), [0.5, 0.25, 1.0]);
    }
}
