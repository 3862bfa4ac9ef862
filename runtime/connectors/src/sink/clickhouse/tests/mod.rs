//! The sink against the real engine.

mod cold;
mod crashes;
mod driver;
mod faults;
mod migrations;
mod proxy;
mod roll_ups;
