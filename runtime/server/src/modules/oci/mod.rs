//! Modules from a registry of containers: an artifact that holds one component, named by its digest, as the CNCF lays it out.
//!
//! ```text
//! REGISTRY/REPOSITORY@sha256:… ──▶ manifest, of that digest ──▶ its one layer of application/wasm, of the digest that it says
//! ```
//!
//! Only registries that the job's file names are asked, so nobody can have the job send its credentials, or any request at
//! all, somewhere else. What comes is a module like one that was uploaded: it is admitted, or it is not.

mod challenge;
mod manifest;
mod pull;
mod reference;

pub use pull::{PullError, pull};
pub use reference::Reference;

use std::fmt;

/// A registry that modules may come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OciRegistry {
    /// `host` or `host:port`, as references name it.
    pub host: String,
    /// Who asks; `None`: anybody.
    pub credentials: Option<Credentials>,
}

/// What a registry knows us by. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Bearer(String),
    /// A name and a password.
    Basic(String, String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Whether a host is this machine: what is said to it is read by nobody on the way.
fn is_loopback(host: &str) -> bool {
    let name = host.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let name = name.unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["ghcr.io", "localhost.example", "10.0.0.1:5000", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
        assert_eq!(format!("{:?}", Credentials::Basic("me".to_owned(), "mine".to_owned())), "Credentials(…)");
    }
}
