//! Fail points: with `TIDEMARK_KILL_AT=<name>[:n]` the process kills itself when it reaches that named step for the
//! n-th time, as hard as a power cut would. For tests of recovery, in the real binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The environment variable that arms one.
pub const VARIABLE: &str = "TIDEMARK_KILL_AT";

/// What a step calls when it is reached.
pub type FailPoint = Arc<dyn Fn(&'static str) + Send + Sync>;

/// The fail point that `setting` (the value of [`VARIABLE`]) arms; one that does nothing without it. `known` are the
/// names that exist.
pub fn arm(setting: Option<&str>, known: &[&str]) -> Result<FailPoint, String> {
    let Some(setting) = setting else { return Ok(Arc::new(|_| ())) };
    let (name, times) = parse(setting)?;
    if !known.contains(&name.as_str()) {
        return Err(format!("{VARIABLE}={setting} names no step: `tidemark fail-points` lists them"));
    }
    let reached = AtomicU64::new(0);
    Ok(Arc::new(move |step| {
        if step == name && reached.fetch_add(1, SeqCst) + 1 == times {
            kill_self();
        }
    }))
}

/// A step's name, and which time it counts, from 1.
fn parse(setting: &str) -> Result<(String, u64), String> {
    match setting.rsplit_once(':') {
        None => Ok((setting.to_owned(), 1)),
        Some((name, times)) => {
            let times = times.parse().ok().filter(|times| *times > 0);
            let times = times.ok_or_else(|| format!("{VARIABLE}={setting}: the part after `:` must be 1 or more"))?;
            Ok((name.to_owned(), times))
        }
    }
}

/// Ends the process without any clean-up.
fn kill_self() {
    let process = libc::pid_t::try_from(std::process::id()).expect("a process id fits its own type");
    // SAFETY: a system call on numbers; the process does not return from it.
    unsafe { libc::kill(process, libc::SIGKILL) };
    // The signal may be delivered to another thread first; nothing may happen on this one in the meantime.
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_a_step_and_a_time() {
        assert_eq!(parse("epoch.committed"), Ok(("epoch.committed".to_owned(), 1)));
        assert_eq!(parse("epoch.committed:3"), Ok(("epoch.committed".to_owned(), 3)));
        assert!(parse("epoch.committed:0").is_err());
        assert!(parse("epoch.committed:x").is_err());
    }

    #[test]
    fn an_unknown_step_is_refused_and_none_does_nothing() {
        assert!(arm(Some("typo"), &["known"]).is_err());
        arm(None, &["known"]).expect("nothing is armed")("known");
    }
}
