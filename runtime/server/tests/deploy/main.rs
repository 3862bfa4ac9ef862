//! The deployment files of `deploy/` and `docker-compose.yml`: read by the programs that they are written for, and held
//! against each other and against the binary.

mod compose;
mod dockerfile;
mod files;
mod grafana;
mod kubernetes;
mod prometheus;
mod stack;
