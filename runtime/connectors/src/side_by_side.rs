//! A few pieces of work at one time, on threads that end with it.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Most threads: each piece holds memory of its own while it is worked on.
const MOST: usize = 4;

/// What `work` makes of each piece, in the order of the pieces. Where the machine has one core, this thread does it all.
pub(crate) fn side_by_side<T: Send, R: Send>(pieces: Vec<T>, work: impl Fn(usize, T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(MOST).min(pieces.len());
    if threads < 2 {
        return pieces.into_iter().enumerate().map(|(place, piece)| work(place, piece)).collect();
    }
    type Slot<T, R> = Mutex<(Option<T>, Option<R>)>;
    let slots: Vec<Slot<T, R>> = pieces.into_iter().map(|piece| Mutex::new((Some(piece), None))).collect();
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = slots.get(place) else { return };
            // Nobody else has this place.
            let piece = slot.lock().unwrap_or_else(PoisonError::into_inner).0.take();
            if let Some(piece) = piece {
                let made = work(place, piece);
                slot.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(made);
            }
        }
    };
    // A panic in one of them goes on here when all have ended.
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let made = slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner).1);
    made.map(|made| made.expect("the scope ends when every piece has been worked on")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_pieces() {
        for count in [0, 1, 2, 50] {
            let made = side_by_side((0..count).collect(), |place, piece: usize| (place, piece * 10));
            assert_eq!(made, (0..count).map(|piece| (piece, piece * 10)).collect::<Vec<_>>());
        }
    }
}
