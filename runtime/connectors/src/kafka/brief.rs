//! Clients for a few questions.
//!
//! Whoever drops a client waits until a thread of rdkafka's has noticed, for a tenth of a second: longer than the questions
//! take, and a job asks many before it runs. So such clients are dropped by a thread that nobody waits for.

use std::ops::Deref;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A client that ends in the background.
pub(crate) struct Brief<T: Send + 'static>(Option<T>);

/// The threads in which clients end.
static ENDING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

impl<T: Send + 'static> Brief<T> {
    pub(crate) const fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for Brief<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("the client is there until this is dropped")
    }
}

impl<T: Send + 'static> Drop for Brief<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let thread = thread::Builder::new().name("kafka-client-end".to_owned()).spawn(move || drop(client));
        // Without a thread it has been dropped here, and this took a moment longer.
        if let Ok(thread) = thread {
            let mut ending = ENDING.lock().unwrap_or_else(PoisonError::into_inner);
            ending.retain(|thread| !thread.is_finished());
            ending.push(thread);
        }
    }
}

/// Waits until every client has ended that was needed for a few questions only. For the end of a program: the libraries
/// that clients use must not be taken down while one still runs.
pub fn wait_for_clients() {
    let ending = std::mem::take(&mut *ENDING.lock().unwrap_or_else(PoisonError::into_inner));
    for thread in ending {
        // What it panicked with has been told.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Client(mpsc::Receiver<()>, mpsc::Sender<&'static str>);

    impl Drop for Client {
        fn drop(&mut self) {
            let _ = self.0.recv();
            let _ = self.1.send("ended");
        }
    }

    #[test]
    fn nobody_waits_for_a_client_but_the_end_of_the_program() {
        let (may_end, wait) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        drop(Brief::new(Client(wait, tell)));
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(may_end);
        wait_for_clients();
        assert_eq!(told.try_recv(), Ok("ended"));
    }
}
