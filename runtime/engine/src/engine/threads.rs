//! The threads that workers run on. They live as long as the engine: a new thread for each tick would begin with an empty
//! heap each time, and the pages for it cost more than the work.

use super::EngineError;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Stack of a thread: modules run on it.
const STACK_BYTES: usize = 4 << 20;

/// The engine's own thread, and one for each worker but the first.
pub(super) struct Threads {
    /// `None` for one worker.
    others: Option<ThreadPool>,
}

impl Threads {
    /// For this many workers.
    pub(super) fn start(workers: usize) -> Result<Self, EngineError> {
        let others = workers.saturating_sub(1);
        if others == 0 {
            return Ok(Self { others: None });
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(others)
            .stack_size(STACK_BYTES)
            .thread_name(|index| format!("worker-{}", index + 1));
        let pool = pool.build().map_err(|error| {
            EngineError::Job(format!("cannot start {others} threads for workers: {error}; set fewer job.workers"))
        })?;
        Ok(Self { others: Some(pool) })
    }

    /// Runs `work` for every share, the first on this thread and the others beside it, and returns what they return, in
    /// the same order. A panic in one of them goes on here when all have ended.
    pub(super) fn each<T: Send, R: Send>(&self, shares: Vec<T>, work: &(dyn Fn(usize, T) -> R + Sync)) -> Vec<R> {
        let mut results: Vec<Option<R>> = shares.iter().map(|_| None).collect();
        let mut places = shares.into_iter().zip(&mut results).enumerate();
        let first = places.next();
        let run_first = || {
            if let Some((index, (share, result))) = first {
                *result = Some(work(index, share));
            }
        };
        match &self.others {
            None => {
                run_first();
                places.for_each(|(index, (share, result))| *result = Some(work(index, share)));
            }
            Some(pool) => pool.in_place_scope(|scope| {
                for (index, (share, result)) in places {
                    scope.spawn(move |_| *result = Some(work(index, share)));
                }
                run_first();
            }),
        }
        results.into_iter().map(|result| result.expect("the scope ends when every share has been worked on")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_shares() {
        for workers in [1, 2, 5] {
            let threads = Threads::start(workers).expect("threads");
            for shares in [0, 1, workers, 7] {
                let results = threads.each((0..shares).collect(), &|index, share| (index, share * 10));
                assert_eq!(results, (0..shares).map(|share| (share, share * 10)).collect::<Vec<_>>());
            }
        }
    }
}
