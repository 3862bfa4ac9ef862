//! The pieces of a job that this node owns, where several nodes run it.

use super::exposition::{Exposition, Kind::Gauge};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which pieces this node owns, and how far they are.
#[derive(Debug, Default)]
pub struct PieceTelemetry {
    pieces: Mutex<BTreeMap<String, PieceFigures>>,
}

/// How far a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PieceFigures {
    /// Whether it runs: before that its state is being fetched.
    pub running: bool,
    /// The last committed epoch.
    pub epoch: u64,
    /// Its watermark, in milliseconds since 1970; `i64::MIN` where there is none.
    pub watermark_ms: i64,
}

impl PieceTelemetry {
    /// A piece is about to be opened.
    pub fn begin(&self, piece: &str) {
        self.lock().insert(piece.to_owned(), PieceFigures { watermark_ms: i64::MIN, ..PieceFigures::default() });
    }

    /// It has come so far.
    pub fn show(&self, piece: &str, epoch: u64, watermark_ms: i64) {
        self.lock().insert(piece.to_owned(), PieceFigures { running: true, epoch, watermark_ms });
    }

    /// It runs no more.
    pub fn end(&self, piece: &str) {
        self.lock().remove(piece);
    }

    /// All of them, by name.
    #[must_use]
    pub fn pieces(&self) -> BTreeMap<String, PieceFigures> {
        self.lock().clone()
    }

    pub(super) fn render(&self, text: &mut Exposition) {
        let pieces = self.pieces();
        if pieces.is_empty() {
            return;
        }
        text.family("tidemark_piece_running", Gauge, "Pieces of the job that this node owns: 1 once it runs.");
        for (piece, figures) in &pieces {
            text.sample(&[("piece", piece)], f64::from(u8::from(figures.running)));
        }
        text.family("tidemark_piece_epoch", Gauge, "The last committed epoch of a piece.");
        for (piece, figures) in &pieces {
            text.sample(&[("piece", piece)], figures.epoch as f64);
        }
        text.family("tidemark_piece_watermark_seconds", Gauge, "The watermark of a piece, as a Unix time.");
        for (piece, figures) in &pieces {
            if let Some(seconds) = super::watermark(figures.watermark_ms) {
                text.sample(&[("piece", piece)], seconds);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, PieceFigures>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
